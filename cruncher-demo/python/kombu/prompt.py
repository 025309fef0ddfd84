"""The prompt: publishes file names from the command line or a person to the crunchers."""

import cruncher


def entered():
    while True:
        try:
            name = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if name == "quit":
            return
        if name:
            yield name


def main():
    parser = cruncher.arguments(__doc__)
    parser.add_argument("files", nargs="*", help="the files to crunch; asked for when there are none")
    options = parser.parse_args()
    with cruncher.connect(options.url) as connection:
        cruncher.declare(connection)
        producer = connection.Producer()
        for number, name in enumerate(options.files or entered(), start=1):
            producer.publish(name, exchange=cruncher.EMAILS, content_type="text/plain", content_encoding="utf-8")
            cruncher.tell(f"prompt: {name}")
            if number == options.limit:
                break


if __name__ == "__main__":
    main()
