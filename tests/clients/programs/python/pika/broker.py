"""What the tutorial programs share: a connection to the broker under test, and waiting for what it delivers."""

import os
import time

import pika


def connect():
    return pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))


def fresh_queue(channel, queue, **arguments):
    """Declares a queue that has nothing left in it from a run that failed."""
    channel.queue_delete(queue)
    return channel.queue_declare(queue, **arguments).method.queue


def wait_until(condition, *connections):
    """Serves the connections' events until the condition holds; a broker that never gets there is a failure."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the broker did not deliver what was expected"
        for connection in connections:
            connection.process_data_events(time_limit=0.01)
