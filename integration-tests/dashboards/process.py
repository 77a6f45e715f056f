"""Programs that end with this one, each by its own id."""

import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

PATIENCE = 90
# Ports below those that systems give to outgoing connections: one of these could have a port just when its server is
# started (again).
PORTS = range(20_000, 32_000)
given = set()


def adit():
    return os.environ["ADIT_BIN"]


def prometheus(name):
    return str(pathlib.Path(os.environ["PROMETHEUS_BIN"]) / name)


class Process:
    """A program with its output in a file."""

    def __init__(self, name, command, log):
        self.name, self.command, self.log_file = name, [str(word) for word in command], log
        self.process = None
        self.start()

    def start(self):
        with open(self.log_file, "ab") as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def log(self):
        return self.log_file.read_text(errors="replace")

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def wait_for(self, what, ask, patience=PATIENCE):
        """Asks until there is an answer; the end of the process, and no answer in time, are failures."""
        deadline = time.monotonic() + patience
        while True:
            answer = ask()
            if answer:
                return answer
            ended = self.process.poll()
            if ended is not None or time.monotonic() > deadline:
                tail = "\n".join(self.log().splitlines()[-15:])
                raise SystemExit(f"{self.name}: {what}: not within {patience} s, or ended ({ended})\n{tail}")
            time.sleep(0.05)


def free_port():
    first = os.getpid() * 97
    for port in (PORTS[(first + nth) % len(PORTS)] for nth in range(len(PORTS))):
        if port in given:
            continue
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        given.add(port)
        return port
    raise SystemExit("loopback has no free port")


def get(url):
    """What is answered, or nothing while nobody answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return ""
