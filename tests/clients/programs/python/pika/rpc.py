"""Tutorial 6: calls over messages; the reply queue and the correlation id bring each answer to its question."""

import threading
import uuid

import pika
from broker import connect, fresh_queue, wait_until

QUEUE = "tutorial.rpc"


def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def serve(ready):
    connection = connect()
    channel = connection.channel()
    fresh_queue(channel, QUEUE)
    channel.basic_qos(prefetch_count=1)

    def on_request(_channel, method, properties, body):
        if body == b"stop":
            channel.basic_ack(method.delivery_tag)
            channel.stop_consuming()
            return
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        channel.basic_publish("", properties.reply_to, str(fibonacci(int(body))).encode(), reply)
        channel.basic_ack(method.delivery_tag)

    channel.basic_consume(QUEUE, on_request)
    ready.set()
    channel.start_consuming()
    channel.queue_delete(QUEUE)
    connection.close()


class Client:
    def __init__(self):
        self.connection = connect()
        self.channel = self.connection.channel()
        self.replies = self.channel.queue_declare("", exclusive=True).method.queue
        self.answers = {}
        self.channel.basic_consume(self.replies, self.on_reply, auto_ack=True)

    def on_reply(self, _channel, _method, properties, body):
        self.answers[properties.correlation_id] = int(body)

    def ask(self, n):
        question = str(uuid.uuid4())
        properties = pika.BasicProperties(reply_to=self.replies, correlation_id=question)
        self.channel.basic_publish("", QUEUE, str(n).encode(), properties)
        return question

    def answer(self, question):
        wait_until(lambda: question in self.answers, self.connection)
        return self.answers.pop(question)


ready = threading.Event()
server = threading.Thread(target=serve, args=(ready,), daemon=True)
server.start()
assert ready.wait(60), "the server did not start"

one, other = Client(), Client()
assert one.answer(one.ask(30)) == 832040

# Questions of several clients in any order, each answered to the one who asked.
questions = [(client, n, client.ask(n)) for n in range(10) for client in (one, other)]
for client, n, question in reversed(questions):
    assert client.answer(question) == fibonacci(n)
assert not one.answers and not other.answers

one.channel.basic_publish("", QUEUE, b"stop")
server.join(60)
assert not server.is_alive(), "the server did not stop"
one.connection.close()
other.connection.close()
