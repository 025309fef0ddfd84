"""Tutorial 5: sends a message under a routing key."""

import os
import sys

import pika

routing_key, message = sys.argv[1], " ".join(sys.argv[2:])
connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.exchange_declare("topic_logs", "topic")
channel.basic_publish("topic_logs", routing_key, message.encode())
print(f"sent {routing_key}:{message}")
connection.close()
