"""load.py SECONDS: a Celery application under load whose worker is killed and whose broker loses its memory.

Tasks, some for later and some with a priority, groups, chords, revoked tasks, remote control and events; workers whose pools
grow and shrink. No task may be lost, get stuck, or run twice, but for those that a killed worker had: these may run again. The
broker that restarts is one of the program's own; against RabbitMQ ($AMQP_URL is no Leveret) that part is left out.
"""

import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import amqp
from processes import Broker, Process, Worker, wait_until
from sending import Events, Journal, Load

SECONDS = float(sys.argv[1])
FOLDER = Path(tempfile.mkdtemp(prefix="celery-load-"))
os.environ["JOURNAL"] = str(FOLDER / "journal")
DATABASE = {"RESULT_BACKEND": f"db+sqlite:///{FOLDER / 'results.sqlite'}"}
processes = []


def begin(kind, *arguments, **environment):
    processes.append(kind(*arguments, **environment))
    return processes[-1]


@contextlib.contextmanager
def callers(name):
    """Two programs that wait for results, of groups and of chords, and see each of them."""
    running = []
    for kind, environment in [("groups", {}), ("chords", DATABASE)]:
        command = [sys.executable, "caller.py", kind, f"{kind}-{name}"]
        running.append(begin(Process, f"{kind}-{name}", FOLDER, command, **environment))
    yield
    for caller in running:
        caller.finish(lambda process: process.stdin.close())


def deaths(load, worker):
    """A process of the pool dies, and then the whole worker."""
    with callers("before"):
        load.run(SECONDS / 6)
        wait_until(lambda: load.run(0.5) or len(worker.pool()) > 1, "the pool does not grow")
        grown = worker.pool()
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(grown), signal.SIGKILL)
        load.run(SECONDS / 6)
        worker.kill()
        worker.start()
        load.run(SECONDS / 6)
        load.drain()
    print(f"{len(load.sent)} tasks, {load.check()} ran again after deaths, up to {len(grown)} processes under load")


def memory_loss(load, workers, broker):
    """The broker dies while tasks wait in it and in the workers."""
    load.run(SECONDS / 6)
    broker.kill()
    broker.start()
    for worker in workers:
        worker.wait()
    print(f"the broker has forgotten everything: {load.send_again()} tasks are sent again")
    load.drain()
    load.check()


def calm(load, worker, events):
    """Nothing is in the way: everything happens once, and is told once."""
    before, again = len(load.sent), load.check()
    events.wait()
    with callers("after"):
        revoked = [load.work.apply_async(["revoked"], countdown=10).id for _ in range(5)]
        wait_until(lambda: all(events.seen["task-received", task] for task in revoked), "tasks for later do not arrive")
        load.work.app.control.revoke(revoked, reply=True, timeout=30, limit=2)
        load.run(SECONDS / 3)
        queues = [queue["name"] for queue in worker.inspect().active_queues()[worker.node]]
        assert sorted(queues) == ["load.plain", "load.ranked"], queues
        load.drain()
        wait_until(lambda: all(events.seen["task-revoked", task] for task in revoked), "tasks are not revoked")
    assert load.check() == again, "some tasks ran again though nothing had ended"
    assert "revoked" not in load.journal.read(), "a revoked task ran"

    tasks = [task for number, task in load.sent.items() if number >= before]
    wait_until(lambda: all(events.seen["task-succeeded", task] for task in tasks), "events are missing")
    for kind in ["received", "started", "succeeded"]:
        odd = [task for task in tasks if events.seen[f"task-{kind}", task] != 1]
        assert not odd, f"not one event {kind} for each task: {odd[:20]}"
    wait_until(lambda: len(worker.pool()) == 1, "the pool does not shrink")
    print(f"{len(tasks)} tasks once each, told by as many events")


def main():
    broker = begin(Broker, FOLDER) if product() == "Leveret" else None
    if broker:
        os.environ["AMQP_URL"] = broker.url
    from tasks import app, work

    delete_queues(app)  # of a run that failed
    worker = begin(
        Worker, app, "worker", FOLDER, "load.plain,load.ranked", "--autoscale=4,1", AUTOSCALE_KEEPALIVE="2"
    )
    workers = [worker, begin(Worker, app, "chords", FOLDER, "load.chords", "--concurrency=2", **DATABASE)]
    for each in workers:
        each.wait()
    events, load = Events(app), Load(work, Journal(FOLDER / "journal"))

    deaths(load, worker)
    if broker:
        memory_loss(load, workers, broker)
    calm(load, worker, events)
    for each in workers:
        each.finish(lambda process: process.send_signal(signal.SIGTERM))
    assert delete_queues(app) == 0, "messages are left"


def product():
    host, _, port = os.environ["AMQP_URL"].rpartition("@")[2].partition(":")
    with amqp.Connection(f"{host}:{port or 5672}") as connection:
        return connection.server_properties["product"]


def delete_queues(app):
    """Deletes the application's queues and tells how many messages were left in them."""
    with app.connection_for_write() as connection:
        return sum(queue(connection).delete() or 0 for queue in app.amqp.queues.values())


def clean_up():
    for process in processes:
        process.kill()
    shutil.rmtree(FOLDER, ignore_errors=True)


def on_signal(*_):
    clean_up()
    os._exit(1)  # an exception could get lost in the middle of what a client reads


# Its processes have groups of their own, so nobody else would end them.
signal.signal(signal.SIGTERM, on_signal)
try:
    main()
except BaseException:
    for process in processes:
        print(f"--- {process.name}", *process.log.read_text().splitlines()[-80:], sep="\n", file=sys.stderr)
    raise
finally:
    clean_up()
