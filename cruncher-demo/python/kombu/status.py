"""The status service: counts the addresses found and asks for a warning to every new one of a domain."""

from collections import deque

import messages
import topology
from service import Service, arguments, note, run, start, tell
from tally import Tally


class Status(Service):
    def __init__(self, connection, domain, limit):
        super().__init__(connection, topology.STATUS, limit)
        self.tally = Tally(domain)
        self.owed = deque()

    def work(self, message):
        try:
            result = messages.result(message)
        except ValueError as why:
            note(f"status: not a list of addresses: {why}")
            return
        news = self.tally.record(result.cruncher, result.addresses)
        self.owed.extend((local_part, result.label) for local_part in news)
        # An address is new only once. If the connection breaks here, the result comes again, and its warnings are still owed.
        while self.owed:
            self.warn(*self.owed[0])
            self.owed.popleft()
        tell(f"status: {self.tally}")

    def warn(self, local_part, label):
        address = f"{local_part}@{self.tally.domain}"
        if len(local_part.encode()) > topology.NAME_BYTES_MAX:
            note(f"status: {address} gets no warning: longer than a routing key")
        elif messages.publish_warning(self.producer, local_part, label):
            tell(f"status: new: {address}")
        else:
            tell(f"status: new: {address} (no spammer listens for it)")


def main():
    parser = arguments(__doc__)
    parser.add_argument("--domain", default=topology.DOMAIN, help="the domain whose addresses are warned")
    options = parser.parse_args()
    with topology.connect(options.url) as connection:
        run(Status(connection, options.domain, options.limit))


if __name__ == "__main__":
    start(main)
