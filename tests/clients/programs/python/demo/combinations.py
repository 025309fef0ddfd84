"""Prints which makes of the demo's services to run together, a line for each run: PROMPT FAST SLOW STATUS SPAM.

All of one make, for each; and so many mixed ones that each two services have met in each two makes.
"""

from itertools import combinations, product

MAKES = ["rust", "kombu", "celery"]
SERVICES = 5


def pairs(run):
    return set(combinations(enumerate(run), 2))


def chosen():
    runs = [(make,) * SERVICES for make in MAKES]
    every = list(product(MAKES, repeat=SERVICES))
    missing = set().union(*map(pairs, every)).difference(*map(pairs, runs))
    while missing:
        # The one that brings most; of equal ones that with the least Celery, which takes longest to start.
        best = max(every, key=lambda run: (len(pairs(run) & missing), -run.count("celery")))
        runs.append(best)
        missing -= pairs(best)
    return runs


if __name__ == "__main__":
    for run in chosen():
        print(*run)
