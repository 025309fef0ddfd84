"""Runs a Celery worker process, as a person would at a prompt, for as long as a `with` block lasts."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def wait_until(condition, what):
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextlib.contextmanager
def worker(app, queue, processes, *more_options):
    """Yields the worker's node name once it answers; at the end stops it and checks that it went in peace."""
    delete_queues(app)  # of a run that failed
    node = f"{queue}@localhost"
    command = [sys.executable, "-m", "celery", "--app", "tasks", "worker"]
    options = ["--queues", queue, "--concurrency", str(processes), "--hostname", node, "--loglevel", "INFO"]
    with tempfile.NamedTemporaryFile("r", prefix="celery-worker-") as log:
        process = subprocess.Popen(
            [*command, *options, *more_options], cwd=Path(__file__).parent, stdin=subprocess.DEVNULL,
            stdout=open(log.name, "w"), stderr=subprocess.STDOUT, env=os.environ | {"C_FORCE_ROOT": "1"},
        )
        try:
            wait_until(lambda: answers(app, node, process), "the worker does not answer a ping")
            yield node
            process.send_signal(signal.SIGTERM)
            code = process.wait(90)
            assert code == 0, f"the worker ended with {code}"
            report = log.read()
            for trouble in ["Traceback", "CRITICAL", "ERROR", "Connection to broker lost"]:
                assert trouble not in report, f"the worker's log has {trouble}"
        except BaseException:
            log.seek(0)
            print(log.read(), file=sys.stderr)
            raise
        finally:
            process.kill()
            process.wait()


def answers(app, node, process):
    """Remote control: a broadcast to all workers, and their replies."""
    assert process.poll() is None, "the worker ended at its start"
    return app.control.inspect([node], timeout=0.5).ping() == {node: {"ok": "pong"}}


def delete_queues(app):
    """Deletes the application's queues and tells how many messages were left in them."""
    with app.connection_for_write() as connection:
        return sum(queue(connection).delete() or 0 for queue in app.amqp.queues.values())
