"""The spammer: writes a warning to one address, as a file, whenever it is asked to. It sends nothing."""

import time

import messages
import post
import topology
from service import Service, arguments, note, run, start, tell

PAUSE_S, PAUSE_MAX_S = 0.5, 30  # after a failure; the pause doubles with each


class Spam(Service):
    def __init__(self, connection, options):
        super().__init__(connection, topology.spam_queue(options.name), options.limit)
        self.options = options
        self.address = f"{options.name}@{options.domain}"

    def work(self, message):
        try:
            path = post.warn(self.options.name, self.options.domain, self.options.out)
            tell(f"spam: {self.address} warned: {path}")
        except ValueError as why:
            note(f"spam: {self.address} given up: {why}")
        except OSError as why:
            self.fail(messages.attempts(message) + 1, messages.label(message), why)

    def fail(self, failures, label, why):
        """What failed goes round once more, behind the others in its queue, a few times."""
        note(f"spam: {self.address}: attempt {failures} of {self.options.attempts} failed: {why}")
        if failures < self.options.attempts:
            time.sleep(min(PAUSE_S * 2 ** min(failures - 1, 16), PAUSE_MAX_S))
            messages.publish_failed_warning(self.producer, self.queue, failures, label)
        else:
            note(f"spam: {self.address} given up after {failures} attempts")


def main():
    parser = arguments(__doc__)
    parser.add_argument("--name", required=True, metavar="LOCALPART", help="the part of the address before the @")
    parser.add_argument("--domain", default=topology.DOMAIN, help="the part after the @")
    parser.add_argument("--out", default="warnings", metavar="DIR", help="the folder for the mails")
    parser.add_argument("--attempts", type=int, default=3, metavar="N", help="how often a mail is tried")
    options = parser.parse_args()
    with topology.connect(options.url) as connection:
        run(Spam(connection, options))


if __name__ == "__main__":
    start(main)
