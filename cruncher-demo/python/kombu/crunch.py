"""The crunchers: find the addresses in each file that is published and send them to the status service."""

import find
import letters
import messages
import topology
from service import Service, arguments, note, run, start, tell


class Crunch(Service):
    def __init__(self, connection, kind, limit):
        super().__init__(connection, topology.CRUNCHERS[kind], limit)
        self.kind = kind

    def work(self, message):
        name, found = None, []
        try:
            name = messages.file_name(message)
            found = find.FINDERS[self.kind](letters.read(name))
            tell(f"{self.kind}: {name}: {len(found)} found")
        except (OSError, ValueError) as why:
            note(f"{self.kind}: {name or 'no file name'}: {why}")
        # An empty result is one too: the status service counts files.
        messages.publish_result(self.producer, self.kind, name, found, messages.label(message))


def main():
    parser = arguments(__doc__)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--fast", action="store_const", dest="kind", const="fast", help="by a regular expression")
    kind.add_argument("--slow", action="store_const", dest="kind", const="slow", help="with care")
    options = parser.parse_args()
    with topology.connect(options.url) as connection:
        run(Crunch(connection, options.kind, options.limit))


if __name__ == "__main__":
    start(main)
