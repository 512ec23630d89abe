"""What the runs in perf/ share: the machine, the servers, verdicts of a client, tables."""
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
