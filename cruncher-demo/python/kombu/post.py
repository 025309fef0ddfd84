"""Writes warnings as files that a mail program can open. It sends nothing."""

import os
import urllib.parse
from email.message import EmailMessage

FILES_PER_ADDRESS_MAX = 10_000
FILE_NAME_BYTES_MAX = 200


def warn(local_part, domain, folder):
    """Writes a warning and gives its path. ValueError: there can be no such mail. OSError: it may work another time."""
    address = f"{local_part}@{domain}"
    mail = EmailMessage()
    mail["From"] = "cruncher@localhost"
    mail["To"] = address
    mail["Subject"] = "Your address can be found"
    mail.set_content(
        f"Hello {local_part},\n\nyour address {address} stands in a letter that others can read.\n"
        "Programs that send spam find it as easily as we did.\n\nThe email cruncher\n"
    )
    return keep(folder, file_name(address), mail.as_bytes())


def keep(folder, name, mail):
    """Writes a file of its own; none that exists is touched."""
    os.makedirs(folder, exist_ok=True)
    for number in range(1, FILES_PER_ADDRESS_MAX + 1):
        path = os.path.join(folder, f"{name}.eml" if number == 1 else f"{name}-{number}.eml")
        try:
            with open(path, "xb") as file:
                file.write(mail)
            return path
        except FileExistsError:
            continue
    raise OSError(f"more than {FILES_PER_ADDRESS_MAX} warnings for {name}")


def file_name(address):
    """A name that stays in its folder, whatever the address is: anything unusual is percent-encoded."""
    name = urllib.parse.quote(address, safe="@+")[:FILE_NAME_BYTES_MAX]
    return f"%2E{name[1:]}" if name.startswith(".") else name
