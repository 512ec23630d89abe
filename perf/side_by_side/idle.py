"""What an idle connection takes of a server's memory."""
import select
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import load, machine

# For all of them to be open.
OPEN_S_MAX = 120
# Longer than it takes: it is ended by a signal.
HOLD_S = 600
QUICK_CONNECTIONS = 50
# What the load says, after how many.
OPEN = "connections are open"


@dataclass(frozen=True)
class IdleMemory:
    """Opens connections of returning clients, each with one request, and holds them."""

    connections: int

    is_of_time = False
    unit = "kB"
    figure = "kb_each"

    def measure(self, server, scratch, quick):
        """Answers kb_each: by how much the server's resident memory grows for each of them, in 1000 bytes.

        What it takes for a connection at all it has taken before: some have come and gone.
        """
        count = QUICK_CONNECTIONS if quick else self.connections
        foreign = machine.Foreign()
        before = machine.settle(server.pid)
        with Holding(server, scratch, count):
            held = machine.settle(server.pid)
        return {
            "connections": count,
            "before_kib": before,
            "held_kib": held,
            "kb_each": (held - before) * 1.024 / count,
            "foreign": foreign.share(),
        }


class Holding:
    """Has the load hold so many connections for as long as the `with` lasts; each of them must stand to its end."""

    def __init__(self, server, scratch, count):
        self.server = server
        self.count = count
        pace = ["--connections", count, "--duration", HOLD_S, "--concurrency", 32]
        self.command = load.command(server, load.Load("idle"), Path(scratch) / "idle.json", pace)

    def __enter__(self):
        words = [*machine.on({machine.LOAD_CPU}), *map(str, self.command)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        # It says so once all are open, or why they are not.
        ready, _, _ = select.select([self.process.stdout], [], [], OPEN_S_MAX)
        told = self.process.stdout.readline() if ready else f"not all were open within {OPEN_S_MAX} s"
        if not told.startswith(f"{self.count} {OPEN}"):
            self.process.kill()
            self.process.communicate()
            wrong = self.server.wrong if OPEN in told else machine.CannotRun
            raise wrong(f"holding {self.count} connections to {self.server.name}: {told.strip()}")
        return self

    def __exit__(self, *_):
        standing = machine.connections_to(self.server.port)
        self.process.terminate()
        self.process.communicate()
        if standing < self.count:
            raise self.server.wrong(f"{self.server.name}: only {standing} of {self.count} idle connections stand")
