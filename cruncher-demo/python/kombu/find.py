"""Finds e-mail addresses in a text: `fast` by their shape, `slow` with care, as in the Rust version.

The slow one is less thorough than its model: it has no public suffix list and opens no mail pasted into a letter.
"""

import email
import html
import re
import urllib.parse
from email.errors import MessageError
from email.header import decode_header, make_header

LOCAL_PART = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-")
DOMAIN = re.compile(r"[A-Za-z0-9.-]+\.[A-Za-z]{2,}")
LOCAL_PART_MAX = 64
NO_DOMAINS = {"png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "local", "localdomain", "invalid", "example"}
COMMON_DOMAINS = {"com", "org", "net", "edu", "gov", "info"}

MAIL_HEADERS = ("from", "to", "cc", "reply-to", "subject", "date", "mime-version", "content-type", "received")
PEOPLE = ("from", "sender", "to", "cc", "bcc", "reply-to", "subject")

HTML = re.compile(r"<!--|<!doctype|</[a-z]", re.IGNORECASE)
UNREAD = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)|<![^<>]*>", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"</?([a-z][a-z0-9]*)(\s[^<>]*)?/?>", re.IGNORECASE)
MAIL_TARGET = re.compile(r"mailto:([^\"'?\s>]*)", re.IGNORECASE)
INLINE = set("a abbr b big code em font i mark s small span strong sub sup u wbr".split())

UNSEEN = dict.fromkeys([0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF])
LOOKALIKES = {0xFF20: "@", 0xFE6B: "@", 0xFF0E: ".", 0x3002: ".", 0x2024: "."}
BRACKETED_AT = re.compile(r"\s{0,4}[\[({<]\s{0,4}(?:at|@)\s{0,4}[\])}>]\s{0,4}", re.IGNORECASE)
BRACKETED_DOT = re.compile(r"\s{0,4}[\[({<]\s{0,4}(?:dot|\.)\s{0,4}[\])}>]\s{0,4}", re.IGNORECASE)
# Words that stand before a plain "at" without being a mailbox: "visit us at apple dot com".
NO_NAMES = set("and are be find here i is it look me meet more or shop us visit was you".split())
SPOKEN_DOT = re.compile(r"\s{1,4}dot\s{1,4}", re.IGNORECASE)
SPOKEN = re.compile(
    r"(?<![\w.+-])([\w.+-]{1,64})(?:\s{1,4}at\s{1,4}|@)([\w-]{1,63}(?:(?:\.|\s{1,4}dot\s{1,4})[\w-]{1,63}){1,9})",
    re.IGNORECASE,
)


def fast(text):
    """Everything that has the shape of an address."""
    return once_each(text[start:end] for start, end in shapes(text))


def slow(text):
    """Every address in a letter that can exist: mail parts are opened, HTML is read, spelled-out addresses too."""
    return once_each(address for part in parts(text) for address in addresses_in(*part))


FINDERS = {"fast": fast, "slow": slow}


def shapes(text):
    """Where something of the shape NAME@HOST.END stands.

    From each @ outwards: a single pattern would try every start in a long run of letters, again and again.
    """
    free = 0
    for sign in re.finditer("@", text):
        start, domain = sign.start(), DOMAIN.match(text, sign.end())
        while start > free and text[start - 1] in LOCAL_PART:
            start -= 1
        if domain and start < sign.start():
            yield start, domain.end()
            free = domain.end()


def once_each(addresses):
    """Each address once, in its first spelling."""
    seen = {}
    for address in addresses:
        seen.setdefault(address.lower(), address)
    return list(seen.values())


def parts(letter):
    """The readable texts of a mail message, each with the mark if it is HTML; any other text is its own only part."""
    plain = [(bool(HTML.search(letter)), letter)]
    try:
        message = email.message_from_bytes(letter.encode())
        if message.defects or not any(name in message for name in MAIL_HEADERS):
            return plain
        found = []
        for part in message.walk():
            found += [(False, header(value)) for name in PEOPLE for value in part.get_all(name, [])]
            if part.get_content_maintype() == "text":
                found.append((part.get_content_subtype() == "html", content(part)))
        return found
    except RecursionError:  # parts within parts within parts
        return plain


def header(value):
    """A header's text, its encoded words decoded."""
    try:
        return str(make_header(decode_header(value)))
    except (LookupError, ValueError, MessageError):
        return str(value)


def content(part):
    """A part's text, its transfer encoding and charset undone."""
    body = part.get_payload(decode=True) or b""
    try:
        return body.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def addresses_in(is_html, text):
    """The addresses in one part of a letter."""
    text = html.unescape(TAG.sub(untagged, UNREAD.sub("", text)) if is_html else text)
    text = text.translate(UNSEEN | LOOKALIKES).replace("%40", "@")
    text = SPOKEN.sub(written_out, BRACKETED_DOT.sub(".", BRACKETED_AT.sub("@", text)))
    checked = (check(text, start, end) for start, end in shapes(text))
    return [address for address in checked if address]


def untagged(tag):
    """What is left of a tag: the target of a mail link, and a space where it parts two words."""
    name = tag[1].lower()
    if name in ("at", "dot"):
        return tag[0]
    target = MAIL_TARGET.search(html.unescape(tag[2] or ""))
    return ("" if name in INLINE else " ") + (f" {urllib.parse.unquote(target[1])} " if target else "")


def written_out(spoken):
    """`ann at apple dot com` as an ordinary address; where no dot is spelled out, "at" is just a word."""
    host = SPOKEN_DOT.sub(".", spoken[2])
    by_chance = host == spoken[2] or spoken[1].lower() in NO_NAMES
    return spoken[0] if by_chance else f" {spoken[1]}@{host} "


def check(text, start, end):
    """The address between two places if it can exist."""
    local_part, _, domain = text[start:end].lstrip("._%+-").partition("@")
    word = re.split(r"\s", text[max(0, start - 256) : start])[-1]
    _, is_url, before = word.rpartition("://")
    if is_url and not re.search("[/?#]", before):
        return None  # user:password@ of a URL
    domain = without_sentence(domain)
    dots = local_part.endswith(".") or ".." in local_part + domain or domain.startswith(".")
    exists = domain.rpartition(".")[2].lower() not in NO_DOMAINS
    fits = 0 < len(local_part) <= LOCAL_PART_MAX
    return f"{local_part}@{domain}" if fits and exists and not dots else None


def without_sentence(domain):
    """A sentence that begins right after an address (`apple.com.Thanks`) is no part of it."""
    rest, _, last = domain.rpartition(".")
    begins = last[0].isupper() and rest[-1:].islower() and "." in rest
    return rest if begins and last.lower() not in COMMON_DOMAINS else domain
