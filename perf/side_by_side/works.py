"""The works that servers are compared in, and what Portcullis is to reach in each.

Handshakes get an answer that the server makes itself; what is about requests is forwarded to one target.
"""
from dataclasses import dataclass, field
from typing import NamedTuple

from . import servers
from .goals import BEST, Goal
from .idle import IdleMemory
from .load import NEW, UNNAMED, Load


class Contender(NamedTuple):
    """A server in a work."""

    label: str
    server: type
    # Of its revocation list; without, it has none.
    entries: int | None = None


@dataclass(frozen=True)
class Work:
    """What servers are compared in."""

    # Its name for --only.
    key: str
    title: str
    # How it is measured: a Load, or IdleMemory.
    load: object = Load()
    # What is wanted of all servers: see servers.Wanted.
    wanted: dict = field(default_factory=dict)
    goals: tuple = ()
    # Whether there is a target behind the servers.
    forwards: bool = False
    # Entries of the revocation list of all, and the peers that go without this work then.
    entries: int | None = None
    without: tuple = ()
    # Others than the peers beside Portcullis.
    beside: tuple = ()
    # Whether latency at half of a server's capacity is measured, too.
    at_half: bool = False
    # Bytes of an answer, where the figure is MB for each CPU-second.
    answer_bytes: int = 0

    @property
    def unit(self):
        return "MB/CPU-s" if self.answer_bytes else self.load.unit

    def figure(self, report):
        """What counts of a measurement: less is better but for answer_bytes."""
        figure = report[self.load.figure]
        return self.answer_bytes / figure if self.answer_bytes else figure

    def contenders(self, peers, quick):
        """Ours first, then the peers, then ours in other ways."""
        if self.beside:
            return [Contender(PORTCULLIS, servers.Portcullis), *self.beside]
        entries = self.entries and (QUICK_ENTRIES if quick else self.entries)
        compared = [servers.Portcullis, *(peer for peer in peers if peer not in self.without)]
        found = [Contender(server.name, server, entries) for server in compared]
        if entries:
            found.append(Contender(NO_LIST, servers.Portcullis))
        found.append(Contender(LOGGING.name, LOGGING, entries))
        return found


PORTCULLIS = servers.Portcullis.name
LOGGING = servers.PortcullisLogging
NO_LIST = "portcullis, no list"
TWO_SHARDS = servers.PortcullisTwoShards.name
NO_LISTS = ()
# In a quick run, and of the list with which servers show that they refuse whom it names.
QUICK_ENTRIES = 1_000
ENVOY = servers.Envoy.name

KEPT = Load("requests", connections=64, prepares=True)

WORKS = [
    Work(
        "mtls",
        "Full mTLS handshake, one GET, close; returning clients",
        goals=(Goal(0.50, ENVOY),),
        at_half=True,
    ),
    Work(
        "new-clients",
        "The same, every client new, its intermediate known",
        Load(clients=NEW),
        goals=(Goal(0.66, ENVOY),),
    ),
    Work(
        "crl-100k",
        "The same with a list of 100,000 revoked certificates; returning clients",
        goals=(Goal(1.05, NO_LIST), Goal(0.09, ENVOY)),
        entries=100_000,
    ),
    Work(
        "crl-1m",
        "The same with a list of 1,000,000 revoked certificates; returning clients",
        goals=(Goal(1.05, NO_LIST),),
        entries=1_000_000,
        # What a handshake takes grows with the list: a round would be a few dozen of them.
        without=(servers.Nginx, servers.Haproxy),
    ),
    Work(
        "rsa",
        "The same with an RSA-2048 certificate of the server; returning clients",
        wanted={"certificate": "server-rsa"},
        goals=(Goal(0.50, ENVOY),),
    ),
    Work(
        "no-client-cert",
        "Full handshake without a client certificate, one GET, close",
        Load(clients=UNNAMED),
        {"client_certificates": False},
        goals=(Goal(0.75, ENVOY),),
    ),
    Work(
        "resumed",
        "Resumed mTLS handshake (ours: bound), one GET, close",
        Load(resumes=True, prepares=True),
        {"resumption": True},
        goals=(Goal(0.70, ENVOY),),
    ),
    Work(
        "keep-alive",
        "GET of 13 bytes on 64 kept mTLS connections",
        KEPT,
        goals=(Goal(0.75, BEST),),
        forwards=True,
        at_half=True,
    ),
    Work(
        "identity",
        "The same, the target is told subject, issuer, serial number and certificate",
        KEPT,
        {"identity_headers": True},
        goals=(Goal(0.70, BEST),),
        forwards=True,
    ),
    Work(
        "bulk",
        "GET of 100 KiB on 64 kept mTLS connections",
        Load("requests", connections=64, options=("--path", servers.LARGE), prepares=True),
        goals=(Goal(1.2, BEST, at_least=True),),
        forwards=True,
        answer_bytes=len(servers.LARGE_ANSWER),
    ),
    Work(
        "http2",
        "GET of 13 bytes by HTTP/2, 16 connections of 8 streams, no client certificate",
        Load("requests", UNNAMED, connections=16, streams=8, prepares=True),
        {"client_certificates": False, "http2": True},
        goals=(Goal(0.95, BEST),),
        forwards=True,
    ),
    Work(
        "idle",
        "Memory of each of 5,000 idle mTLS connections",
        IdleMemory(connections=5_000),
        goals=(Goal(8.0),),
    ),
    Work(
        "shards",
        "Full mTLS handshake as the first, on one shard and on two",
        goals=(Goal(1.10, of=PORTCULLIS, by=TWO_SHARDS),),
        beside=(Contender(TWO_SHARDS, servers.PortcullisTwoShards),),
    ),
]
