"""Tutorial 2: gives a task to one of several workers. It survives a restart of the broker."""

import os
import sys

import pika

task = " ".join(sys.argv[1:])
connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.queue_declare("task_queue", durable=True)
channel.basic_publish("", "task_queue", task.encode(), pika.BasicProperties(delivery_mode=2))
print("sent", task)
connection.close()
