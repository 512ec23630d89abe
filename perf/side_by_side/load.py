"""Runs load against a server, and counts what the server spent on it."""
import json
import re
from pathlib import Path

from . import machine

BINARY = None


def handshakes(server, scratch, *pace, realtime=False):
    """Returning clients: full handshakes with client certificate, one GET, close.

    `pace` is for portcullis-load, such as "--rate", 500, "--duration", 3. Answers its report, with
    server_cpu_us (for each attempt), server_busy and foreign (what others had; shares of one CPU) in it. Any
    failure ends the run: a figure with refused clients in it means nothing.
    """
    report = Path(scratch) / "load.json"
    command = [
        BINARY, "handshake", "--connect", f"127.0.0.1:{server.port}", "--server-name", "localhost",
        "--clients", f"{server.pki}/clients", "--insecure", "--threads", "1",
        "--group", "X25519", "--cipher", "TLS13_AES_128_GCM_SHA256", "--json", report,
        *pace,
    ]  # fmt: skip
    foreign = machine.Foreign()
    cpu = machine.Cpu(server.pid)
    placed = machine.on({machine.LOAD_CPU}, realtime)
    # 1: some attempts failed, as the report says.
    machine.run([*placed, *command], f"the load on {server.name}", statuses=(0, 1))
    spent_s = cpu.spent_s()
    told = json.loads(report.read_text())
    if told["failed"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in told["failures"].items())
        raise machine.CannotRun(f"{server.name}: of {told['done'] + told['failed']} handshakes failed {kinds}")
    # One more: the load tries whether it can be done.
    told["server_cpu_us"] = spent_s * 1e6 / (told["done"] + 1)
    told["server_busy"] = spent_s / told["seconds"]
    told["foreign"] = foreign.share()
    return told


def requests(server, count, *options):
    """Keep-alive requests by nghttp2's h2load, `count` of them, all of which must be answered with 200.

    Answers server_cpu_us for each request, requests a second, server_busy and foreign.
    """
    url = f"https://127.0.0.1:{server.port}/"
    foreign = machine.Foreign()
    cpu = machine.Cpu(server.pid)
    command = [*machine.on({machine.LOAD_CPU}), "h2load", "-t1", "-n", count, *options, url]
    told = machine.run(command, f"h2load on {server.name}").stdout
    spent_s = cpu.spent_s()
    finished = re.search(r"finished in ([0-9.]+)(ms|s), ([0-9.]+) req/s", told)
    good = re.search(r"status codes: (\d+) 2xx", told)
    if not finished or not good or int(good.group(1)) != count:
        raise machine.CannotRun(f"{server.name}: not all of {count} requests were answered:\n{told}")
    seconds = float(finished.group(1)) / (1000 if finished.group(2) == "ms" else 1)
    return {
        "server_cpu_us": spent_s * 1e6 / count,
        "per_second": float(finished.group(3)),
        "server_busy": spent_s / seconds,
        "foreign": foreign.share(),
    }


def paced(server, scratch, seconds):
    """Honest clients: 16 kept connections of HTTP/1.1, each with PACE requests a second, all answered with 200.

    Answers the median and the 99th percentile of their latency in milliseconds, from when each was sent, and foreign.
    """
    log = Path(scratch) / "latencies"
    log.unlink(missing_ok=True)
    count = round(16 * PACE * seconds)
    told = requests(server, count, "--h1", "-c", 16, "--rps", PACE, "--log-file", log)
    # When it began, its status, how long it took in microseconds.
    rows = [line.split() for line in log.read_text().splitlines()]
    latencies = sorted(int(row[2]) / 1000 for row in rows)
    if len(latencies) != count:
        raise machine.CannotRun(f"{server.name}: h2load tells of {len(latencies)} requests of {count}")
    return {
        "median_ms": latencies[count // 2],
        "p99_ms": latencies[count * 99 // 100],
        "foreign": told["foreign"],
    }


# Well below what any of the servers can do.
PACE = 20
