"""The machine: where processes run, what they use, and whether it is quiet.

Servers run on SERVER_CPU, load and everything else on LOAD_CPU. CPU time is the scheduler's own: the first
number of each thread's schedstat, in nanoseconds (Linux, Documentation/scheduler/sched-stats.rst).
"""
import functools
import gzip
import hashlib
import os
import platform
import resource
import shutil
import subprocess
import time
from pathlib import Path

from . import table

SERVER_CPU, LOAD_CPU = 0, 1

# A machine is quiet when the calibration loop's spread, in percent, stays within this,
QUIET_SPREAD = 5
# and when others take no more than this of one CPU during a measurement. Figures are medians: of the
# measurements as many as this may be disturbed.
QUIET_FOREIGN = 0.05
DISTURBED_MAX = 0.25


class CannotRun(Exception):
    """Why nothing can be measured: a sentence for whoever started the run."""


class Broken(Exception):
    """What Portcullis did wrong, one sentence each: no figure of it means anything. A peer's wrong is a CannotRun."""

    def __str__(self):
        return "; ".join(self.args)


# What ends a run, or a part of it, and is no server's fault.
CANNOT_RUN = (CannotRun, OSError, subprocess.SubprocessError)


def on(cpus, realtime=False, yields=False):
    """The words before a command that keep it to these CPUs; before or behind all others there, if asked.

    Each of these programs becomes the next, so that the process stays the one that was started.
    """
    placed = ["taskset", "-c", ",".join(map(str, sorted(cpus)))]
    return placed + (["chrt", "-f", "1"] if realtime else []) + (["nice", "-n", "19"] if yields else [])


def may_realtime():
    """Whether this user may run a process before all others."""
    told = subprocess.run([*on({LOAD_CPU}, realtime=True), "true"], capture_output=True, check=False)
    return told.returncode == 0


def keep_driver_off_servers():
    """Keeps this process, and what it starts without saying where, on the load's CPU."""
    os.sched_setaffinity(0, {LOAD_CPU})


def run(words, what, statuses=(0,)):
    """Runs a command to its end; one that ends with another status than these ends the run with a sentence."""
    words = [str(word) for word in words]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    if told.returncode not in statuses:
        lines = (told.stderr.strip() or told.stdout.strip() or f"exit status {told.returncode}").splitlines()
        raise CannotRun(f"{what} failed: {lines[-1]}")
    return told


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


class Foreign:
    """Counts the time on both CPUs that others have from now on: other processes, and other machines (steal).

    That is what /proc/stat counts, less what this process and its descendants used.
    """

    def __init__(self):
        self.before = self.now()

    @staticmethod
    def now():
        busy = stolen = 0
        for line in Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            if name in (f"cpu{SERVER_CPU}", f"cpu{LOAD_CPU}"):
                user, nice, system, _, _, irq, softirq, steal = map(int, ticks[:8])
                busy += user + nice + system + (0 if interrupts_are_apart() else irq + softirq)
                stolen += steal
        own = 0
        for process in family(os.getpid()):
            try:
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # utime, stime, and those of children that have ended (proc_pid_stat(5), fields 14 to 17).
            own += sum(map(int, fields[11:15]))
        return time.monotonic(), busy, stolen, own

    def share(self):
        """As a share of one CPU."""
        seconds, busy, stolen, own = (now - then for now, then in zip(self.now(), self.before))
        return (max(busy - own, 0) + stolen) / os.sysconf("SC_CLK_TCK") / seconds


@functools.cache
def interrupts_are_apart():
    """Whether the kernel keeps the time of interrupts out of that of processes (loopback's work is theirs)."""
    wanted = "CONFIG_IRQ_TIME_ACCOUNTING=y"
    try:
        return wanted in gzip.decompress(Path("/proc/config.gz").read_bytes()).decode()
    except OSError:
        pass
    try:
        return wanted in Path(f"/boot/config-{platform.release()}").read_text()
    except OSError:
        return False


class Calm:
    """Whether the machine did nothing else while something was measured: what was seen of that."""

    def __init__(self):
        # Of the calibration loop between measurements, milliseconds; of each measurement, what others had of a CPU.
        self.calibrations = []
        self.foreign = []

    def calibrate(self):
        self.calibrations.append(calibrate())

    def add(self, other):
        self.calibrations += other.calibrations
        self.foreign += other.foreign

    def doubts(self):
        """Why times that were measured meanwhile mean nothing, a phrase each."""
        if not self.calibrations:
            return ["nothing was measured"]
        found = []
        _, spread = table.median_and_spread(self.calibrations)
        if spread > QUIET_SPREAD:
            found.append(f"the calibration loop's spread was {spread:.0f} %")
        disturbed = sum(share > QUIET_FOREIGN for share in self.foreign)
        if disturbed > DISTURBED_MAX * len(self.foreign):
            found.append(f"others were at work in {disturbed} of {len(self.foreign)} measurements")
        return found

    def told(self):
        """For the results."""
        return {"calibration_ms": self.calibrations, "foreign": self.foreign, "quiet": not self.doubts()}


def settle(pid):
    """Waits until a process and its descendants have given back the memory that they free a little later.

    Answers what stays resident, in KiB.
    """
    deadline = time.monotonic() + SETTLE_S_MAX
    last, since = None, time.monotonic()
    while time.monotonic() - since < SETTLED_S:
        if time.monotonic() > deadline:
            raise CannotRun(f"its memory does not settle within {SETTLE_S_MAX} s")
        time.sleep(0.05)
        processes = family(pid)
        now = sum(memory_kib(process, "VmRSS") for process in processes)
        if now != last or any(works(process) for process in processes):
            last, since = now, time.monotonic()
    return last


def works(pid):
    """Whether a thread runs, waits for a CPU, or for a disk."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            if (task / "stat").read_text().rpartition(")")[2].split()[0] in "RD":
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


# Several times what the node waits before it looks whether a past generation may be freed.
SETTLED_S = 1
SETTLE_S_MAX = 60


def until(is_so, what, seconds=60):
    """Waits until that is so; ends the run with a sentence when it takes too long."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise CannotRun(f"waited in vain for {what}")
        time.sleep(0.05)


def connections_to(port):
    """Connections that stand to this port of 127.0.0.1 (proc(5), /proc/net/tcp)."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(row[1] == f"0100007F:{port:04X}" and row[3] == "01" for row in rows)


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
    """Ends with a sentence where nothing could be measured. What is started may open as many files as it can."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if not {SERVER_CPU, LOAD_CPU} <= os.sched_getaffinity(0):
        raise CannotRun(f"CPUs {SERVER_CPU} and {LOAD_CPU} are needed: one for the servers, one for the load")
    for program in ("taskset", "chrt", "nice"):
        if not shutil.which(program):
            raise CannotRun(f"{program} is needed (util-linux and coreutils have it)")
