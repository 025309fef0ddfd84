"""killed.py MAKE: crunchers of that make are killed in mid-work, and started again; nothing is lost, no address counts twice.

Each letter has addresses of its own, so one that is lost is missed.
"""

import os
import re
import signal
import sys

from demo import demo

MAKE = sys.argv[1]
LETTERS = {"kombu": 400, "celery": 20}[MAKE]  # more than are done before anybody looks
MAIL = """From: fast{0}@apple.com
Content-Type: multipart/mixed; boundary=cut

--cut
Content-Type: text/plain
Content-Transfer-Encoding: quoted-printable

slow{0}=40apple.com
--cut
Content-Type: text/plain

both{0}@apple.com
--cut--
"""
crunchers = dict.fromkeys(["fast", "slow"], MAKE)
expected = f"{3 * LETTERS} addresses (fast {2 * LETTERS}, slow {3 * LETTERS}), {3 * LETTERS} in apple.com"


def results(run):
    return int((re.findall(r"^(\d+) results", run.totals()) or [0])[0])


with demo(os.environ["AMQP_URL"], prompt="rust", status="rust", spam="rust", **crunchers) as run:
    run.start()
    letters = [run.folder / f"letter{number}.eml" for number in range(LETTERS)]
    for number, letter in enumerate(letters):
        letter.write_text(MAIL.format(number))
    names = [name for name in run.running if name in crunchers or name.startswith("celery")]
    run.signal(names, signal.SIGSTOP)  # however long the prompt takes, most of the work is still to be done after it
    run.prompt([str(letter) for letter in letters])
    run.signal(names, signal.SIGCONT)
    run.wait_until(lambda: "fast" in run.totals() and "slow" in run.totals(), lambda: run.totals())
    killed = run.kill(names)
    before = results(run)
    assert before < 2 * LETTERS, "all was done before"
    for name, command in killed.items():
        run.run(name, command)
    run.wait_until(
        lambda: run.totals().endswith(expected) and results(run) >= 2 * LETTERS and run.is_ready(),
        lambda: f"not done: {run.totals()}; {run.states()}",
    )
    print(f"{before} results before the end of the crunchers; {run.totals()}")
    run.stop()
