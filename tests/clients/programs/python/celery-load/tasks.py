"""The application under load. A task that may be lost with its worker is acknowledged late, so that it comes again."""

import os

from celery import Celery
from kombu import Queue

app = Celery("tasks", broker=os.environ["AMQP_URL"], backend=os.environ.get("RESULT_BACKEND", "rpc://"))
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"confirm_publish": True},
    task_queues=[
        Queue("load.plain"),
        Queue("load.ranked", queue_arguments={"x-max-priority": 10}),
        Queue("load.chords"),
    ],
    task_default_queue="load.plain",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    event_queue_ttl=120,
)


def write_down(request, name):
    """One line for each time that a task ran: one write, so that processes cannot mix theirs."""
    again = "again" if request.delivery_info["redelivered"] else "first"
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(journal, f"{name} {again}\n".encode())
    os.close(journal)


@app.task(bind=True, ignore_result=True)
def work(self, name):
    write_down(self.request, name)


@app.task
def add(a, b):
    return a + b


@app.task(bind=True)
def total(self, numbers, name):
    write_down(self.request, name)
    return sum(numbers)
