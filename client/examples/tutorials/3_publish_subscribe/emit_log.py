"""Tutorial 3: sends a message for everyone who listens now."""

import os
import sys

import pika

message = " ".join(sys.argv[1:])
connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.exchange_declare("logs", "fanout")
channel.basic_publish("logs", "", message.encode())
print("sent", message)
connection.close()
