"""The slow cruncher as a Celery application of its own: it takes a letter apart and works on all parts side by side.

    celery --app slow worker --hostname slow@%h

That is a chord: a group of tasks, and one more that gets all their results. Somebody has to notice that the last of them
is done, so a chord needs a backend that keeps results; rpc:// only passes them on. Here it is a file of SQLite.
"""

from settings import LETTER, RESULT, application  # isort: skip

import os
import tempfile
from pathlib import Path

import find
import letters
import messages
import topology
from bridge import Crunch
from celery import chord
from service import note, tell

TASKS_MAX = 16  # for one letter; one with more parts gives each task several
RESULTS = Path(tempfile.gettempdir(), "slow-cruncher.sqlite")

app = application("slow", backend=os.environ.get("CHORD_BACKEND", f"db+sqlite:///{RESULTS}"))
app.conf.result_chord_retry_interval = 0.2  # how often it looks if all parts are done, in seconds


@app.task(ignore_result=True)
def take_apart(name, label=None):
    """Starts tasks for the parts of a letter. What travels is the file's name and the part's number."""
    try:
        count = len(find.parts(letters.read(name)))
    except (OSError, ValueError) as why:
        note(f"slow: {name}: {why}")
        report.apply_async(([], name, label), priority=RESULT)
        return
    step = min(count, TASKS_MAX)
    # With the priority of the result, since the task that looks if all are done has that too: it must not go before them.
    tasks = [find_in_parts.s(name, first, step).set(priority=RESULT) for first in range(step)]
    chord(tasks)(gather.s(name, label).set(priority=RESULT))


@app.task
def find_in_parts(name, first, step):
    """The addresses in every so many parts of a letter."""
    try:
        parts = find.parts(letters.read(name))[first::step]
    except (OSError, ValueError) as why:  # the file has changed meanwhile
        note(f"slow: {name}: {why}")
        return []
    return [address for part in parts for address in find.addresses_in(*part)]


@app.task(ignore_result=True)
def gather(found, name, label=None):
    """Puts the parts together again. Celery makes a chain of a chord with one task, which passes on no list of lists."""
    lists = [found] if all(isinstance(address, str) for address in found) else found
    addresses = find.once_each(address for addresses in lists for address in addresses)
    tell(f"slow: {name}: {len(addresses)} found")
    report(addresses, name, label)


@app.task(ignore_result=True)
def report(addresses, name, label=None):
    """Publishes what was found to the status service, of whatever make."""
    with app.producer_or_acquire() as producer:
        messages.publish_result(producer, "slow", name, addresses, label, retry=True)


class Slow(Crunch):
    """A task for each file name."""

    kind, report = "slow", report
    queues = [topology.CRUNCHERS["slow"]]

    def crunch(self, name, label):
        take_apart.apply_async((name, label), priority=LETTER)


app.steps["consumer"].add(Slow)
