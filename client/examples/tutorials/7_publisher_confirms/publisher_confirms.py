"""Tutorial 7: three hundred messages, each taken by the broker before the next one is sent."""

import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://guest:guest@localhost")))
channel = connection.channel()
channel.queue_declare("confirmed", durable=True)
channel.confirm_delivery()
for number in range(300):
    channel.basic_publish("", "confirmed", f"alone {number}".encode())
print("confirmed 300")
connection.close()
