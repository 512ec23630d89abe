"""The node as it is released: compiled by a profile of the works (PGO).

What a node counted that did them says which branches are usual, what is worth inlining, and what lies together.
Source: The rustc book, "Profile Guided Optimization".
"""
import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from . import PROJECT, load, machine, servers
from .load import UNNAMED, Load
from .works import QUICK_ENTRIES, WORKS, Work

# Operations of each work while it is counted: a handshake, or much content, takes as long as many requests.
HANDSHAKES, REQUESTS, LARGE_REQUESTS = 1_000, 20_000, 2_000
# What the node counts while it does it: what servers are compared in, and what else is usual.
UPLOADS = ("--method", "POST", "--body-bytes", 20_000, "--path", servers.UPLOAD)
TRAINED = [
    *(work for work in WORKS if isinstance(work.load, Load) and not work.entries and not work.beside),
    Work("revoked", "Handshakes beside a revocation list", entries=QUICK_ENTRIES),
    Work("uploads", "POST by HTTP/1.1", Load("requests", connections=64, options=UPLOADS), forwards=True),
    Work(
        "uploads-http2",
        "POST by HTTP/2",
        Load("requests", UNNAMED, connections=16, streams=8, options=UPLOADS),
        {"client_certificates": False, "http2": True},
        forwards=True,
    ),
]


def node(target):
    """Where the released node is, below the directory of all builds."""
    return target / "by-profile" / "portcullis"


def build(target):
    """Builds it, unless nothing has changed; portcullis-load and the PKI's maker are built.

    A quarter of an hour on two CPUs.
    """
    # What is missing is told before a quarter of an hour has gone.
    servers.nginx()
    tool = profdata()
    directory = node(target).parent
    directory.mkdir(parents=True, exist_ok=True)
    profile, trained = directory / "node.profdata", directory / "trained"
    counts = directory / "counts"
    counting = compiled(directory / "counting", f"-Cprofile-generate={counts}")
    # The node that counted says all that a profile hangs on, but for the works.
    counted_by = digest(counting, Path(__file__), Path(__file__).with_name("works.py"))
    if not profile.exists() or not trained.exists() or trained.read_text() != counted_by:
        trained.unlink(missing_ok=True)
        shutil.rmtree(counts, ignore_errors=True)
        try:
            train(counting, target, counts)
        except machine.Broken as why:
            raise machine.CannotRun(f"training: {why}") from why
        machine.run([tool, "merge", "-o", profile, counts], "llvm-profdata")
        trained.write_text(counted_by)
    built = compiled(directory / "release", f"-Cprofile-use={profile}")
    # The one before is whole until this one is.
    new = node(target).with_suffix(".new")
    shutil.copy2(built, new)
    new.rename(node(target))


def digest(*files):
    return " ".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)


def compiled(directory, flag):
    """The node compiled with one more flag, in a directory of its own: with other flags cargo builds all anew."""
    # A target that is named keeps the flags from what runs while it builds.
    words = ["cargo", "build", "--locked", "--release", "-p", "portcullis", "--target", host()]
    flags = f"{os.environ.get('RUSTFLAGS', '')} {flag}".strip()
    environment = os.environ | {"RUSTFLAGS": flags, "CARGO_TARGET_DIR": str(directory)}
    if subprocess.run(words, cwd=PROJECT, env=environment, check=False).returncode != 0:
        raise machine.CannotRun("it does not build")
    return directory / host() / "release" / "portcullis"


def train(counting, target, counts):
    """Has a node do each work, with and without logs; it adds to its counts when it ends."""
    servers.Portcullis.binary = counting
    with tempfile.TemporaryDirectory(prefix="portcullis-profile-") as scratch:
        pki = Path(scratch) / "pki"
        lists = ["--lists", QUICK_ENTRIES]
        machine.run([target / "release" / "portcullis-pki", pki, *lists], "making the PKI")
        for work in TRAINED:
            for server in (servers.Portcullis, servers.PortcullisLogging):
                before = written_at(counts)
                train_in(work, server, Path(scratch), pki)
                if written_at(counts) == before:
                    raise machine.CannotRun(f"training: the node wrote no counts of {work.key}")


def written_at(counts):
    """When its files were written, in nanoseconds."""
    return [file.stat().st_mtime_ns for file in sorted(counts.glob("*.profraw"))]


def train_in(work, server, scratch, pki):
    is_handshake = work.load.command == "handshake"
    # Those that ask for something of their own carry content.
    count = HANDSHAKES if is_handshake else LARGE_REQUESTS if work.load.options else REQUESTS
    lists = (pki / "root.crl", pki / f"{work.entries}.crl") if work.entries else ()
    counted = replace(work.load, new_clients=count)
    with ExitStack() as started:
        behind = started.enter_context(servers.Target(scratch, pki)) if work.forwards else None
        wanted = work.wanted | {"lists": lists, "target": behind.port if behind else None}
        running = started.enter_context(server(scratch, pki, **wanted))
        load.once(running, scratch, counted, counted.words(["--count", count]))


def profdata():
    """The compiler's own llvm-profdata, which knows its format."""
    tool = Path(told("rustc", "--print", "sysroot").strip()) / "lib" / "rustlib" / host() / "bin" / "llvm-profdata"
    if not tool.exists():
        if not shutil.which("rustup"):
            raise machine.CannotRun(f"there is no {tool}, and no rustup that could fetch it")
        machine.run(["rustup", "component", "add", "llvm-tools"], "rustup component add llvm-tools")
    return tool


def host():
    return told("rustc", "--version", "--verbose").partition("host: ")[2].split()[0]


def told(*words):
    return machine.run(words, words[0]).stdout
