"""Runs the email cruncher, its services of whatever makes, over its example letters, and knows what has to come out."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import makes
import pika

# Those in which all makes find the same. For the other examples the slow cruncher needs what only the Rust version has: a list of
# the domains that there are.
LETTERS = [str(makes.DEMO / "letters" / name) for name in ("forwarded.eml", "harvest.eml", "homepage.html", "notice.txt", "plain.txt")]
DOMAIN = "apple.com"
ADDRESSES = f"31 addresses (fast 17, slow 20), 11 in {DOMAIN}"
WARNED = ["ann", "bob", "dora", "emil", "fritz", "ida", "lena", "nora", "paula", "rosa", "sven"]
WATCHED = ["ann", "rosa"]  # those a spammer listens for
QUEUES = ["regex-cruncher", "slow-cruncher", "status", *WATCHED]
EXCHANGES = ["emails", "spammer", "cruncher@celery", "slow@celery"]


def wait_until(condition, what, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.05)


class Demo:
    """Services that run side by side, and what each of them has said."""

    def __init__(self, url, folder, **of_makes):
        self.url, self.folder, self.makes = url, folder, of_makes
        self.mails = folder / "mails"
        self.running = {}
        self.results = 2 * len(LETTERS)  # a result from each cruncher for each file

    def start(self):
        for name, command in makes.commands(self.makes, WATCHED, self.url, self.mails).items():
            self.run(name, command)
        self.wait_until(self.is_ready, lambda: f"not every service consumes its queue: {self.states()}")

    def run(self, name, command):
        with self.log(name).open("a") as out:
            self.running[name] = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env=makes.environment(self.url, self.folder),
            )

    def prompt(self, files=LETTERS):
        self.log("prompt").unlink(missing_ok=True)
        self.run("prompt", makes.prompt(self.makes["prompt"], self.url, files))
        assert self.running.pop("prompt").wait(90) == 0, f"the prompt failed: {self.said('prompt')}"
        told = re.findall(r"^prompt: (.*)$", self.said("prompt"), re.MULTILINE)
        # The one in Rust draws a bar for so many.
        assert told == files or self.makes["prompt"] == "rust" and len(files) >= 100, told

    def wait_until(self, condition, what):
        def holds():
            for name, process in self.running.items():
                assert process.poll() is None, f"{name} ended by itself with {process.returncode}"
            return condition()

        wait_until(holds, what)

    def log(self, name):
        return self.folder / f"{name}.log"

    def said(self, name):
        return self.log(name).read_text()

    def status(self):
        """What the status service has said, of whatever make it is."""
        return self.said("celery cruncher" if self.makes["status"] == "celery" else "status")

    def totals(self):
        return (re.findall(r"^status: (\d+ results.*)$", self.status(), re.MULTILINE) or [""])[-1]

    def expected_totals(self):
        return f"{self.results} results, {ADDRESSES}"

    def news(self):
        """The new addresses that were told, and the mark of those that nobody warns."""
        return sorted(re.findall(rf"^status: new: (\S+)@{DOMAIN}( \(no spammer listens for it\))?$", self.status(), re.MULTILINE))

    def warnings(self):
        texts = [path.read_text() for path in self.mails.glob("*.eml")] if self.mails.exists() else []
        return sorted(re.findall(rf"^To: (\S+)@{DOMAIN}\r?$", "\n".join(texts), re.MULTILINE))

    def states(self):
        """How many messages and consumers each queue has, nothing if it is not there."""
        with contextlib.closing(pika.BlockingConnection(pika.URLParameters(self.url))) as connection:
            return {queue: state(connection, queue) for queue in QUEUES}

    def is_ready(self):
        return all(state == (0, 1) for state in self.states().values())

    def is_done(self):
        return self.totals() == self.expected_totals() and self.warnings() == WATCHED and self.is_ready()

    def finish(self):
        """Waits for the end of the work, then stops all services, and checks that nothing came after it."""
        self.wait_until(self.is_done, lambda: f"not done: {self.totals()}; {self.warnings()}; {self.states()}")
        self.wait_until(lambda: len(self.news()) == len(WARNED), lambda: f"new: {self.news()}")
        self.stop()
        assert all(state == (0, 0) for state in self.states().values()), self.states()
        assert self.totals() == self.expected_totals(), self.totals()
        expected = [(name, "" if name in WATCHED else " (no spammer listens for it)") for name in WARNED]
        assert self.news() == expected, self.news()
        assert self.warnings() == WATCHED, self.warnings()

    def stop(self):
        for process in self.running.values():
            process.terminate()
        ended = {name: process.wait(60) for name, process in self.running.items()}
        assert not any(ended.values()), f"ended with {ended}"
        self.running.clear()

    def kill(self, names):
        """Ends services without a chance to say goodbye, with all that they started, and gives their commands."""
        names = list(names)
        self.signal(names, signal.SIGKILL)
        killed = {name: self.running.pop(name) for name in names}
        for process in killed.values():
            process.wait()
        return {name: process.args for name, process in killed.items()}

    def signal(self, names, number):
        """To services and all that they started."""
        for name in names:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.running[name].pid, number)

    def show(self):
        for log in sorted(self.folder.glob("*.log")):
            print(f"--- {log.stem}", log.read_text(), sep="\n")



def state(connection, queue):
    try:
        declared = connection.channel().queue_declare(queue, passive=True).method
        return declared.message_count, declared.consumer_count
    except pika.exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == 404, error
        return None


@contextlib.contextmanager
def demo(url, **of_makes):
    """A demo that is not started yet. At the end its processes and queues go; what they said is shown if it failed."""
    clean_up(url)  # after a run that failed
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        run = Demo(url, Path(folder), **of_makes)
        try:
            yield run
        except BaseException:
            run.show()
            raise
        finally:
            run.kill(run.running)
            clean_up(url)


def clean_up(url):
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        for queue in [*QUEUES, "cruncher@celery", "slow@celery"]:
            channel.queue_delete(queue)
        for exchange in EXCHANGES:
            channel.exchange_delete(exchange)
