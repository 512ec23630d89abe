"""The servers, each with the same work to do: TLS 1.3, X25519 alone, one worker or thread, logs off.

What a run wants of them is a `Wanted`, which each puts into its own configuration.
"""
from .envoy import Envoy
from .haproxy import Haproxy
from .install import all_peers, install, nginx, peers
from .nginx import Nginx, Target
from .portcullis import Portcullis, PortcullisLogging, PortcullisReloading, PortcullisTwoShards, PortcullisWithRoom
from .server import ANSWER, IDENTITY, LARGE, LARGE_ANSWER, UPLOAD, Server, Wanted, free_port

__all__ = [
    "ANSWER",
    "IDENTITY",
    "LARGE",
    "LARGE_ANSWER",
    "Envoy",
    "Haproxy",
    "Nginx",
    "Portcullis",
    "PortcullisLogging",
    "PortcullisReloading",
    "PortcullisTwoShards",
    "PortcullisWithRoom",
    "Server",
    "Target",
    "UPLOAD",
    "Wanted",
    "all_peers",
    "free_port",
    "install",
    "nginx",
    "peers",
]
