"""Flower watches the demo with Celery: it knows every task and that it succeeded, both workers, and both queues of tasks.

With SCREENSHOTS=DIR in the environment, its pages are drawn into that folder with a headless Chromium.
"""

import collections
import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from demo import LETTERS, WARNED, WATCHED, demo
from makes import SERVICES, celery

URL, API = os.environ["AMQP_URL"], f"{os.environ['HTTP_URL']}/api/"
CHROMIUM = [
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1500,1000",
    "--virtual-time-budget=10000",
]
SUCCEEDED = {
    "tasks.announce": len(LETTERS),
    "tasks.find_fast": len(LETTERS),
    "tasks.report": len(LETTERS),
    "tasks.ask_for_warning": len(WARNED),
    "tasks.warn": len(WATCHED),
    "slow.take_apart": len(LETTERS),
    "slow.gather": len(LETTERS),
}


def fetch(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def start_flower(run):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    os.environ["FLOWER_UNAUTHENTICATED_API"] = "true"
    options = [f"--broker-api={API}", "--address=127.0.0.1", f"--port={port}"]
    run.run("flower", celery("cruncher", "flower", *options))
    address = f"http://127.0.0.1:{port}"

    def answers():
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return fetch(f"{address}/healthcheck")

    run.wait_until(answers, "Flower does not answer")
    return address


def succeeded(address):
    """How often each task has succeeded, as Flower tells; None while one has not ended yet."""
    tasks = json.loads(fetch(f"{address}/api/tasks?limit=1000")).values()
    states = {task["state"] for task in tasks}
    assert not states & {"FAILURE", "REVOKED", "REJECTED"}, states
    return collections.Counter(task["name"] for task in tasks if task["state"] == "SUCCESS")


def all_succeeded(address):
    counts = succeeded(address)
    # A chord looks again and again if it is done, and a letter has one part or several.
    return {name: counts[name] for name in SUCCEEDED} == SUCCEEDED and counts["slow.find_in_parts"] > len(LETTERS)


def shown_queues(address):
    """The page for people: each queue of tasks with all its messages and its consumers."""
    rows = re.findall(r"<tr id=.*?</tr>", fetch(f"{address}/broker"), re.DOTALL)
    cells = [[re.sub("<.*?>", "", cell).strip() for cell in re.findall("<td.*?</td>", row, re.DOTALL)] for row in rows]
    return {row[0]: (row[1], row[4]) for row in cells}


def draw(address, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    for page in ["workers", "tasks", "broker", "worker/cruncher@demo"]:
        file = Path(folder, f"flower-{page.partition('/')[0]}.png").resolve()
        with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
            options = [f"--user-data-dir={profile}", f"--screenshot={file}"]
            subprocess.run([*CHROMIUM, *options, f"{address}/{page}"], check=True, timeout=120, capture_output=True)
        print("drawn:", file)


with demo(URL, **dict.fromkeys(SERVICES, "celery")) as run:
    address = start_flower(run)  # first: it tells of what it has seen
    run.start()
    run.prompt()
    run.wait_until(lambda: all_succeeded(address), lambda: f"Flower knows of {succeeded(address)}")
    workers = json.loads(fetch(f"{address}/api/workers?refresh=1"))
    queues = {name: [queue["name"] for queue in facts["active_queues"]] for name, facts in workers.items()}
    assert queues == {"cruncher@demo": ["cruncher@celery"], "slow@demo": ["slow@celery"]}, queues
    depths = {"cruncher@celery": ("0", "1"), "slow@celery": ("0", "1")}
    run.wait_until(lambda: shown_queues(address) == depths, lambda: f"Flower shows {shown_queues(address)}")
    # Remote control, which Flower uses too.
    ask = celery("cruncher", "inspect", "totals", "--destination", "cruncher@demo")
    answer = subprocess.run(ask, check=True, timeout=90, capture_output=True, text=True)
    assert run.expected_totals() in answer.stdout, answer.stdout
    if folder := os.environ.get("SCREENSHOTS"):
        draw(address, folder)
    run.kill(["flower"])
    assert "API call failed" not in run.said("flower"), "Flower could not call the HTTP API"
    run.finish()
