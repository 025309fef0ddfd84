"""The status service: counts the addresses found and asks for a warning to every new one of a domain."""

import json

import cruncher


class Status(cruncher.Service):
    def __init__(self, connection, domain, limit):
        super().__init__(connection, cruncher.STATUS, limit)
        self.domain = domain.lower()
        self.seen = set()
        self.by_cruncher = {}

    def work(self, message):
        addresses = self.addresses(message)
        if addresses is None:
            cruncher.note("status: not a list of addresses")
            return
        found = self.by_cruncher.setdefault(message.properties.get("app_id") or "unknown", set())
        for address in addresses:
            local_part, _, domain = address.partition("@")
            if not local_part or not domain or "@" in domain:
                continue
            key = address.lower()
            found.add(key)
            if key not in self.seen:
                self.seen.add(key)
                if domain.lower() == self.domain:
                    self.warn(local_part, message)
        counts = ", ".join(f"{name} {len(found)}" for name, found in sorted(self.by_cruncher.items()))
        cruncher.tell(f"status: {len(self.seen)} addresses ({counts})")

    def warn(self, local_part, message):
        if len(local_part.encode()) > cruncher.NAME_BYTES_MAX:
            cruncher.note(f"status: {local_part}@{self.domain} gets no warning: longer than a routing key")
            return
        self.producer.publish(
            "spam me!",
            exchange=cruncher.SPAMMER,
            routing_key=local_part,
            content_type="text/plain",
            content_encoding="utf-8",
            **cruncher.label_of(message),
        )
        cruncher.tell(f"status: new: {local_part}@{self.domain}")

    @staticmethod
    def addresses(message):
        text = cruncher.text_of(message)
        try:
            addresses = json.loads(text) if text else None
        except ValueError:
            return None
        is_list = isinstance(addresses, list) and all(isinstance(address, str) for address in addresses)
        return addresses if is_list else None


def main():
    parser = cruncher.arguments(__doc__)
    parser.add_argument("--domain", default=cruncher.DOMAIN, help="the domain whose addresses are warned")
    options = parser.parse_args()
    with cruncher.connect(options.url) as connection:
        cruncher.run(Status(connection, options.domain, options.limit))


if __name__ == "__main__":
    main()
