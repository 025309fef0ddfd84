"""mix.py SENDERS RECEIVERS: the seven tutorials of our client, senders and receivers of two makes (`rust`, `pika`)."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pika

FOLDER = Path(__file__).resolve().parents[5] / "client" / "examples" / "tutorials"
PATIENCE_S = 60


def command(make, program, *words):
    if make == "rust":
        return [os.environ["TUTORIALS"], program, *words]
    (source,) = FOLDER.glob(f"*/{program}.py")
    return [sys.executable, source, *words]


class Receiver:
    """A program that waits for messages, and what it has said."""

    news = threading.Condition()

    def __init__(self, make, program, *words):
        self.process = subprocess.Popen(command(make, program, *words), stdout=subprocess.PIPE, text=True)
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()
        self.until("waiting")

    def read(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()

    def until(self, line):
        said_by_one_of([self], line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def said_by_one_of(receivers, line):
    def said():
        return [words for receiver in receivers for words in receiver.lines]

    with Receiver.news:
        assert Receiver.news.wait_for(lambda: line in said(), PATIENCE_S), f"no '{line}' in {said()}"


def send(make, program, *words):
    return subprocess.run(
        command(make, program, *words), check=True, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S
    ).stdout.splitlines()


def check(senders, receivers, channel):
    with Receiver(receivers, "receive") as receiver:
        send(senders, "send")
        receiver.until("received Hello World!")

    with Receiver(receivers, "worker") as one, Receiver(receivers, "worker") as other:
        for task in ["first.", "second"]:
            send(senders, "new_task", task)
        for line in ["done first.", "done second"]:
            said_by_one_of([one, other], line)

    with Receiver(receivers, "receive_logs") as one, Receiver(receivers, "receive_logs") as other:
        send(senders, "emit_log", "to everyone")
        one.until("received to everyone")
        other.until("received to everyone")

    with Receiver(receivers, "receive_logs_direct", "warning", "error") as receiver:
        for severity in ["info", "warning", "error"]:
            send(senders, "emit_log_direct", severity, "it happened")
        receiver.until("received error:it happened")
        assert receiver.lines[1:] == ["received warning:it happened", "received error:it happened"], receiver.lines

    with Receiver(receivers, "receive_logs_topic", "*.orange.*", "lazy.#") as receiver:
        for key in ["quick.orange.rabbit", "quick.brown.fox", "lazy.brown.fox"]:
            send(senders, "emit_log_topic", key, "seen")
        receiver.until("received lazy.brown.fox:seen")
        assert receiver.lines[1:] == ["received quick.orange.rabbit:seen", "received lazy.brown.fox:seen"], receiver.lines

    with Receiver(receivers, "rpc_server") as server:
        assert send(senders, "rpc_client", "30") == ["received 832040"]
        server.until("asked for 30")

    for make in [senders, receivers]:
        assert send(make, "publisher_confirms") == ["confirmed 300"]
    assert channel.queue_declare("confirmed", passive=True).method.message_count == 600


QUEUES = ["hello", "task_queue", "rpc_queue", "confirmed"]
EXCHANGES = ["logs", "direct_logs", "topic_logs"]


def clean(channel):
    for queue in QUEUES:
        channel.queue_delete(queue)
    for exchange in EXCHANGES:
        channel.exchange_delete(exchange)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
clean(channel)
check(sys.argv[1], sys.argv[2], channel)
clean(channel)
connection.close()
