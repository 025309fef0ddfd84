"""Tutorial 1: receives what comes to a queue."""

import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.queue_declare("hello")


def on_message(_channel, _method, _properties, body):
    print("received", body.decode(), flush=True)


channel.basic_consume("hello", on_message, auto_ack=True)
print("waiting", flush=True)
channel.start_consuming()
