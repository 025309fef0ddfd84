"""Tutorial 3: receives every message from now on, in a queue of its own."""

import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.exchange_declare("logs", "fanout")
queue = channel.queue_declare("", exclusive=True).method.queue
channel.queue_bind(queue, "logs")


def on_message(_channel, _method, _properties, body):
    print("received", body.decode(), flush=True)


channel.basic_consume(queue, on_message, auto_ack=True)
print("waiting", flush=True)
channel.start_consuming()
