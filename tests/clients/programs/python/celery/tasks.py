"""The Celery application: broker and result backend come from the environment, the tasks are as small as can be."""

import os
import time
from pathlib import Path

from celery import Celery
from kombu import Queue

app = Celery("tasks", broker=os.environ["AMQP_URL"], backend=os.environ.get("RESULT_BACKEND", "rpc://"))
app.conf.update(
    # One message at a time for each worker process: the broker keeps the rest, and so decides what comes next.
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
    task_queues=[Queue("tasks.plain"), Queue("tasks.ranked", queue_arguments={"x-max-priority": 10})],
    task_default_queue="tasks.plain",
)


@app.task
def add(a, b):
    return a + b


@app.task
def double(a):
    return 2 * a


@app.task
def total(numbers):
    return sum(numbers)


@app.task(throws=ValueError)
def fail(text):
    raise ValueError(text)


@app.task(acks_late=True, ignore_result=True)
def hold(started, go_on):
    """Keeps its worker busy, its message unacknowledged, until the file go_on is there."""
    Path(started).touch()
    while not Path(go_on).exists():
        time.sleep(0.01)


@app.task(acks_late=True, ignore_result=True)
def note(journal, name):
    """Writes down that it ran."""
    with open(journal, "a") as lines:
        print(name, file=lines)
