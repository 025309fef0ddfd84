"""Reads the file that a message names. A name comes from a stranger: only plain files of a sensible size are opened."""

import os
import stat

FILE_BYTES_MAX = 64 << 20


def read(name):
    """The text of a file; OSError or ValueError say why there is none."""
    if not stat.S_ISREG(os.stat(name).st_mode):
        raise ValueError("not a file")
    with open(name, "rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise ValueError(f"larger than {FILE_BYTES_MAX >> 20} MiB")
    return content.decode()
