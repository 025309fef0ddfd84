"""Tutorial 4: sends a message of a severity."""

import os
import sys

import pika

severity, message = sys.argv[1], " ".join(sys.argv[2:])
connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.exchange_declare("direct_logs", "direct")
channel.basic_publish("direct_logs", severity, message.encode())
print(f"sent {severity}:{message}")
connection.close()
