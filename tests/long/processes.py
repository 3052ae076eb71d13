"""What the parts of the day have in common: programs that run with a log of their own, and waiting."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

WORK = Path(os.environ["LONG_WORK"])
# All of it runs in a network of its own, see cluster.py: nobody else has these addresses and ports.
HUB = "192.0.2.1"


def wait(what, seconds, condition, every=0.1):
    """Waits until the condition holds, and gives what it gave."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


def run(*command, given=None, seconds=60):
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=seconds)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode} {done.stdout}{done.stderr}")
    return done.stdout


def status_of(url, seconds=1.0):
    """The status that is answered; none where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


class Program:
    """A program of ours that can be ended and started again."""

    def __init__(self, name, command, environment=None):
        self.name, self.command, self.process = name, command, None
        self.environment = environment or {"PATH": os.environ["PATH"]}
        self.log = WORK / f"{name}.log"

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=WORK
            )

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def send(self, number):
        if self.runs():
            self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, seconds=60):
        """Gives how long it took to end."""
        begin = time.monotonic()
        self.send(number)
        self.process.wait(seconds)
        return time.monotonic() - begin

    def kill(self):
        self.stop(signal.SIGKILL)

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""
