"""Tutorial 5: receives messages under keys that fit some patterns, in a queue of its own."""

import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.exchange_declare("topic_logs", "topic")
queue = channel.queue_declare("", exclusive=True).method.queue
for pattern in sys.argv[1:]:
    channel.queue_bind(queue, "topic_logs", pattern)


def on_message(_channel, method, _properties, body):
    print(f"received {method.routing_key}:{body.decode()}", flush=True)


channel.basic_consume(queue, on_message, auto_ack=True)
print("waiting", flush=True)
channel.start_consuming()
