"""Tutorial 4: a direct exchange sends each message to the queues bound with exactly its routing key."""

from broker import connect, wait_until

EXCHANGE = "tutorial.severities"
SEVERITIES = ["info", "warning", "error", "debug"]

connection = connect()
channel = connection.channel()
channel.exchange_declare(EXCHANGE, exchange_type="direct")


def subscribe(*severities):
    queue = channel.queue_declare("", exclusive=True).method.queue
    for severity in severities:
        channel.queue_bind(queue, EXCHANGE, routing_key=severity)
    received = []

    def on_message(_channel, method, _properties, _body):
        received.append(method.routing_key)

    channel.basic_consume(queue, on_message, auto_ack=True)
    return queue, received


_, on_disk = subscribe("error")
screen, on_screen = subscribe("info", "warning", "error")

for severity in SEVERITIES:
    channel.basic_publish(EXCHANGE, severity, b"something happened")
wait_until(lambda: len(on_disk) == 1 and len(on_screen) == 3, connection)
assert on_disk == ["error"]
assert on_screen == ["info", "warning", "error"]

# A binding that is taken away no longer counts.
channel.queue_unbind(screen, EXCHANGE, routing_key="error")
for severity in ["error", "info"]:
    channel.basic_publish(EXCHANGE, severity, b"and again")
wait_until(lambda: len(on_disk) == 2 and len(on_screen) == 4, connection)
assert on_screen[3:] == ["info"]

channel.exchange_delete(EXCHANGE)
connection.close()
