"""monitor.py [VHOST]: Flower shows a live worker, its queue and how many messages wait there, as its own pages tell.

What it knows of the queue comes from one call of the HTTP API at $HTTP_URL, for the default virtual host or for another one.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

VHOST = sys.argv[1] if len(sys.argv) > 1 else None
API = f"{os.environ['HTTP_URL']}/api/"
if VHOST:
    os.environ["AMQP_URL"] += f"/{VHOST}"

from tasks import app, hold, note  # noqa: E402
from worker import delete_queues, wait_until, worker  # noqa: E402

QUEUE = "tasks.plain"


def fetch(url, method="GET", body=None):
    """The body of an answer; credentials in the address go into a header."""
    scheme, credentials, rest = re.fullmatch(r"(https?://)(?:([^@/]*)@)?(.*)", url).groups()
    headers = {"Content-Type": "application/json"}
    if credentials:
        headers["Authorization"] = "Basic " + b64encode(credentials.encode()).decode()
    request = urllib.request.Request(scheme + rest, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


@contextlib.contextmanager
def flower():
    """Yields the address of a Flower that answers, as `celery flower` starts it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "celery", "--app", "tasks", "flower", f"--broker-api={API}"]
    with tempfile.NamedTemporaryFile("r", prefix="flower-") as log:
        process = subprocess.Popen(
            [*command, "--address=127.0.0.1", f"--port={port}"], cwd=Path(__file__).parent, stdin=subprocess.DEVNULL,
            stdout=open(log.name, "w"), stderr=subprocess.STDOUT,
            env=os.environ | {"C_FORCE_ROOT": "1", "FLOWER_UNAUTHENTICATED_API": "true"},
        )
        address = f"http://127.0.0.1:{port}"

        def answers():
            assert process.poll() is None, "Flower ended at its start"
            with contextlib.suppress(urllib.error.URLError):
                return fetch(f"{address}/healthcheck")

        try:
            wait_until(answers, "Flower does not answer")
            yield address
            assert "API call failed" not in log.read(), "Flower could not call the HTTP API"
        except BaseException:
            log.seek(0)
            print(log.read(), file=sys.stderr)
            raise
        finally:
            process.kill()
            process.wait()


def shown(address):
    """What Flower knows of the queue: all messages, those delivered, those that wait, consumers."""
    queues = {queue["name"]: queue for queue in json.loads(fetch(f"{address}/api/queues/length"))["active_queues"]}
    counts = ["messages", "messages_unacknowledged", "messages_ready", "consumers"]
    return [queues.get(QUEUE, {}).get(count) for count in counts]


def page(address):
    """The rows of the page for people: a queue's name and the same counts."""
    rows = re.findall(r"<tr id=.*?</tr>", fetch(f"{address}/broker"), re.DOTALL)
    return [[re.sub("<.*?>", "", cell).strip() for cell in re.findall("<td.*?</td>", row, re.DOTALL)[:5]] for row in rows]


if VHOST:
    fetch(f"{API}vhosts/{VHOST}", "PUT", b"{}")
    fetch(f"{API}permissions/{VHOST}/guest", "PUT", b'{"configure": ".*", "write": ".*", "read": ".*"}')

with tempfile.TemporaryDirectory(prefix="celery-monitor-") as folder, worker(app, QUEUE, 1, "--task-events") as node:
    with flower() as address:
        started, go_on, journal = (Path(folder, name) for name in ("started", "go-on", "journal"))
        first = hold.apply_async([str(started), str(go_on)])
        wait_until(started.exists, "the first task does not start")
        rest = [note.apply_async([str(journal), str(n)]) for n in range(3)]

        # RabbitMQ counts every few seconds.
        wait_until(lambda: shown(address) == [4, 1, 3, 1], "Flower does not show the queue")
        assert page(address) == [[QUEUE, "4", "1", "3", "1"]], page(address)
        print("Flower shows 1 task that runs and 3 that wait")

        workers = json.loads(fetch(f"{address}/api/workers?refresh=1"))
        assert list(workers) == [node] and [queue["name"] for queue in workers[node]["active_queues"]] == [QUEUE], workers
        go_on.touch()
        wait_until(lambda: shown(address) == [0, 0, 0, 1], "Flower does not see the queue become empty")

        # What the worker's events told: every task, from its start to its end.
        def succeeded():
            tasks = json.loads(fetch(f"{address}/api/tasks"))
            return {task for task, facts in tasks.items() if facts["state"] == "SUCCESS"}

        wait_until(lambda: succeeded() == {task.id for task in [first, *rest]}, "Flower does not see the tasks succeed")

    for path in ["", "/"]:  # with and without a slash at its end
        listed = json.loads(fetch(f"{API}queues/{VHOST or '%2F'}{path}"))
        assert QUEUE in [queue["name"] for queue in listed], listed

assert delete_queues(app) == 0
if VHOST:
    fetch(f"{API}vhosts/{VHOST}", "DELETE")
