"""What is sent and what becomes of it: as the tasks themselves write it down, and as the workers' events tell it."""

import collections
import random
import threading
import time

from processes import wait_until

OUTSTANDING = 300  # tasks under way at most, so that what waits is always some seconds' work
random.seed(1)


class Journal:
    """What has run, as the tasks wrote it down: for each name, whether for the first time, or again."""

    def __init__(self, path):
        path.touch()
        self.lines = path.open("r")
        self.ran = collections.defaultdict(list)

    def read(self):
        while (line := self.lines.readline()).endswith("\n"):
            name, again = line.split()
            self.ran[name].append(again)
        return self.ran


class Events(threading.Thread):
    """Counts the events of every task; the connection may die, and what happens until it is back goes unseen."""

    def __init__(self, app):
        super().__init__(daemon=True)
        self.app = app
        self.seen = collections.Counter()
        self.any = threading.Event()
        self.start()

    def wait(self):
        """Until there is one, as there is every two seconds if the connection is there."""
        self.any.clear()
        assert self.any.wait(90), "no events"

    def run(self):
        while True:
            try:
                with self.app.connection_for_read() as connection:
                    self.app.events.Receiver(connection, handlers={"*": self.on_event}).capture(limit=None, timeout=None)
            except (OSError, *connection.connection_errors):
                time.sleep(0.2)

    def on_event(self, event):
        self.any.set()
        if event["type"].startswith("task-"):
            self.seen[event["type"], event["uuid"]] += 1


class Load:
    """Sends tasks, each with a number of its own, and knows which of them have run."""

    def __init__(self, work, journal):
        self.work, self.journal = work, journal
        self.sent = {}  # number to the id of the last task sent for it
        self.forgotten = set()  # sent again after the broker had lost its memory

    def send(self, number):
        options = {}
        if number % 4 == 1:
            options = {"queue": "load.ranked", "priority": random.randrange(10)}
        elif number % 4 == 2:
            options = {"countdown": random.uniform(0.5, 3)}
        self.sent[number] = self.work.apply_async([number], **options).id

    def waiting(self):
        ran = self.journal.read()
        return {number for number in self.sent if str(number) not in ran}

    def run(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if len(self.waiting()) < OUTSTANDING:
                for _ in range(20):
                    self.send(len(self.sent))
            else:
                time.sleep(0.01)

    def drain(self):
        """Waits until every task has run."""
        left = None
        while waiting := self.waiting():
            assert waiting != left, f"lost or stuck: {sorted(waiting)[:20]}"
            left = waiting
            try:
                wait_until(lambda: self.waiting() != waiting, "")
            except AssertionError:
                pass

    def send_again(self):
        """What the broker forgot; a worker may have had some of it, and not yet be done with it."""
        again = self.waiting()
        self.forgotten |= again
        for number in again:
            self.send(number)
        return len(again)

    def check(self):
        """A task runs for the first time once; again it runs only if the broker says so. Returns how many did."""
        ran = self.journal.read()
        exempt = {str(number) for number in self.forgotten}
        doubled = [name for name, times in ran.items() if times.count("first") > 1 and name not in exempt]
        assert not doubled, f"doubled: {doubled[:20]}"
        return sum(times.count("again") for times in ran.values())
