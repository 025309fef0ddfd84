"""The spammer: writes a warning to one address, as a file, whenever it is asked to. It sends nothing."""

import os
import urllib.parse
from email.message import EmailMessage

import cruncher


class Spam(cruncher.Service):
    def __init__(self, connection, options):
        super().__init__(connection, cruncher.spam_queue(options.name), options.limit)
        self.address = f"{options.name}@{options.domain}"
        self.folder = options.out

    def work(self, message):
        try:
            path = self.write(self.warning())
        except (OSError, ValueError) as why:
            cruncher.note(f"spam: {self.address} given up: {why}")
            return
        cruncher.tell(f"spam: {self.address} warned: {path}")

    def warning(self):
        mail = EmailMessage()
        mail["From"] = "cruncher@localhost"
        mail["To"] = self.address
        mail["Subject"] = "Your address can be found"
        mail.set_content(f"Hello,\n\nyour address {self.address} stands in a letter that others can read.\n")
        return mail.as_bytes()

    def write(self, mail):
        """Writes a file of its own; none that exists is touched, and no name leads out of the folder."""
        name = urllib.parse.quote(self.address, safe="@+")[:200]
        name = name.replace(".", "%2E", 1) if name.startswith(".") else name
        os.makedirs(self.folder, exist_ok=True)
        number = 1
        while True:
            path = os.path.join(self.folder, f"{name}.eml" if number == 1 else f"{name}-{number}.eml")
            try:
                with open(path, "xb") as file:
                    file.write(mail)
                return path
            except FileExistsError:
                number += 1


def main():
    parser = cruncher.arguments(__doc__)
    parser.add_argument("--name", required=True, metavar="LOCALPART", help="the part of the address before the @")
    parser.add_argument("--domain", default=cruncher.DOMAIN, help="the part after the @")
    parser.add_argument("--out", default="warnings", metavar="DIR", help="the folder for the mails")
    options = parser.parse_args()
    with cruncher.connect(options.url) as connection:
        cruncher.run(Spam(connection, options))


if __name__ == "__main__":
    main()
