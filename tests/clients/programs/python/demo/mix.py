"""mix.py CRUNCHERS OTHERS: the email cruncher, its services of two makes (`rust`, `kombu`) working together.

Prompt and status are of the one make, crunchers and spammers of the other; each is a process of its own.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pika

KOMBU = Path(__file__).resolve().parents[5] / "cruncher-demo" / "python" / "kombu"
URL = os.environ["AMQP_URL"]
DOMAIN = "apple.com"
LETTERS = {
    "first.txt": "Dear Ann, please write to ann@apple.com or bob@orchard.org.\n",
    "second.txt": "Ann (ann@apple.com) again, carl@apple.com and, from elsewhere, dora@pears.net.\n",
    "third.txt": "Nobody is named in this one.\n",
}
ADDRESSES, WARNED = 4, ["ann", "carl"]
QUEUES = ["regex-cruncher", "slow-cruncher", "status", *WARNED]


def command(make, service, *options):
    program = [os.environ["CRUNCHER_DEMO"], service] if make == "rust" else [sys.executable, KOMBU / f"{service}.py"]
    return [*program, "--url", URL, *options]


class Services:
    """Processes that run side by side, and what each of them said."""

    def __init__(self, folder):
        self.folder = folder
        self.running = {}

    def start(self, name, make, service, *options):
        log = self.folder / f"{name}.log"
        with log.open("w") as out:
            self.running[name] = subprocess.Popen(
                command(make, service, *options), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def finish(self, name):
        code = self.running[name].wait(60)
        assert code == 0, f"{name} ended with {code}"
        return (self.folder / f"{name}.log").read_text()

    def end(self):
        for name, process in self.running.items():
            process.kill()
            process.wait()
            print(f"--- {name} ({process.returncode})", (self.folder / f"{name}.log").read_text(), sep="\n")


def state(channel, queue):
    """How many messages and consumers a queue has, nothing if it is not there."""
    try:
        declared = channel().queue_declare(queue, passive=True).method
        return declared.message_count, declared.consumer_count
    except pika.exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == 404, error
        return None


def mix(crunchers, others, folder, channel):
    for name, text in LETTERS.items():
        (folder / name).write_text(text)
    services = Services(folder)
    try:
        for local_part in WARNED:
            services.start(f"spam {local_part}", crunchers, "spam", "--name", local_part, "--limit", "1")
        for kind in ["fast", "slow"]:
            services.start(kind, crunchers, "crunch", f"--{kind}", "--limit", str(len(LETTERS)))
        services.start("status", others, "status", "--domain", DOMAIN, "--limit", str(2 * len(LETTERS)))
        deadline = time.monotonic() + 60
        while any(state(channel, queue) != (0, 1) for queue in QUEUES):
            assert time.monotonic() < deadline, "not every service consumes its queue"
            time.sleep(0.05)

        services.start("prompt", others, "prompt", *(str(folder / name) for name in LETTERS))
        said = {name: services.finish(name) for name in list(services.running)}
    finally:
        services.end()

    for queue in QUEUES:
        assert state(channel, queue) == (0, 0), f"{queue} is not empty: {state(channel, queue)}"
    totals = said["status"].splitlines()[-1]
    assert f"{ADDRESSES} addresses (fast {ADDRESSES}, slow {ADDRESSES})" in totals, totals
    news = re.findall(r"^status: new: (\S+)@", said["status"], re.MULTILINE)
    assert sorted(news) == WARNED, news
    for local_part in WARNED:
        letters = [path.read_text() for path in folder.rglob("*.eml") if f"{local_part}@{DOMAIN}" in path.read_text()]
        assert len(letters) == 1, f"{len(letters)} warnings to {local_part}"


connection = pika.BlockingConnection(pika.URLParameters(URL))
with contextlib.closing(connection), tempfile.TemporaryDirectory(prefix="demo-mix-") as folder:
    mix(*sys.argv[1:3], Path(folder), connection.channel)
    for queue in QUEUES:
        connection.channel().queue_delete(queue)
    for exchange in ["emails", "spammer"]:
        connection.channel().exchange_delete(exchange)
