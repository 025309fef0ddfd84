"""Tasks with priorities: while the only worker process is busy they wait in the broker, and the highest goes first."""

import tempfile
from pathlib import Path

from tasks import app, hold, note
from worker import delete_queues, wait_until, worker

QUEUE = "tasks.ranked"
# In the order of sending. Above the queue's ten levels counts as ten, none at all as zero.
PRIORITIES = [1, 9, None, 5, 10, 0, 9, 200, 5, 1]
EXPECTED = ["10 #4", "200 #7", "9 #1", "9 #6", "5 #3", "5 #8", "1 #0", "1 #9", "None #2", "0 #5"]

with tempfile.TemporaryDirectory(prefix="celery-priorities-") as folder, worker(app, QUEUE, processes=1):
    started, go_on, journal = (Path(folder, name) for name in ("started", "go-on", "journal"))

    hold.apply_async([str(started), str(go_on)], queue=QUEUE)
    wait_until(started.exists, "the first task does not start")
    for place, priority in enumerate(PRIORITIES):
        note.apply_async([str(journal), f"{priority} #{place}"], queue=QUEUE, priority=priority)

    # A busy worker with prefetch 1 holds one message: the rest is ready in the queue.
    with app.connection_for_read() as connection:
        ready = connection.default_channel.queue_declare(QUEUE, passive=True).message_count
    assert ready == len(PRIORITIES), f"{ready} of {len(PRIORITIES)} tasks are ready"

    go_on.touch()
    journal.touch()
    wait_until(lambda: len(journal.read_text().splitlines()) == len(PRIORITIES), "some tasks do not run")
    order = journal.read_text().splitlines()
    assert order == EXPECTED, order

assert delete_queues(app) == 0
