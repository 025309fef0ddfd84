"""What the status service knows: every address ever seen, who found it, and which are new in the watched domain."""

ADDRESSES_MAX = 1_000_000
CRUNCHERS_MAX = 16  # how many are told apart by name


class Tally:
    def __init__(self, domain):
        self.domain = domain.lower()
        self.seen = set()
        self.by_cruncher = {}
        self.results = self.new_in_domain = self.dropped = 0

    def record(self, cruncher, addresses):
        """Takes one result in and gives the local parts that are new in the watched domain."""
        self.results += 1
        known = cruncher in self.by_cruncher or len(self.by_cruncher) < CRUNCHERS_MAX
        found = self.by_cruncher.setdefault(cruncher if known else "others", set())
        news = []
        for address in addresses:
            local_part, _, domain = address.partition("@")
            if not local_part or not domain or "@" in domain:
                continue
            key = address.lower()
            if key not in self.seen and len(self.seen) >= ADDRESSES_MAX:
                self.dropped += 1
                continue
            found.add(key)
            if key not in self.seen:
                self.seen.add(key)
                if domain.lower() == self.domain:
                    self.new_in_domain += 1
                    news.append(local_part)
        return news

    def __str__(self):
        by_cruncher = ", ".join(f"{name} {len(found)}" for name, found in sorted(self.by_cruncher.items()))
        totals = f"{self.results} results, {len(self.seen)} addresses"
        totals += f" ({by_cruncher})" if by_cruncher else ""
        totals += f", {self.new_in_domain} in {self.domain}"
        return totals + (f", {self.dropped} not remembered: more than {ADDRESSES_MAX}" if self.dropped else "")
