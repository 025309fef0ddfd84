"""Celery tasks that wait for the only process of a worker: warnings go before results, and results before letters."""

import os
import sys

from demo import LETTERS, demo
from makes import CELERY, SERVICES, worker

url = os.environ["AMQP_URL"]
sys.path.insert(0, str(CELERY))
from settings import LETTER, RESULT, WARNING  # noqa: E402
from tasks import find_fast, report, warn  # noqa: E402

with demo(url, **dict.fromkeys(SERVICES, "celery")) as run:
    for letter in LETTERS:
        find_fast.apply_async((letter,), priority=LETTER)
    report.apply_async((["ann@apple.com"], LETTERS[0]), priority=RESULT)
    for name in ["ann", "rosa"]:
        warn.apply_async((name, "apple.com", str(run.mails)), priority=WARNING)
    run.run("celery cruncher", worker("cruncher"))

    def order():
        """The tasks in their order, from the worker's log."""
        lines = run.said("celery cruncher").splitlines()
        return [line.split("Task tasks.")[1].split("[")[0] for line in lines if "Task tasks." in line and "succeeded" in line]

    expected = ["warn"] * 2 + ["report"] + ["find_fast"] * len(LETTERS)
    run.wait_until(lambda: len(order()) == len(expected), lambda: f"done: {order()}")
    assert order() == expected, order()
    run.stop()
