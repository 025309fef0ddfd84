"""caller.py groups|chords NAME: sends groups or chords and waits for their results, until its standard input ends."""

import sys
import threading

from celery import chord, group
from tasks import add, total

kind, name = sys.argv[1:]
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()


def groups(n):
    result = group(add.s(m, n) for m in range(20))()
    assert result.get(90) == [m + n for m in range(20)]


def chords(n):
    """Five at a time, as the worker looks only every second whether the last task of a chord is done."""
    add_there = add.signature(queue="load.chords")
    results = [
        chord((add_there.clone((m, k)) for m in range(5)), total.s(f"{name}-{n}-{k}").set(queue="load.chords"))()
        for k in range(5)
    ]
    for k, result in enumerate(results):
        assert result.get(90) == sum(m + k for m in range(5))


count = 0
while count == 0 or not stop.is_set():
    {"groups": groups, "chords": chords}[kind](count)
    count += 1
print(f"{kind}: {count} rounds, all answered", flush=True)
