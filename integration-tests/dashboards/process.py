"""Programs that end with this one, each by its own id."""

import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

PATIENCE = 60


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
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url):
    """What is answered, or nothing while nobody answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return ""
