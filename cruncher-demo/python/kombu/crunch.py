"""The crunchers: find the addresses in each file that is published and send them to the status service."""

import email
import email.policy
import html
import json
import re

import cruncher

ADDRESS = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
BRACKETED_AT = re.compile(r"\s*[\[({<]\s*(?:at|@)\s*[\])}>]\s*", re.IGNORECASE)
BRACKETED_DOT = re.compile(r"\s*[\[({<]\s*(?:dot|\.)\s*[\])}>]\s*", re.IGNORECASE)
SPOKEN = re.compile(r"([\w.+-]+)\s+at\s+([\w-]+(?:\s+dot\s+[\w-]+)+)", re.IGNORECASE)
NO_DOMAIN = {"png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "local", "localdomain", "invalid", "example"}


def fast(text):
    return ADDRESS.findall(text)


def slow(text):
    """Decodes mail parts, entities and spelled-out addresses, and drops what cannot be one.

    Less thorough than the slow cruncher in Rust: it knows no public suffix list.
    """
    found = []
    for part in parts(text):
        part = re.sub(r"<(?!at|dot)/?[a-z!][^<>@]*>", "", part, flags=re.IGNORECASE)
        part = BRACKETED_DOT.sub(".", BRACKETED_AT.sub("@", html.unescape(part)))
        part = SPOKEN.sub(written, part)
        found += [address for address in ADDRESS.findall(part) if possible(address)]
    return found


def written(hit):
    host = re.sub(r"\s+dot\s+", ".", hit[2], flags=re.IGNORECASE)
    return f"{hit[1]}@{host}"


def parts(text):
    """The readable texts of a mail message; any other text is its own only part."""
    message = email.message_from_string(text, policy=email.policy.default)
    if not message.keys() or message.defects:
        return [text]
    texts = [str(message[name]) for name in ("from", "to", "cc", "reply-to", "subject") if message[name]]
    for part in message.walk():
        if part.get_content_maintype() == "text":
            texts.append(part.get_content())
    return texts


def possible(address):
    local_part, _, domain = address.rpartition("@")
    labels = domain.lower().split(".")
    dots = local_part.startswith(".") or local_part.endswith(".") or ".." in address
    return len(local_part) <= 64 and not dots and all(labels) and labels[-1] not in NO_DOMAIN


FINDERS = {"fast": fast, "slow": slow}


def once_each(addresses):
    seen = {}
    for address in addresses:
        seen.setdefault(address.lower(), address)
    return list(seen.values())


class Crunch(cruncher.Service):
    def __init__(self, connection, kind, limit):
        super().__init__(connection, cruncher.CRUNCHERS[kind], limit)
        self.kind = kind

    def work(self, message):
        name = cruncher.text_of(message)
        found = self.crunch(name)
        headers = {"file": name} if name else {}
        self.producer.publish(
            json.dumps(found),
            routing_key=cruncher.STATUS.name,
            content_type="application/json",
            content_encoding="utf-8",
            app_id=self.kind,
            headers=headers,
            **cruncher.label_of(message),
        )

    def crunch(self, name):
        """The addresses in that file; none when it cannot be read, which is reported."""
        if not name:
            cruncher.note(f"{self.kind}: a message that is no file name")
            return []
        try:
            with open(name, encoding="utf-8") as file:
                found = once_each(FINDERS[self.kind](file.read()))
        except (OSError, ValueError) as why:
            cruncher.note(f"{self.kind}: {name}: {why}")
            return []
        cruncher.tell(f"{self.kind}: {name}: {len(found)} found")
        return found


def main():
    parser = cruncher.arguments(__doc__)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--fast", action="store_const", dest="kind", const="fast", help="by a regular expression")
    kind.add_argument("--slow", action="store_const", dest="kind", const="slow", help="with care")
    options = parser.parse_args()
    with cruncher.connect(options.url) as connection:
        cruncher.run(Crunch(connection, options.kind, options.limit))


if __name__ == "__main__":
    main()
