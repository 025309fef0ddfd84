"""Tutorial 2: tasks shared out among workers; with prefetch 1 a busy worker gets nothing more."""

import pika
from broker import connect, fresh_queue, wait_until

QUEUE = "tutorial.tasks"
TASKS = [f"task {n}".encode() for n in range(6)]


class Worker:
    def __init__(self, busy):
        self.connection = connect()
        self.channel = self.connection.channel()
        self.channel.basic_qos(prefetch_count=1)
        self.busy = busy
        self.taken = []
        self.channel.basic_consume(QUEUE, self.work)

    def work(self, channel, method, _properties, body):
        self.taken.append((body, method.redelivered))
        if not self.busy:
            channel.basic_ack(method.delivery_tag)


producing = connect()
producer = producing.channel()
producer.confirm_delivery()
fresh_queue(producer, QUEUE, durable=True)
for task in TASKS:
    producer.basic_publish("", QUEUE, task, pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent))

# The first worker takes one task and keeps it unacknowledged: all others stay ready.
slow = Worker(busy=True)
wait_until(lambda: slow.taken, slow.connection)
slow.connection.process_data_events(time_limit=0.1)
assert slow.taken == [(TASKS[0], False)]
assert producer.queue_declare(QUEUE, passive=True).method.message_count == len(TASKS) - 1

# A second, quick worker gets every one of them, in order, and the busy one still none.
quick = Worker(busy=False)
wait_until(lambda: len(quick.taken) == len(TASKS) - 1, quick.connection, slow.connection)
assert quick.taken == [(task, False) for task in TASKS[1:]]
assert len(slow.taken) == 1

# A worker that dies over its task loses nothing: the task goes to another, marked as redelivered.
slow.connection.close()
wait_until(lambda: len(quick.taken) == len(TASKS), quick.connection)
assert quick.taken[-1] == (TASKS[0], True)

quick.connection.close()
assert producer.queue_delete(QUEUE).method.message_count == 0
producing.close()
