"""A worker's prefetch moves while it consumes: up for every task that waits for its time, and with the pool's size.

Whether the worker says so for its channel or for its consumers depends on Kombu's generation and on what product and version
the broker names; either way the change has to reach the consumers that run.
"""

import tempfile
from pathlib import Path

from tasks import add, app, hold
from worker import delete_queues, wait_until, worker

QUEUE, EARLY = "tasks.plain", 5


def ready_tasks():
    with app.connection_for_read() as connection:
        return connection.default_channel.queue_declare(QUEUE, passive=True).message_count


with app.connection_for_read() as connection:
    connection.connect()
    product = "{product} {version}".format(**connection.connection.server_properties)
    print("prefetch per", "consumer" if connection.qos_semantics_matches_spec else "channel", "on", product)

with tempfile.TemporaryDirectory(prefix="celery-prefetch-") as folder, worker(app, QUEUE, processes=1) as node:
    # With a prefetch that stays at one, the first of them would keep the last task from its worker for an hour.
    for n in range(EARLY):
        add.apply_async([n, n], countdown=3600, ignore_result=True)
    assert add.delay(2, 2).get(60) == 4
    assert len(app.control.inspect([node], timeout=10, limit=1).scheduled()[node]) == EARLY

    # One process takes one task more, and the next waits for a second process.
    folder = Path(folder)
    for name in ["one", "two"]:
        hold.apply_async([str(folder / name), str(folder / f"end-{name}")])
        wait_until((folder / "one").exists, "the first task does not start")
    wait_until(lambda: ready_tasks() == 1, "the second task does not wait in the queue")
    app.control.pool_grow(1, destination=[node], reply=True, timeout=10, limit=1)
    wait_until((folder / "two").exists, "the second task does not start though there is a process for it")

    # And with one process again there is no room for a third.
    (folder / "end-two").touch()
    inspect = app.control.inspect([node], timeout=10, limit=1)
    wait_until(lambda: len(inspect.active()[node]) == 1, "the second task does not end")
    app.control.pool_shrink(1, destination=[node], reply=True, timeout=10, limit=1)
    # The worker tells the broker between two commands, so the answer to another one comes after that.
    assert inspect.stats()[node]["prefetch_count"] == EARLY + 1
    hold.apply_async([str(folder / "three"), str(folder / "end-three")])
    wait_until(lambda: ready_tasks() == 1, "the third task does not wait in the queue")
    (folder / "end-one").touch()
    wait_until((folder / "three").exists, "the third task does not start")
    (folder / "end-three").touch()

# What waited for its time goes back to the queue when its worker stops.
assert delete_queues(app) == EARLY
