"""Tutorial 3: a fanout exchange copies each message to every queue that is bound at that moment."""

from broker import connect, wait_until

EXCHANGE = "tutorial.logs"


class Subscriber:
    def __init__(self):
        self.connection = connect()
        channel = self.connection.channel()
        # The broker picks the name; the queue lives as long as this connection.
        self.queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(self.queue, EXCHANGE)
        self.lines = []
        channel.basic_consume(self.queue, self.on_line, auto_ack=True)

    def on_line(self, _channel, _method, _properties, body):
        self.lines.append(body)


publishing = connect()
publisher = publishing.channel()
publisher.exchange_declare(EXCHANGE, exchange_type="fanout")
publisher.basic_publish(EXCHANGE, "", b"nobody listens yet")

first, second = Subscriber(), Subscriber()
assert first.queue != second.queue
publisher.basic_publish(EXCHANGE, "any key is ignored", b"to both")
wait_until(lambda: first.lines and second.lines, first.connection, second.connection)

second.connection.close()
publisher.basic_publish(EXCHANGE, "", b"to the one that is left")
wait_until(lambda: len(first.lines) == 2, first.connection)

assert first.lines == [b"to both", b"to the one that is left"]
assert second.lines == [b"to both"]

first.connection.close()
publisher.exchange_delete(EXCHANGE)
publishing.close()
