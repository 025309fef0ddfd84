"""How the demo's services are started in each make.

In Rust and with Kombu, each is a process of its own; with Celery, all are one worker but the slow cruncher, which is another.
"""

import os
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parents[5] / "cruncher-demo"
KOMBU, CELERY = DEMO / "python" / "kombu", DEMO / "python" / "celery"
# What workers tell each other at their start takes a second, and a worker alone does not need it. It hears a signal with its
# next event: the heartbeat's.
OPTIONS = ["--without-mingle", "--without-gossip", "--heartbeat-interval", "1", "--concurrency", "1", "--loglevel", "INFO"]

SERVICES = ["prompt", "fast", "slow", "status", "spam"]


def commands(makes, watched, url, out):
    """Name and command of each service but the prompt; `makes` names the make of each service."""
    found = {}
    for service in ["fast", "slow", "status", "spam"]:
        if makes[service] == "celery":
            continue
        program = PROGRAMS[makes[service]]
        if service == "spam":
            for name in watched:
                found[f"spam {name}"] = [*program("spam"), "--url", url, "--name", name, "--out", out]
        elif service == "status":
            found["status"] = [*program("status"), "--url", url]
        else:
            found[service] = [*program("crunch"), "--url", url, f"--{service}"]
    return found | workers(makes, watched, out)


def workers(makes, watched, out):
    """The Celery workers. A prompt's task needs one too."""
    found = {}
    # Processes for the tasks only where all is Celery: they take a second and a half to stop. Chords need them always: without,
    # a worker acknowledges a task with a time to start at only when something else wakes it.
    pool = "prefork" if set(makes.values()) == {"celery"} else "solo"
    roles = {"prompt": [], "fast": ["--fast"], "status": ["--status"], "spam": ["--out", out]}
    roles["spam"] += [option for name in watched for option in ("--spam", name)]
    options = [roles[service] for service in roles if makes[service] == "celery"]
    if options:
        found["celery cruncher"] = [*worker("cruncher", pool), *sum(options, [])]
    if makes["slow"] == "celery":
        found["celery slow"] = worker("slow", "prefork")
    return found


def prompt(make, url, files):
    if make == "celery":
        return [sys.executable, CELERY / "prompt.py", *files]
    return [*PROGRAMS[make]("prompt"), "--url", url, *files]


def worker(app, pool="prefork"):
    return [*celery(app, "worker"), "--hostname", f"{app}@demo", "--pool", pool, *OPTIONS]


def celery(app, *command):
    return [sys.executable, "-m", "celery", "--app", app, "--workdir", CELERY, *command]


def environment(url, folder):
    return os.environ | {"AMQP_URL": url, "CHORD_BACKEND": f"db+sqlite:///{folder}/chords.sqlite", "C_FORCE_ROOT": "1"}


PROGRAMS = {
    "rust": lambda service: [os.environ["CRUNCHER_DEMO"], service],
    "kombu": lambda service: [sys.executable, KOMBU / f"{service}.py"],
}
