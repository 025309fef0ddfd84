"""A broker for tests: each gets a fresh one, on a free port, in a few milliseconds, and nobody has to clean up.

Where a test-suite has had the address of a RabbitMQ, it takes this fixture.
"""

import os
import re
import subprocess

import pytest


@pytest.fixture
def amqp_url():
    program = os.environ.get("LEVERET", "leveret")
    options = ["--in-memory", "--listen", "127.0.0.1:0", "--http", "off", "--metrics", "off", "--log", "warning"]
    broker = subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True)
    try:
        ready = broker.stdout.readline()  # once it accepts connections
        address = re.search(r"amqp=(\S+)", ready)
        assert address, f"the broker did not start: {ready}"
        yield f"amqp://guest:guest@{address[1]}/"
    finally:
        broker.terminate()
        assert broker.wait(30) == 0
