"""What all runs have in common: options, the build, whether the machine was quiet, and keeping the results."""
import argparse
import datetime
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from . import PROJECT, load, machine, release, servers, table

# Of fewer, nobody can say how far they vary.
ROUNDS_MIN = 5


class Fault(NamedTuple):
    """A promise that did not hold."""

    text: str
    # What it is about: times mean nothing on a busy machine, the rest does.
    of_time: bool = False


def arguments(doc, quick, peers=False):
    """A parser with the options that every run has; `quick` says what a quick one leaves out.

    `peers`: others are measured beside Portcullis.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS_MIN, help="how often each is measured (default 5; fewer are not judged)"
    )
    parser.add_argument("--seconds", type=float, default=3, help="for each measurement (default 3)")
    if peers:
        parser.add_argument("--no-peers", action="store_true", help="measure Portcullis alone")
    parser.add_argument("--plain", action="store_true", help="the node as cargo builds it, without a profile")
    parser.add_argument("--no-build", action="store_true", help="measure what is built already")
    parser.add_argument("--results", type=Path, default=PROJECT / "perf" / "results", help="where raw results go")
    return parser


def parse(parser):
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be above 0")
    return options


def build(options):
    """Builds what is measured, and finds it: the node as it is released or, `plain`, as cargo alone builds it.

    Answers the program that makes the PKI, and the directory of all builds.
    """
    target = target_directory()
    profile = "debug" if options.quick else "release"
    plain = kind(options) != BY_PROFILE
    if not options.no_build:
        cargo_build(profile, *TOOLS)
        if plain:
            cargo_build(profile, "portcullis")
    load.BINARY, pki_maker = (built(target / profile / name) for name in TOOLS)
    if not plain and not options.no_build:
        release.build(target)
    servers.Portcullis.binary = built(target / profile / "portcullis" if plain else release.node(target))
    return pki_maker, target


BY_PROFILE = "by profile"


def kind(options):
    """Which build of the node is measured."""
    return "debug" if options.quick else "plain" if options.plain else BY_PROFILE


# Built apart from the node, so that it has its own features of its dependencies and no others.
TOOLS = ("portcullis-load", "portcullis-pki")


def cargo_build(profile, *packages):
    flags = ["--release"] if profile == "release" else []
    named = [word for package in packages for word in ("-p", package)]
    if subprocess.run(["cargo", "build", "--locked", *flags, *named], cwd=PROJECT, check=False).returncode != 0:
        raise machine.CannotRun("it does not build")


def built(program):
    if not program.exists():
        raise machine.CannotRun(f"{program} is not built")
    return program


def target_directory():
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"]
    told = subprocess.run(metadata, cwd=PROJECT, check=True, capture_output=True, text=True)
    return Path(json.loads(told.stdout)["target_directory"])


def revision():
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


def say(what):
    print(what, file=sys.stderr, flush=True)


def say_broken(broken):
    print(*(f"BROKEN  {text}" for text in broken.args), sep="\n")


class Measured:
    """The results of a run, and what they are worth."""

    def __init__(self, name, options, commit, peers):
        self.name = name
        self.options = options
        self.calm = machine.Calm()
        program = servers.Portcullis.binary.read_bytes()
        self.results = {
            "run": name,
            "begun": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": machine.describe(),
            "commit": commit,
            "servers": {server.name: server.version() for server in peers},
            "node": {"build": kind(options), "sha256": hashlib.sha256(program).hexdigest()},
            "rounds": 1 if options.quick else options.rounds,
            "seconds": options.seconds,
        }

    def few_rounds(self):
        """Why nothing is judged by the rounds, if so, a phrase."""
        return ["fewer than five rounds"] if self.results["rounds"] < ROUNDS_MIN else []

    def judge(self, faults):
        """Says what is broken; the exit status."""
        quick, doubts = self.options.quick, self.calm.doubts() + self.few_rounds()
        judged = [fault for fault in faults if not fault.of_time or not (doubts or quick)]
        for fault in judged:
            print(f"BROKEN  {fault.text}")
        if judged:
            return 1
        if quick:
            print("answers are right; a quick run says nothing about times")
            return 0
        if doubts:
            print(*(f"not judged: {why}" for why in doubts), sep="\n")
            return 3
        print("all promises hold")
        return 0

    def keep(self):
        self.results |= self.calm.told()
        directory = self.options.results
        directory.mkdir(parents=True, exist_ok=True)
        begun = self.results["begun"].replace(":", "").replace("+0000", "Z")
        path = directory / f"{begun}-{self.name}.json"
        path.write_text(json.dumps(self.results, indent=1) + "\n")
        if self.calm.foreign:
            (_, spread), most = table.median_and_spread(self.calm.calibrations), max(self.calm.foreign)
            print(
                f"\ncalibration: spread {spread:.0f} %; others had at most {most * 100:.0f} % of a CPU during a "
                "measurement"
            )
        print(f"raw results: {path}")


def main(name, run):
    """Runs to an exit status: 1 where a server did something wrong; what cannot run says why and ends with 2."""
    try:
        run()
    except machine.Broken as broken:
        say_broken(broken)
        sys.exit(1)
    except machine.CANNOT_RUN as why:
        say(f"perf/{name}: {why}")
        sys.exit(2)
