"""Tutorial 6: asks for a Fibonacci number. The answer comes to a queue of its own."""

import os
import sys
import uuid

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
replies = channel.queue_declare("", exclusive=True).method.queue
question = str(uuid.uuid4())


def on_answer(channel, _method, properties, body):
    if properties.correlation_id == question:
        print("received", body.decode())
        channel.stop_consuming()


channel.basic_consume(replies, on_answer, auto_ack=True)
request = pika.BasicProperties(reply_to=replies, correlation_id=question)
channel.basic_publish("", "rpc_queue", sys.argv[1].encode(), request)
channel.start_consuming()
connection.close()
