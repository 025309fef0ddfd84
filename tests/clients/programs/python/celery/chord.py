"""A chord: many tasks, and one more with all their results. It needs a backend that counts; here a database file."""

import os
import tempfile
from pathlib import Path

folder = tempfile.TemporaryDirectory(prefix="celery-chord-")
os.environ["RESULT_BACKEND"] = f"db+sqlite:///{Path(folder.name, 'results.sqlite')}"

from celery import chord  # noqa: E402
from tasks import add, app, double, total  # noqa: E402
from worker import delete_queues, worker  # noqa: E402

with folder, worker(app, "tasks.plain", processes=1):
    result = chord(add.s(n, n) for n in range(10))(total.s())
    assert result.get(90) == 90

    result = (chord((add.s(n, 1) for n in range(4)), total.s()) | double.s())()
    assert result.get(90) == 20

assert delete_queues(app) == 0
