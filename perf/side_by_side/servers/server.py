"""What all servers have in common: how they start, listen and end, and what may be wanted of them."""
import random
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .. import machine

# What every server answers, 13 bytes, and what LARGE answers, 100 KiB. Targets know both, and IDENTITY.
ANSWER = "Hello, client"
LARGE = "/large"
LARGE_ANSWER = (ANSWER + "\n") * (100 * 1024 // 14) + "*" * (100 * 1024 % 14)
# Answers ANSWER once the target has all of the request's content; elsewhere it does not wait for that.
UPLOAD = "/upload"
# Answers what the target was told of the client.
IDENTITY = "/identity"
# The headers that tell it, as ALB calls them, without X-Amzn-Mtls-Clientcert-.
IDENTITY_HEADERS = ("Subject", "Issuer", "Serial-Number", "Leaf")


@dataclass(frozen=True)
class Wanted:
    """What a server is to do."""

    # Revocation files: none of them, or one of every CA (OpenSSL refuses clients of a CA whose list is missing).
    lists: tuple = ()
    # The port of what it forwards to, on kept connections; without one it answers by itself.
    target: int | None = None
    # Whether it asks for certificates of clients, and verifies them.
    client_certificates: bool = True
    # Whether it speaks HTTP/2, besides HTTP/1.1.
    http2: bool = False
    # Whether clients may resume their sessions.
    resumption: bool = False
    # Whether targets are told IDENTITY_HEADERS. Portcullis always tells them of a client whom it verified.
    identity_headers: bool = False
    # Its own certificate, by its name in the PKI.
    certificate: str = "server"


def free_port():
    """A port that was free a moment ago, below those that the kernel hands out to clients."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Server:
    """A running server. `with` starts it, waits until it listens, and ends it."""

    cpus = {machine.SERVER_CPU}

    # What a client gets that is refused: the alert, as OpenSSL calls it.
    refusals = {"revoked": "SSLV3_ALERT_CERTIFICATE_REVOKED", "untrusted": "TLSV1_ALERT_UNKNOWN_CA"}
    # Whether it refuses a request in place of the handshake.
    refuses_requests = False
    # What it is where it does something wrong: a peer breaks no promise, and cannot be compared with.
    wrong = machine.CannotRun

    def __init__(self, scratch, pki, **wanted):
        self.port = free_port()
        self.pki = pki
        self.wanted = Wanted(**wanted)
        self.directory = Path(scratch) / f"{self.name.replace(' ', '-')}-{self.port}"
        self.directory.mkdir()
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def __enter__(self):
        command = self.prepare()
        log = (self.directory / "stderr").open("wb")
        self.process = subprocess.Popen(
            [*machine.on(self.cpus), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        deadline = time.monotonic() + 120
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                told = (self.directory / "stderr").read_text(errors="replace")
                raise machine.CannotRun(f"{self.name} does not start:\n{told}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def joined(self, name, files):
        """One file of several, for those who take one."""
        return self.write(name, "".join(Path(file).read_text() for file in files))

    @property
    def chain(self):
        """The file of its certificate, and its issuer's."""
        return f"{self.pki}/{self.wanted.certificate}.crt"

    @property
    def key(self):
        return f"{self.pki}/{self.wanted.certificate}.key"
