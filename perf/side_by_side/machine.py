"""The machine: where processes run, what they use, and whether it is quiet.

Servers run on SERVER_CPU, load and everything else on LOAD_CPU. CPU time is the scheduler's own: the first
number of each thread's schedstat, in nanoseconds (Linux, Documentation/scheduler/sched-stats.rst).
"""
import hashlib
import os
import platform
import subprocess
import time
from pathlib import Path

SERVER_CPU, LOAD_CPU = 0, 1

# A machine is quiet when the calibration loop's spread stays within this.
QUIET_SPREAD = 0.05


class CannotRun(Exception):
    """Why nothing can be measured: a sentence for whoever started the run."""


def on(cpus, realtime=False):
    """For Popen's preexec_fn: keeps a process to these CPUs, and before all others there if asked."""

    def place():
        os.sched_setaffinity(0, cpus)
        if realtime:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))

    return place


def may_realtime():
    """Whether this user may run a process before all others."""
    try:
        subprocess.run(["true"], preexec_fn=on({LOAD_CPU}, realtime=True), check=True)
    except (subprocess.SubprocessError, PermissionError):
        return False
    return True


def family(pid):
    """A process and its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # The name in parentheses may hold anything.
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


class Cpu:
    """Counts the time on a CPU that a process and its descendants have from now on.

    Threads whose name `counts` denies are left out. One that ends meanwhile takes its time with it.
    """

    def __init__(self, pid, counts=lambda name: True):
        self.pid = pid
        self.counts = counts
        self.before = self.now()

    def now(self):
        times = {}
        for process in family(self.pid):
            for task in Path(f"/proc/{process}/task").iterdir():
                try:
                    if self.counts((task / "comm").read_text().strip()):
                        times[task.name] = int((task / "schedstat").read_text().split()[0])
                except (FileNotFoundError, ProcessLookupError):
                    continue
        return times

    def spent_s(self):
        now = self.now()
        return sum(time - self.before.get(task, 0) for task, time in now.items()) / 1e9


def memory_kib(pid, field):
    """A field of /proc/PID/status, such as VmRSS or VmHWM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise KeyError(field)


def forget_peak(pid):
    """Makes VmHWM begin anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def calibrate():
    """Milliseconds that the same work takes now on the server's CPU."""
    data = bytes(32 << 20)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CPU})
    start = time.perf_counter()
    for _ in range(3):
        hashlib.sha256(data).digest()
    elapsed = time.perf_counter() - start
    os.sched_setaffinity(0, before)
    return elapsed * 1000


def spread(values):
    """From the least to the most, as a share of the median."""
    ordered = sorted(values)
    return (ordered[-1] - ordered[0]) / ordered[len(ordered) // 2]


def describe():
    """What a reader of the figures must know of the machine."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "load_before": os.getloadavg()[0],
        "servers_on_cpu": SERVER_CPU,
        "load_on_cpu": LOAD_CPU,
    }


def require():
    """Ends with a sentence where nothing could be measured."""
    if len(os.sched_getaffinity(0)) < 2:
        raise CannotRun("two CPUs are needed: one for the servers, one for the load")
