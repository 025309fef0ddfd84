"""The email cruncher as a Celery application: all services but the slow cruncher, which is in slow.py.

    celery --app cruncher worker --fast --status --spam ann --spam bob

Each option opens a bridge from a queue of the cruncher to tasks. A worker without any does the tasks of the others.
"""

from settings import LETTER, RESULT, WARNING  # isort: skip

from pathlib import Path

import messages
import topology
from bridge import Bridge, Crunch
from celery import chain, group
from celery.worker.control import inspect_command
from click import Option
from service import note, tell
from tally import Tally
from tasks import app, ask_for_warning, find_fast, report, warn


class Fast(Crunch):
    """Fast cruncher: a chain of two tasks for each file name; what the first finds is what the second reports."""

    kind, report = "fast", report

    def __init__(self, consumer, fast=False, **options):
        self.queues = [topology.CRUNCHERS["fast"]] if fast else []

    def crunch(self, name, label):
        chain(find_fast.s(name).set(priority=LETTER), report.s(name, label).set(priority=RESULT))()


class Status(Bridge):
    """Status: counts, and starts a group of tasks for the new addresses.

    It counts right here: the worker has only one main process, and each process of its pool would have a tally of its own.
    """

    tally = None

    def __init__(self, consumer, status=False, domain=topology.DOMAIN, **options):
        self.queues = [topology.STATUS] if status else []
        self.owed = []
        Status.tally = Tally(domain) if status else None

    def work(self, queue, message):
        try:
            result = messages.result(message)
        except ValueError as why:
            note(f"status: not a list of addresses: {why}")
            return
        for local_part in self.tally.record(result.cruncher, result.addresses):
            if len(local_part.encode()) > topology.NAME_BYTES_MAX:
                note(f"status: {local_part}@{self.tally.domain} gets no warning: longer than a routing key")
            else:
                self.owed.append(ask_for_warning.s(local_part, self.tally.domain, result.label))
        # An address is new only once: if the broker is lost here, the result comes again, and its warnings are still owed.
        if self.owed:
            group(self.owed).apply_async(priority=WARNING)
            self.owed.clear()
        tell(f"status: {self.tally}")


class Spam(Bridge):
    """Spammer: one queue for each name that this worker warns, and a task for each warning."""

    def __init__(self, consumer, spam=(), domain=topology.DOMAIN, out="warnings", **options):
        self.names = {topology.spam_queue(name).name: name for name in spam}
        self.queues = [topology.spam_queue(name) for name in spam]
        self.domain, self.folder = domain, str(Path(out).resolve())

    def work(self, queue, message):
        warn.apply_async((self.names[queue.name], self.domain, self.folder), priority=WARNING)


for step in (Fast, Status, Spam):
    app.steps["consumer"].add(step)

for option in (
    Option(["--fast"], is_flag=True, help="Be a fast cruncher."),
    Option(["--status"], is_flag=True, help="Be the status service."),
    Option(["--spam"], multiple=True, metavar="LOCALPART", help="Be the spammer of this name; once for each."),
    Option(["--domain"], default=topology.DOMAIN, help="The domain whose addresses are warned."),
    Option(["--out"], default="warnings", metavar="DIR", help="The folder for the mails."),
):
    app.user_options["worker"].add(option)


@inspect_command()
def totals(state):
    """What the status service has counted: `celery --app cruncher inspect totals --destination celery@HOST`."""
    return str(Status.tally) if Status.tally else None
