"""Tutorial 1: a sender puts one message on a named queue, a receiver takes it off."""

from broker import connect, fresh_queue, wait_until

QUEUE = "tutorial.hello"

# Whoever comes first declares the queue; the other's declaration finds it there.
sending, receiving = connect(), connect()
sender, receiver = sending.channel(), receiving.channel()
assert fresh_queue(sender, QUEUE) == QUEUE
receiver.queue_declare(QUEUE)

sender.basic_publish(exchange="", routing_key=QUEUE, body=b"Hello, hare!")
sending.close()

received = []


def on_message(_channel, method, _properties, body):
    received.append((method, body))


receiver.basic_consume(QUEUE, on_message, auto_ack=True)
wait_until(lambda: received, receiving)

[(method, body)] = received
assert body == b"Hello, hare!"
assert (method.exchange, method.routing_key, method.redelivered) == ("", QUEUE, False)

assert receiver.queue_delete(QUEUE).method.message_count == 0
receiving.close()
