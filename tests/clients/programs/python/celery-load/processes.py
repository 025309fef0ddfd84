"""The processes of the load test: workers, callers and a broker, which die and come back."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def wait_until(condition, what, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Process:
    """One process at a time, whose output is kept over all of its lives."""

    def __init__(self, name, folder, command, **environment):
        self.name, self.command, self.environment = name, command, environment
        self.log = Path(folder, f"{name}.log")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, cwd=HERE, stdin=subprocess.PIPE, stdout=self.log.open("a"), stderr=subprocess.STDOUT,
            env=os.environ | {"C_FORCE_ROOT": "1"} | self.environment, start_new_session=True,
        )

    def kill(self):
        """Without a chance to say goodbye, and all that it started with it."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def finish(self, ask):
        ask(self.process)
        code = self.process.wait(120)
        assert code == 0, f"{self.name} ended with {code}"


class Worker(Process):
    def __init__(self, app, name, folder, queues, *options, **environment):
        self.app, self.node = app, f"{name}@load"
        command = [sys.executable, "-m", "celery", "--app", "tasks", "worker", "--hostname", self.node]
        super().__init__(name, folder, [*command, "--queues", queues, "--task-events", *options], **environment)

    def inspect(self, timeout=30):
        return self.app.control.inspect([self.node], timeout=timeout, limit=1)

    def wait(self):
        def answers():
            assert self.process.poll() is None, f"{self.name} ended by itself"
            try:
                return self.inspect(0.5).ping()
            except (OSError, *self.app.connection_for_read().connection_errors):
                return False  # the broker is not yet there, or an old connection to it is gone

        wait_until(answers, f"{self.name} does not answer a ping")

    def pool(self):
        return self.inspect().stats()[self.node]["pool"]["processes"]


class Broker(Process):
    """A Leveret in memory on one port over all of its lives."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = "{}:{}".format(*free.getsockname())
        self.url = f"amqp://guest:guest@{address}"
        options = ["--in-memory", "--listen", address, "--http", "off", "--metrics", "off"]
        super().__init__("broker", folder, [os.environ["LEVERET"], *options])

    def start(self):
        lives = self.ready()
        super().start()
        wait_until(lambda: self.ready() > lives, "the broker does not start")

    def ready(self):
        return self.log.read_text().count("Server startup complete") if self.log.exists() else 0
