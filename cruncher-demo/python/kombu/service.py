"""What the services share: their arguments, and the way to take messages until told to end."""

import argparse
import logging
import os
import signal
import sys

import topology
from amqp.exceptions import AMQPError, MessageNacked
from kombu import Producer
from kombu.exceptions import KombuError
from kombu.mixins import ConsumerProducerMixin

# The mixin logs a lost connection with a stack trace; a sentence of our own will do.
logging.getLogger("kombu.mixins").setLevel(logging.ERROR)


class Service(ConsumerProducerMixin):
    """Takes one message at a time from a queue and acknowledges it once `work` is done with it.

    The mixin brings the loop, a second connection to publish on, and a new connection when one is lost. What was not
    acknowledged on the old one comes again.
    """

    def __init__(self, connection, queue, limit=None):
        self.connection = connection
        self.queue = queue
        self.left = limit
        self.is_working = False

    def work(self, message):
        raise NotImplementedError

    def get_consumers(self, consumer_class, channel):
        # Again on each new connection: a broker that keeps nothing on a disk has forgotten all of it.
        topology.declare(channel)
        return [consumer_class([self.queue], on_message=self.take, prefetch_count=1)]

    def take(self, message):
        if self.should_stop:
            return  # it came while we were leaving, and goes to another
        self.is_working = True
        try:
            self.work(message)
            message.ack()
        finally:
            self.is_working = False
        if self.left is not None:
            self.left -= 1
            self.should_stop = self.left <= 0

    @property
    def producer(self):
        return Producer(self.producer_connection)

    def on_connection_error(self, why, pause):
        note(f"no broker ({why}); again in {pause:.0f} seconds")

    def on_connection_revived(self):
        self.on_consume_end(None, None)  # the other connection, to publish on, belongs to the broker that is gone
        note(f"connected; taking messages from {self.queue.name}")

    def stop(self, *_):
        """The first signal ends us after the message in hand, a second one at once."""
        if self.should_stop:
            os._exit(130)
        self.should_stop = True
        if not self.is_working:
            raise SystemExit(0)


def run(service):
    """Runs a service until its limit, Ctrl-C or SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, service.stop)
    with service.connection.channel() as channel:
        topology.declare(channel)  # that we cannot use this broker shows now, not in a loop
    if service.left is None or service.left > 0:
        service.run()


def start(main):
    """Calls a program's `main`; what ends it is one sentence and not a stack trace."""
    try:
        main()
    except MessageNacked:
        sys.exit("the broker did not take a message")
    except UnicodeError:
        sys.exit("a file name must be UTF-8")
    except (OSError, KombuError, AMQPError) as why:
        sys.exit(f"broker: {why}")


def arguments(description):
    """A parser with the arguments of every service."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", default=os.environ.get("AMQP_URL", topology.URL), help="the broker (AMQP_URL)")
    parser.add_argument("--limit", type=int, metavar="N", help="end after N messages")
    return parser


def entered():
    """The names that a person enters, until `quit` or the end of the input."""
    while (line := input("> ").strip()) != "quit":
        if line:
            yield line


def note(remark):
    """A remark, on standard error."""
    print(remark, file=sys.stderr, flush=True)


def tell(result):
    """A result, on standard output."""
    print(result, flush=True)
