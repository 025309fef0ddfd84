"""Tutorial 2: works on one task at a time, a second for each dot in it, and acknowledges what is done."""

import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.queue_declare("task_queue", durable=True)
channel.basic_qos(prefetch_count=1)


def on_task(channel, method, _properties, body):
    connection.sleep(body.count(b"."))
    channel.basic_ack(method.delivery_tag)
    print("done", body.decode(), flush=True)


channel.basic_consume("task_queue", on_task)
print("waiting", flush=True)
channel.start_consuming()
