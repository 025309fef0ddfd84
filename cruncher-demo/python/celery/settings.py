"""What the two applications of this folder share: broker, queue, priorities, and how a task is treated.

The other modules import this one first, since it says where what they share with the Kombu version is.
"""

import os
import sys
from pathlib import Path

from amqp.exceptions import AMQPError, MessageNacked
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError

# Exchanges, messages, finders and mails are those of the Kombu version. How the work is done is what differs here.
sys.path.append(str(Path(__file__).resolve().parent.parent / "kombu"))
import topology  # noqa: E402

# What is nearest to its end goes first: no warning waits behind a thousand letters.
LETTER, RESULT, WARNING = 1, 5, 9

# What a publish ends with when the connection is gone, or the broker cannot take the message now.
NOT_PUBLISHED = (OperationalError, AMQPError, MessageNacked, OSError)


def application(name, backend):
    """A Celery application with one queue of tasks, which is sorted by priority.

    The @ keeps its name apart from the queues of warnings, which are called like local parts.
    """
    app = Celery(name, broker=os.environ.get("AMQP_URL", topology.URL), backend=backend)
    queue = f"{name}@celery"
    app.conf.update(
        task_queues=[Queue(queue, queue_arguments={"x-max-priority": 10})],
        task_default_queue=queue,
        # A task is acknowledged when it is done. What a killed worker had in hand, another one does.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # One message at a time for each process: the rest waits in the broker, where it is sorted.
        worker_prefetch_multiplier=1,
        # A publish returns when the broker has taken the message.
        broker_transport_options={"confirm_publish": True},
        broker_connection_retry_on_startup=True,
        # For Flower: what becomes of each task.
        worker_send_task_events=True,
        task_send_sent_event=True,
        # What a task prints goes to standard output as it is, as in the other versions.
        worker_redirect_stdouts=False,
    )
    return app
