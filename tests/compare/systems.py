"""The systems that are compared: how each is started, found and ended."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HEADER = b"AMQP\0\0\x09\x01"


class Trouble(Exception):
    """Something that cannot be had, in one sentence."""


class Processes:
    """All that was started, each a process group, so that it ends with all that it started itself."""

    def __init__(self):
        self.running, self.told = [], []

    def start(self, command, **options):
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, start_new_session=True, **options)
        self.running.append(process)
        return process

    def tell(self, process):
        """Only once: a second signal would end a script before it has ended what it started."""
        if process not in self.told:
            self.told.append(process)
            self.signal(process, signal.SIGTERM)

    def end(self, process, patience_s=45):
        self.tell(process)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            pass
        self.signal(process, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()
        self.running.remove(process)
        self.told.remove(process)

    def signal(self, process, number):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass

    def end_all(self):
        for process in self.running:
            self.tell(process)
        for process in reversed(self.running[:]):
            self.end(process)


def free_port(also=lambda port: ()):
    """A port of the loopback that is free, and so are those that `also` derives from it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
            try:
                for other in also(port):
                    socket.create_server(("127.0.0.1", other)).close()
                return port
            except OSError:
                continue


def greet(address, deadline, alive=lambda: True):
    """Connects, as soon as somebody listens, and returns the connection.start that comes."""
    host, port = address.split(":")
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=10) as peer:
                peer.sendall(HEADER)
                frame = b""
                while len(frame) < 8 or len(frame) < 8 + int.from_bytes(frame[3:7], "big"):
                    part = peer.recv(65536)
                    if not part:
                        raise Trouble(f"{address} closes before connection.start")
                    frame += part
                return frame
        except OSError as error:
            if time.monotonic() > deadline or not alive():
                raise Trouble(f"no broker at {address}: {error}") from None
            time.sleep(0.0005)


def server_property(start, name):
    """A long string of the server properties in a connection.start."""
    key = bytes([len(name)]) + name.encode() + b"S"
    at = start.find(key)
    if at < 0:
        return ""
    at += len(key)
    return start[at + 4:at + 4 + int.from_bytes(start[at:at + 4], "big")].decode()


class System:
    """Whatever speaks AMQP. `ready` makes it so, `rest` is called after each run, `end` at last."""

    def __init__(self, name, kind, title):
        self.name, self.kind, self.title = name, kind, title
        self.address = self.pid = self.start_ms = None

    def name_itself(self, start):
        product, version = server_property(start, "product"), server_property(start, "version")
        self.title = f"{product} {version}" if product else self.title

    def rest(self):
        pass

    def end(self):
        pass


class Program(System):
    """A broker that starts at once, anew for each run: `command` makes its command line of a port."""

    def __init__(self, name, kind, command, processes, log):
        super().__init__(name, kind, name)
        self.command, self.processes, self.log = command, processes, log
        self.process = None
        self.executable = Path(command(0)[0])

    def ready(self, _restart):
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        with open(self.log, "wb") as log:
            begin = time.monotonic()
            self.process = self.processes.start(self.command(port), stdout=log, stderr=log)
        start = greet(self.address, begin + 20, lambda: self.process.poll() is None)
        self.start_ms = (time.monotonic() - begin) * 1000
        self.pid = self.process.pid
        self.name_itself(start)

    def rest(self):
        if self.process:
            self.processes.end(self.process)
            self.process = None

    end = rest


class Durable(Program):
    """A Leveret with a folder of its own for what is durable, which begins empty."""

    def __init__(self, name, command, processes, log, folder):
        self.folder = folder
        super().__init__(name, "durable", lambda port: [*command(port), "--data-dir", folder], processes, log)

    def ready(self, restart):
        shutil.rmtree(self.folder, ignore_errors=True)
        super().ready(restart)

    def name_itself(self, start):
        super().name_itself(start)
        self.title += ", durable"

    def rest(self):
        super().rest()
        shutil.rmtree(self.folder, ignore_errors=True)

    end = rest


class Disk(System):
    """The disk alone: what it can do where the brokers have their files."""

    def __init__(self, program, folder):
        super().__init__("disk", "disk", "the disk")
        self.program, self.folder = program, folder

    def ready(self, restart):
        pass

    def limits(self):
        """One JSON object of figures."""
        return json.loads(subprocess.check_output([self.program, self.folder], text=True))


class Script(System):
    """A RabbitMQ that a script starts, tells the address of and ends with itself: it stays for many runs."""

    def __init__(self, name, command, parse, processes, log):
        super().__init__(name, "rabbitmq", name)
        self.command, self.parse, self.processes, self.log = command, parse, processes, log
        self.process, self.used = None, False

    def ready(self, restart):
        if self.process and (self.process.poll() is not None or (restart and self.used)):
            self.end()
        if not self.process:
            self.start()
        self.used = True

    def start(self):
        with open(self.log, "wb") as log:
            begin = time.monotonic()
            self.process = self.processes.start(self.command(), stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline().strip()
        try:
            self.address, self.pid = self.parse(line)
        except (AttributeError, ValueError, OSError):
            self.end()
            said = Path(self.log).read_text().strip().splitlines()
            raise Trouble(f"{self.name} did not start: {line or (said or ['it said nothing'])[-1]}") from None
        self.name_itself(greet(self.address, begin + 300))
        self.start_ms = (time.monotonic() - begin) * 1000
        self.used = False

    def end(self):
        if self.process:
            self.processes.end(self.process)
            self.process = None


class Running(System):
    """A RabbitMQ that runs already."""

    def __init__(self, name, address, pid):
        super().__init__(name, "rabbitmq", name)
        self.address, self.pid = address, pid
        if not Path(f"/proc/{pid}").exists():
            raise Trouble(f"--rabbitmq {name}: no process {pid}")
        self.name_itself(greet(address, 0))

    def ready(self, restart):
        pass


def debian(script, processes, log):
    """Debian's RabbitMQ, by way of tests/clients/rabbitmq."""
    if not Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists():
        raise Trouble("Debian's package rabbitmq-server is not installed")

    def parse(line):
        address, home = re.fullmatch(r"ready: amqp://guest:guest@(\S+) log=(.*)/log/[^/]*", line).groups()
        return address, int(Path(home, "pid").read_text())
    return Script("rabbitmq", lambda: [script], parse, processes, log)


def debian_next(script, processes, log):
    """The newest RabbitMQ of Debian's testing suite, by way of a script that unpacks it into a folder."""
    if not script.exists():
        raise Trouble(f"there is no {script} (--next)")
    if os.geteuid() != 0:
        raise Trouble(f"only root can run {script.name}")

    def derived(port):
        """The script's ports for its own mapper and for other nodes."""
        return 20000 + port % 10000, 30000 + port % 10000

    def parse(line):
        address, pid = re.fullmatch(r"ready: .* amqp=(\S+) http=off pid=(\d+)", line).groups()
        return address, int(pid)
    return Script("rabbitmq-next", lambda: [script, str(free_port(derived)), "off"], parse, processes, log)
