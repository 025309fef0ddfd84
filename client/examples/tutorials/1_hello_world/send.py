"""Tutorial 1: sends a message to a queue."""

import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.queue_declare("hello")
channel.basic_publish("", "hello", b"Hello World!")
print("sent Hello World!")
connection.close()
