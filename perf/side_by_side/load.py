"""Runs load against a server, and counts what the server spent on it."""
import json
from dataclasses import dataclass
from pathlib import Path

from . import machine

BINARY = None
# An open loop that did less than this of its rate was none.
RATE_MIN = 0.97


@dataclass(frozen=True)
class Load:
    """What portcullis-load does, but for how fast and how long."""

    # Its command: "handshake" or "requests".
    command: str = "handshake"
    # The clients: RETURNING, NEW or UNNAMED.
    clients: str = "returning"
    # Connections at a time; in an open loop of handshakes as many as it takes.
    connections: int = 32
    # Requests at a time on each of them, by HTTP/2.
    streams: int | None = None
    options: tuple = ()
    # Whether clients resume their sessions.
    resumes: bool = False
    # Whether there is something to do before the first operation that counts: connections to open, sessions to
    # begin. It is measured alone, and taken off.
    prepares: bool = False
    # How many are made where the clients are NEW: more than come.
    new_clients: int = 30_000

    # What a figure is about: times mean nothing on a busy machine, the rest does.
    is_of_time = True
    unit = "CPU-µs"
    figure = "server_cpu_us"

    def words(self, pace, rate=None):
        """The options for an open loop with this rate, or for a closed loop; `pace` says for how long."""
        words = [*self.options, *pace]
        if self.command == "requests" or rate is None:
            words += ["--concurrency", self.connections]
        if self.streams:
            words += ["--http2-streams", self.streams]
        if self.resumes:
            words += ["--resume", 100]
        return words + ([] if rate is None else ["--rate", rate])


# The clients of the PKI, who come again and again; some whom nobody has seen, for each run anew; one without a
# certificate.
RETURNING, NEW, UNNAMED = "returning", "new", "unnamed"


def measure(server, scratch, load, *pace, rate=None, realtime=False):
    """Has the load work on a server. `pace` says for how long, such as "--duration", 3.

    * `rate`: an open loop with so many operations a second; without, a closed one.

    Answers the load's report, with server_cpu_us (for each operation), server_busy and foreign (what others had;
    shares of one CPU) in it. Any failure ends it: a figure with refused clients in it means nothing.
    """
    first = {"server_cpu_s": 0, "seconds": 0, "done": 0}
    # The load tries first whether it can be done, which it does not count.
    tried = 1
    if load.prepares:
        first = once(server, scratch, load, load.words(["--count", load.connections * (load.streams or 1)]))
        # That is in both.
        tried = 0
    told = once(server, scratch, load, load.words(pace, rate), realtime)
    spent_s, seconds, done = (told[key] - first[key] for key in ("server_cpu_s", "seconds", "done"))
    each_s = spent_s / (done + tried)
    told["server_cpu_us"] = each_s * 1e6
    told["server_busy"] = each_s * done / seconds
    if rate is not None:
        told["rate"] = rate
    return told


def once(server, scratch, load, words, realtime=False):
    """Runs it, and answers its report, with server_cpu_s (all that was spent) and foreign in it."""
    report = Path(scratch) / "load.json"
    foreign = machine.Foreign()
    cpu = machine.Cpu(server.pid)
    placed = machine.on({machine.LOAD_CPU}, realtime)
    # 1: some attempts failed, as the report says.
    machine.run([*placed, *command(server, load, report, words)], f"the load on {server.name}", statuses=(0, 1))
    spent_s = cpu.spent_s()
    told = json.loads(report.read_text())
    # What the load's page draws.
    for drawn in ("timeline", "percentiles"):
        told.pop(drawn, None)
    # An open loop has only so many under way: one that did not begin them all did too little.
    failures = {kind: count for kind, count in told["failures"].items() if kind != NOT_BEGUN}
    if failures:
        kinds = ", ".join(f"{count} {kind}" for kind, count in failures.items())
        is_ours = any(kind.startswith(OF_THE_LOAD) for kind in failures)
        wrong = machine.CannotRun if is_ours else server.wrong
        raise wrong(f"{server.name}: of {told['attempted']} operations failed {kinds}")
    if load.resumes and told["handshakes"]["resumed"] < told["done"] * 0.99:
        raise server.wrong(f"{server.name}: not all sessions were resumed: {told['handshakes']}")
    told["server_cpu_s"] = spent_s
    told["foreign"] = foreign.share()
    return told


def did_too_little(report):
    """Whether an open loop was none: what was due and not begun has no latency, and would have had the longest."""
    return NOT_BEGUN in report["failures"] or report["done_per_second"] < RATE_MIN * report["rate"]


# What the load calls that among its failures, and those that no server is to blame for.
NOT_BEGUN = "not begun"
OF_THE_LOAD = ("no port or file left", "system error")


def command(server, load, report, words):
    """What runs portcullis-load, alike for all servers."""
    return [
        BINARY, load.command, "--connect", f"127.0.0.1:{server.port}", "--server-name", "localhost",
        *shown(load, server.pki), "--insecure", "--threads", "1", "--timeout", "60",
        "--group", "X25519", "--cipher", "TLS13_AES_128_GCM_SHA256", "--json", report, *words,
    ]  # fmt: skip


def shown(load, pki):
    """The options that say who the clients are."""
    if load.clients == RETURNING:
        return ["--clients", f"{pki}/clients"]
    if load.clients == NEW:
        ca = ["--client-ca", f"{pki}/intermediate.crt", "--client-ca-key", f"{pki}/intermediate.key"]
        return [*ca, "--clients", load.new_clients]
    return []
