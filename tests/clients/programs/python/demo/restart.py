"""restart.py MAKE: the broker goes, with all it knew, and comes back; the services declare everything anew and go on."""

import os
import re
import subprocess
import sys

from demo import LETTERS, demo
from makes import SERVICES


# The letter that is done before the broker goes, and what it brings.
FIRST = [letter for letter in LETTERS if letter.endswith("/plain.txt")]
NEWS = [("ann", ""), ("bob", " (no spammer listens for it)")]


def start(address):
    """A broker, and where it listens."""
    options = ["--in-memory", "--listen", address, "--http", "off", "--metrics", "off"]
    broker = subprocess.Popen([os.environ["LEVERET"], *options], stdout=subprocess.PIPE, text=True)
    line = broker.stdout.readline()
    ready = re.match(r"Server startup complete; amqp=(\S+) ", line)
    assert ready, line
    return broker, ready[1]


broker, address = start("127.0.0.1:0")
try:
    with demo(f"amqp://guest:guest@{address}", **dict.fromkeys(SERVICES, sys.argv[1])) as run:
        run.start()
        run.prompt(FIRST)
        # All that follows from the letter has to be out: what is still in a queue goes with the broker.
        run.wait_until(
            lambda: run.totals().startswith("2 results") and run.news() == NEWS and run.warnings() == ["ann"] and run.is_ready(),
            lambda: f"not done: {run.totals()}; {run.news()}; {run.warnings()}; {run.states()}",
        )
        broker.kill()
        broker.wait()
        broker, _ = start(address)
        run.wait_until(run.is_ready, lambda: f"not every service is back: {run.states()}")
        run.prompt([letter for letter in LETTERS if letter not in FIRST])
        run.finish()
finally:
    broker.kill()
    broker.wait()
