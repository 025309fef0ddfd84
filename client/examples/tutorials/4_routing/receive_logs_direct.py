"""Tutorial 4: receives messages of some severities, in a queue of its own."""

import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.exchange_declare("direct_logs", "direct")
queue = channel.queue_declare("", exclusive=True).method.queue
for severity in sys.argv[1:]:
    channel.queue_bind(queue, "direct_logs", severity)


def on_message(_channel, method, _properties, body):
    print(f"received {method.routing_key}:{body.decode()}", flush=True)


channel.basic_consume(queue, on_message, auto_ack=True)
print("waiting", flush=True)
channel.start_consuming()
