"""Tutorial 6: answers requests for Fibonacci numbers."""

import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.queue_declare("rpc_queue")
channel.basic_qos(prefetch_count=1)


def on_request(channel, method, properties, body):
    number, this, following = int(body), 0, 1
    print("asked for", number, flush=True)
    for _ in range(number):
        this, following = following, this + following
    answer = pika.BasicProperties(correlation_id=properties.correlation_id)
    channel.basic_publish("", properties.reply_to, str(this).encode(), answer)
    channel.basic_ack(method.delivery_tag)


channel.basic_consume("rpc_queue", on_request)
print("waiting", flush=True)
channel.start_consuming()
