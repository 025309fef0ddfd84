"""restart.py MAKE: the broker goes, with all it knew, and comes back; the services declare everything anew and go on."""

import os
import socket
import subprocess
import sys

from demo import LETTERS, demo
from makes import SERVICES


def listen_address():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return "{}:{}".format(*free.getsockname())


def start(address):
    options = ["--in-memory", "--listen", address, "--http", "off", "--metrics", "off"]
    broker = subprocess.Popen([os.environ["LEVERET"], *options], stdout=subprocess.PIPE, text=True)
    line = broker.stdout.readline()
    assert line.startswith("Server startup complete"), line
    return broker


address = listen_address()
broker = start(address)
try:
    with demo(f"amqp://guest:guest@{address}", **dict.fromkeys(SERVICES, sys.argv[1])) as run:
        run.start()
        run.prompt(LETTERS[:1])
        run.wait_until(lambda: run.totals().startswith("2 results") and run.is_ready(), lambda: run.totals())
        broker.kill()
        broker.wait()
        broker = start(address)
        run.wait_until(run.is_ready, lambda: f"not every service is back: {run.states()}")
        run.prompt(LETTERS[1:])
        run.finish()
finally:
    broker.kill()
    broker.wait()
