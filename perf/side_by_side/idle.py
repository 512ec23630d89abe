"""What an idle connection takes of a server's memory."""
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import load, machine

# For all of them to be open.
OPEN_S_MAX = 120
# For as long as it takes: the end is a signal.
HOLD_S = 600
QUICK_CONNECTIONS = 50


@dataclass(frozen=True)
class IdleMemory:
    """Opens connections of returning clients, each with one request, and holds them."""

    connections: int

    unit = "kB"
    figure = "kb_each"

    def measure(self, server, scratch, quick):
        """Answers kb_each: by how much the server's resident memory grows for each of them, in 1000 bytes.

        What it takes for a connection at all it has taken before: some have come and gone.
        """
        count = QUICK_CONNECTIONS if quick else self.connections
        foreign = machine.Foreign()
        before = self.settled_kib(server)
        with Holding(server, scratch, count):
            held = self.settled_kib(server)
        return {
            "connections": count,
            "before_kib": before,
            "held_kib": held,
            "kb_each": (held - before) * 1.024 / count,
            "foreign": foreign.share(),
        }

    @staticmethod
    def settled_kib(server):
        family = machine.family(server.pid)
        for process in family:
            machine.settle(process)
        return sum(machine.memory_kib(process, "VmRSS") for process in family)


class Holding:
    """Has the load hold so many connections for as long as the `with` lasts; each of them must stand to its end."""

    def __init__(self, server, scratch, count):
        self.count = count
        self.server = server
        self.report = Path(scratch) / "idle.json"
        pace = ["--connections", count, "--duration", HOLD_S, "--concurrency", 32]
        self.command = load.command(server, load.Load("idle"), self.report, pace)

    def __enter__(self):
        words = [*machine.on({machine.LOAD_CPU}), *map(str, self.command)]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + OPEN_S_MAX
        while self.open() < self.count:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                why = self.process.stderr.read().strip() or f"not all were open within {OPEN_S_MAX} s"
                raise machine.CannotRun(f"holding connections to {self.server.name}: {why}")
            time.sleep(0.05)
        return self

    def open(self):
        """Sockets of the load; once it has them all, the server works on the last ones for a while."""
        files = Path(f"/proc/{self.process.pid}/fd")
        try:
            return sum(os.readlink(file).startswith("socket:") for file in files.iterdir())
        except FileNotFoundError:
            # One that was closed meanwhile.
            return 0

    def __exit__(self, *why):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)
        if why == (None, None, None):
            told = json.loads(self.report.read_text())
            done, failed = told["done"], told["failed"]
            if failed or done != self.count:
                raise machine.CannotRun(f"{self.server.name}: of {done} connections that were held {failed} were lost")
