"""Where plain AMQP messages become Celery tasks: a step of the worker that consumes a queue of the email cruncher.

Celery itself takes only messages that name one of its tasks. A bootstep adds consumers to a worker's connection; they
live in its main process and come back with each new connection.
"""

from functools import partial

from settings import NOT_PUBLISHED, RESULT  # isort: skip

import messages
import topology
from celery import bootsteps
from kombu import Consumer
from service import note


class Bridge(bootsteps.ConsumerStep):
    """Takes messages one at a time, and acknowledges each once `work` has handed on what follows from it."""

    queues = ()

    def include_if(self, consumer):
        return bool(self.queues)

    def get_consumers(self, channel):
        topology.declare(channel)
        # The prefetch counts for each consumer, and apart from that of tasks.
        return [self.consumer(channel, queue) for queue in self.queues]

    def consumer(self, channel, queue):
        take = partial(self.take, queue)
        return Consumer(channel, [queue], on_message=take, on_decode_error=self.refuse, prefetch_count=1)

    def refuse(self, message, why):
        note(f"a message that Kombu cannot read: {why}")
        message.ack()

    def take(self, queue, message):
        try:
            self.work(queue, message)
        except NOT_PUBLISHED as why:
            # To the worker, this says: connect anew. What was not acknowledged comes again.
            raise ConnectionError(f"what follows from a message was not published: {why}") from why
        message.ack()

    def work(self, queue, message):
        raise NotImplementedError


class Crunch(Bridge):
    """A cruncher: takes file names. What is none has a result too, an empty one."""

    kind = None
    report = None  # the task that publishes a result

    def work(self, queue, message):
        label = messages.label(message)
        try:
            name = messages.file_name(message)
        except ValueError as why:
            note(f"{self.kind}: no file name: {why}")
            self.report.apply_async(([], None, label), priority=RESULT)
            return
        self.crunch(name, label)

    def crunch(self, name, label):
        raise NotImplementedError
