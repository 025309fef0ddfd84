"""The prompt: publishes file names, from the command line or a person, to the crunchers."""

import signal
import sys

import messages
import topology
from service import arguments, entered, note, start, tell

# A lost connection is made anew, and the name published again.
RETRY = {"max_retries": 20, "errback": lambda why, pause: note(f"no broker ({why}); again in {pause:.0f} seconds")}


def main():
    parser = arguments(__doc__)
    parser.add_argument("files", nargs="*", help="the files to crunch; asked for when there are none")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with topology.connect(options.url) as connection:
        connection.connect()
        producer = connection.Producer()
        for number, name in enumerate(options.files or entered()):
            if number == options.limit:
                break
            messages.publish_name(producer, name, retry=True, retry_policy=RETRY)
            tell(f"prompt: {name}")


if __name__ == "__main__":
    try:
        start(main)
    except (EOFError, KeyboardInterrupt):
        pass
