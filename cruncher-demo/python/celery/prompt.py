"""The prompt: a task for each file name, from the command line or a person; its result tells that the name is published."""

from settings import LETTER, NOT_PUBLISHED  # isort: skip

import argparse
import sys

from celery import group
from celery.exceptions import TimeoutError
from service import entered
from tasks import announce

PATIENCE_S = 60


def publish(names):
    """All at once, and then the results in the same order. A task that nobody takes in time is not done later."""
    tasks = group(announce.s(name) for name in names)
    for result in tasks.apply_async(priority=LETTER, expires=PATIENCE_S).results:
        print(f"prompt: {result.get(timeout=PATIENCE_S)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help="the files to crunch; asked for when there are none")
    files = parser.parse_args().files
    for names in [files] if files else ([name] for name in entered()):
        publish(names)


if __name__ == "__main__":
    try:
        main()
    except (EOFError, KeyboardInterrupt):
        pass
    except TimeoutError:
        sys.exit("nobody took the task: is a worker running? celery --app cruncher worker")
    except NOT_PUBLISHED as why:
        sys.exit(f"broker: {why}")
