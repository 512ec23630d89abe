"""The node as it is released: compiled by a profile of the works (PGO).

What a node counted that did them says which branches are usual, what is worth inlining, and what lies together.
Source: The rustc book, "Profile Guided Optimization".
"""
import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from . import load, machine, servers
from .load import Load
from .works import NO_LISTS, WORKS

PROJECT = Path(__file__).resolve().parents[2]
# Operations of each work while it is counted: a handshake takes as long as many requests.
HANDSHAKES, REQUESTS, LARGE_ANSWERS = 1_000, 20_000, 2_000


def node(target):
    """Where the released node is, below the directory of all builds."""
    return target / "by-profile" / "portcullis"


def build(target):
    """Builds it; portcullis-load and the PKI's maker are built. Some fifteen minutes on two CPUs."""
    if servers.Nginx not in servers.peers():
        raise machine.CannotRun("nginx is needed as the target")
    directory = node(target).parent
    directory.mkdir(parents=True, exist_ok=True)
    merged = directory / "node.profdata"
    tool = profdata()
    with tempfile.TemporaryDirectory(prefix="portcullis-profile-") as scratch:
        counts = Path(scratch) / "counts"
        counting = compiled(directory / "counting", f"-Cprofile-generate={counts}")
        train(counting, Path(scratch), target)
        machine.run([tool, "merge", "-o", merged, counts], "llvm-profdata")
    built = compiled(directory / "release", f"-Cprofile-use={merged}")
    # The one before is whole until this one is.
    new = node(target).with_suffix(".new")
    shutil.copy2(built, new)
    new.rename(node(target))


def compiled(directory, flag):
    """The node compiled with one more flag, in a directory of its own: with other flags cargo builds all anew."""
    # A target that is named keeps the flags from what runs while it builds.
    words = ["cargo", "build", "--locked", "--release", "-p", "portcullis", "--target", host()]
    flags = f"{os.environ.get('RUSTFLAGS', '')} {flag}".strip()
    environment = os.environ | {"RUSTFLAGS": flags, "CARGO_TARGET_DIR": str(directory)}
    if subprocess.run(words, cwd=PROJECT, env=environment, check=False).returncode != 0:
        raise machine.CannotRun("it does not build")
    return directory / host() / "release" / "portcullis"


def train(counting, scratch, target):
    """Has a node do each work, with and without logs; it writes its counts when it ends."""
    servers.Portcullis.binary = counting
    pki = scratch / "pki"
    machine.run([target / "release" / "portcullis-pki", pki, "--lists", "0"], "making the PKI")
    for work in WORKS:
        if not isinstance(work.load, Load) or work.entries or work.beside:
            continue
        is_handshake = work.load.command == "handshake"
        count = HANDSHAKES if is_handshake else LARGE_ANSWERS if work.answer_bytes else REQUESTS
        for server in (servers.Portcullis, servers.PortcullisLogging):
            with ExitStack() as started:
                behind = started.enter_context(servers.Target(scratch, pki)) if work.forwards else None
                wanted = work.wanted | {"lists": NO_LISTS, "target": behind.port if behind else None}
                running = started.enter_context(server(scratch, pki, **wanted))
                counted = replace(work.load, new_clients=count)
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
