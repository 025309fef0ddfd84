"""What the five services share: names and settings of exchanges and queues, arguments, the way to take messages.

The Rust services use the same, so any of them can be replaced by one of these and back.
"""

import argparse
import os
import sys

from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerProducerMixin

EMAILS = Exchange("emails", type="fanout", durable=True)
SPAMMER = Exchange("spammer", type="direct", durable=True)
CRUNCHERS = {
    "fast": Queue("regex-cruncher", exchange=EMAILS, durable=True),
    "slow": Queue("slow-cruncher", exchange=EMAILS, durable=True),
}
STATUS = Queue("status", durable=True)
DOMAIN = "apple.com"
NAME_BYTES_MAX = 255


def spam_queue(local_part):
    """The queue of one address: called like its local part, unless that is the name of a queue that is taken."""
    taken = local_part in ("regex-cruncher", "slow-cruncher", "status") or local_part.startswith("amq.")
    name = f"spammer@{local_part}" if taken else local_part
    return Queue(name, exchange=SPAMMER, routing_key=local_part, durable=True)


def arguments(description):
    """A parser with the arguments of every service."""
    parser = argparse.ArgumentParser(description=description)
    default = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
    parser.add_argument("--url", default=default, help="the broker (AMQP_URL)")
    parser.add_argument("--limit", type=int, metavar="N", help="end after N messages")
    return parser


def connect(url):
    """A connection whose publishes wait until the broker has taken the message."""
    return Connection(url, transport_options={"confirm_publish": True})


def declare(connection):
    """Declares all that every service needs, so that they may start in any order."""
    with connection.channel() as channel:
        for entity in (SPAMMER, *CRUNCHERS.values(), STATUS):
            entity(channel).declare()


def note(text):
    """A remark, on standard error."""
    print(text, file=sys.stderr, flush=True)


def tell(text):
    """A result, on standard output."""
    print(text, flush=True)


def text_of(message):
    """The body as text, or None when it is none."""
    body = message.body
    if isinstance(body, str):
        return body
    try:
        return bytes(body).decode("utf-8")
    except UnicodeDecodeError:
        return None


def label_of(message):
    """The properties that pass a message's label on."""
    label = message.properties.get("correlation_id")
    return {"correlation_id": label} if label else {}


class Service(ConsumerProducerMixin):
    """Takes one message at a time from a queue and acknowledges it once `work` is done with it."""

    def __init__(self, connection, queue, limit=None):
        self.connection = connection
        self.queue = queue
        self.left = limit

    def get_consumers(self, consumer_class, channel):
        return [consumer_class([self.queue], on_message=self.on_message, prefetch_count=1)]

    def on_message(self, message):
        self.work(message)
        message.ack()
        if self.left is not None:
            self.left -= 1
            self.should_stop = self.left <= 0

    def work(self, message):
        raise NotImplementedError


def run(service):
    """Runs a service until its limit or Ctrl-C."""
    declare(service.connection)
    if service.left is not None and service.left <= 0:
        return
    try:
        service.run()
    except KeyboardInterrupt:
        pass
