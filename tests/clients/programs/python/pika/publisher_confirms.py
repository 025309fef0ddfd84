"""Tutorial 7: the broker confirms what it has taken; one by one, or as a stream that the publisher keeps account of."""

import os

import pika
from broker import connect, fresh_queue
from pika.exceptions import ChannelClosedByClient, ConnectionClosedByClient, UnroutableError

QUEUE = "tutorial.confirmed"
STREAM = 2000

connection = connect()
channel = connection.channel()
fresh_queue(channel, QUEUE)
channel.confirm_delivery()

# One by one: each publish returns once the broker has taken the message, and raises when it can go nowhere.
for n in range(50):
    channel.basic_publish("", QUEUE, str(n).encode(), mandatory=True)
try:
    channel.basic_publish("", "tutorial.no-such-queue", b"lost?", mandatory=True)
    raise AssertionError("an unroutable mandatory message was not returned")
except UnroutableError as error:
    [returned] = error.messages
    assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert returned.body == b"lost?"
assert channel.queue_purge(QUEUE).method.message_count == 50


class Stream:
    """Publishes without waiting; confirms come back on their own, several at once where the broker says so."""

    def __init__(self):
        self.outstanding = {}
        self.failure = None
        self.connection = pika.SelectConnection(
            pika.URLParameters(os.environ["AMQP_URL"]),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self.on_channel),
            on_open_error_callback=self.on_closed,
            on_close_callback=self.on_closed,
        )
        self.connection.ioloop.call_later(60, lambda: self.stop("not everything was confirmed"))

    def on_channel(self, channel):
        channel.add_on_close_callback(self.on_closed)
        channel.confirm_delivery(self.on_confirm, callback=lambda _ok: self.publish(channel))

    def publish(self, channel):
        for tag in range(1, STREAM + 1):
            self.outstanding[tag] = body = f"{tag:032}".encode()
            channel.basic_publish("", QUEUE, body)

    def on_confirm(self, frame):
        confirm = frame.method
        if not isinstance(confirm, pika.spec.Basic.Ack):
            return self.stop(f"refused: {confirm}")
        tags = [confirm.delivery_tag]
        if confirm.multiple:
            tags = [tag for tag in self.outstanding if tag <= confirm.delivery_tag]
        for tag in tags:
            del self.outstanding[tag]
        if not self.outstanding:
            self.connection.close()

    def on_closed(self, _connection, reason):
        self.stop(None if isinstance(reason, ConnectionClosedByClient | ChannelClosedByClient) else reason)

    def stop(self, failure):
        self.failure = self.failure or failure
        self.connection.ioloop.stop()


stream = Stream()
stream.connection.ioloop.start()
assert stream.failure is None, stream.failure

# All of it is there, in the order of publishing.
for tag in range(1, STREAM + 1):
    _, _, body = channel.basic_get(QUEUE, auto_ack=True)
    assert body == f"{tag:032}".encode(), (tag, body)
assert channel.basic_get(QUEUE) == (None, None, None)
channel.queue_delete(QUEUE)
connection.close()
