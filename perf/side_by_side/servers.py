"""The servers, each with the same work to do: TLS 1.3, P-256, and ANSWER.

Without a target they verify every client and answer themselves. With the port of one they ask for no
certificate, speak HTTP/2 and HTTP/1.1, and forward to it on kept connections.

One worker or thread, logs, tickets and session caches off, and the same key exchange. `lists` are the
revocation files: none of them, or one of every CA (OpenSSL refuses clients of a CA whose list is missing).
"""
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from . import machine

ANSWER = "Hello, client."


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


def install(packages):
    """Installs Debian packages; their services are not started. Whether that worked."""
    print(f"installing Debian's {' and '.join(packages)}, without starting their services", file=sys.stderr)
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not shutil.which("apt-get"):
        return False
    script = Path(__file__).parents[2] / "tests" / "install-packages"
    return subprocess.run([*sudo, str(script), *packages], check=False).returncode == 0


class Server:
    """A running server. `with` starts it, waits until it listens, and ends it."""

    cpus = {machine.SERVER_CPU}

    # What a client gets that is refused: the alert, as OpenSSL calls it.
    refusals = {"revoked": "SSLV3_ALERT_CERTIFICATE_REVOKED", "untrusted": "TLSV1_ALERT_UNKNOWN_CA"}
    # Whether it refuses a request in place of the handshake.
    refuses_requests = False

    def __init__(self, scratch, pki, lists=(), target=None):
        self.port = free_port()
        self.pki = pki
        self.lists = lists
        self.target = target
        self.directory = Path(scratch) / f"{self.name}-{self.port}"
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


class Portcullis(Server):
    name = "portcullis"
    binary = None

    @staticmethod
    def version():
        return machine.run([Portcullis.binary, "--version"], "portcullis --version").stdout.strip()

    def prepare(self):
        lists = ", ".join(str(file) for file in self.lists)
        if self.target:
            asked = ""
            action = "{type: forward, target_group: targets}"
            targets = f"targets: [{{id: 127.0.0.1, port: {self.target}}}]"
        else:
            asked = "mutual_authentication: {mode: verify, trust_store: clients}"
            content = f'content_type: text/plain, message_body: "{ANSWER}"'
            action = f'{{type: fixed-response, fixed_response_config: {{status_code: "200", {content}}}}}'
            targets = "targets: []"
        self.configuration = self.write(
            "portcullis.yaml",
            f"""\
node: {{name: perf, shards: 1}}
admin: {{bind: "unix:admin.sock"}}
certificates:
  - {{name: server, chain: {self.pki}/server.crt, key: {self.pki}/server.key}}
trust_stores:
  - {{name: clients, ca_certificates_bundle: {self.pki}/bundle.pem, revocations: [{lists}]}}
target_groups:
  - {{name: targets, protocol: HTTP, {targets}}}
listeners:
  - name: https
    bind: 127.0.0.1:{self.port}
    protocol: HTTPS
    certificates: [server]
    {asked}
    default_actions: [{action}]
""",
        )
        return [self.binary, "serve", "--config", self.configuration]

    def reload(self):
        """Has it read its files anew; answers when it works by them."""
        # It is no part of what is measured.
        placed = machine.on({machine.LOAD_CPU}, yields=True)
        machine.run([*placed, self.binary, "reload", "--config", self.configuration], "a reload")


class PortcullisReloading(Portcullis):
    """One shard and one list, `live.crl`, that is replaced."""

    def __init__(self, scratch, pki):
        super().__init__(scratch, pki, [])
        self.live = self.directory / "live.crl"
        self.lists = [self.live]
        self.put(Path(pki) / "0.crl")

    def put(self, file):
        """Puts this file in the place of its list, whole."""
        new = self.live.with_suffix(".new")
        os.link(file, new)
        new.rename(self.live)
        # rename(2) does nothing where both are the same file.
        new.unlink(missing_ok=True)

    @staticmethod
    def is_control(thread):
        """Whether a thread is the node's own, not one that serves."""
        return not thread.startswith(("shard-", "iou-"))


class PortcullisWithRoom(PortcullisReloading):
    """The shard on the server's CPU, and a second CPU for the control threads."""

    cpus = {machine.SERVER_CPU, machine.LOAD_CPU}


class Nginx(Server):
    name = "nginx"
    refusals = {"revoked": "400", "untrusted": "400"}
    refuses_requests = True

    @staticmethod
    def version():
        told = machine.run(["/usr/sbin/nginx", "-V"], "nginx -V")
        lines = [line for line in told.stderr.splitlines() if "version" in line or "OpenSSL" in line]
        return ", ".join(lines)

    def prepare(self):
        user = "user root;" if os.geteuid() == 0 else ""
        lists = f"ssl_crl {self.joined('lists.pem', self.lists)};" if self.lists else ""
        if self.target:
            http2, asked = "http2", ""
            # A connection serves as many requests as elsewhere.
            upstream = f"upstream targets {{ server 127.0.0.1:{self.target}; keepalive 128; keepalive_requests 1000000; }}"
            action = 'proxy_pass http://targets; proxy_http_version 1.1; proxy_set_header Connection "";'
        else:
            http2, upstream = "", ""
            asked = f"ssl_client_certificate {self.pki}/bundle.pem; ssl_verify_client on; ssl_verify_depth 4; {lists}"
            action = f'default_type text/plain; return 200 "{ANSWER}";'
        temporary = "\n".join(
            f"  {kind}_temp_path {self.directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = self.write(
            "nginx.conf",
            f"""\
{user}
daemon off;
worker_processes 1;
pid {self.directory}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
{temporary}
  keepalive_requests 1000000;
  {upstream}
  server {{
    listen 127.0.0.1:{self.port} ssl {http2} backlog=4096;
    ssl_certificate {self.pki}/server.crt;
    ssl_certificate_key {self.pki}/server.key;
    ssl_protocols TLSv1.3;
    ssl_ecdh_curve X25519;
    ssl_session_tickets off;
    ssl_session_cache off;
    {asked}
    location / {{ {action} }}
  }}
}}
""",
        )
        return ["/usr/sbin/nginx", "-p", self.directory, "-c", configuration]


class Haproxy(Server):
    name = "haproxy"

    @staticmethod
    def version():
        told = machine.run(["/usr/sbin/haproxy", "-vv"], "haproxy -vv")
        lines = told.stdout.splitlines()
        return ", ".join([lines[0], *(line for line in lines if "Running on OpenSSL" in line)])

    def prepare(self):
        server = self.joined("server.pem", [f"{self.pki}/server.crt", f"{self.pki}/server.key"])
        lists = f"crl-file {self.joined('lists.pem', self.lists)}" if self.lists else ""
        if self.target:
            asked = "alpn h2,http/1.1"
            action = f"http-reuse always\n  server target 127.0.0.1:{self.target}"
            kind = "listen"
        else:
            asked = f"ca-file {self.pki}/bundle.pem verify required {lists}"
            action = f'http-request return status 200 content-type text/plain string "{ANSWER}"'
            kind = "frontend"
        configuration = self.write(
            "haproxy.cfg",
            f"""\
global
  nbthread 1
  maxconn 4096
  tune.ssl.cachesize 0
  ssl-default-bind-curves X25519
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
{kind} https
  bind 127.0.0.1:{self.port} ssl crt {server} {asked}
  {action}
""",
        )
        return ["/usr/sbin/haproxy", "-f", configuration]


class Target(Nginx):
    """What the others forward to: nginx without TLS, on the load's CPU.

    `/slow` answers once it has the whole request, the rest at once.
    """

    name = "target"
    cpus = {machine.LOAD_CPU}

    def prepare(self):
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = self.write(
            "nginx.conf",
            f"""\
{user}
daemon off;
worker_processes 1;
pid {self.directory}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {self.directory}/body;
  proxy_temp_path {self.directory}/proxy;
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    location = /slow {{ proxy_pass http://127.0.0.1:{self.port}/; }}
    location / {{ default_type text/plain; return 200 "{ANSWER}"; }}
  }}
}}
""",
        )
        return ["/usr/sbin/nginx", "-p", self.directory, "-c", configuration]


def peers():
    """Those that can be had here, installed if need be; says which are not."""
    candidates = {"nginx": ("nginx-light", Nginx), "haproxy": ("haproxy", Haproxy)}
    path = os.environ["PATH"] + ":/usr/sbin"
    missing = [package for name, (package, _) in candidates.items() if not shutil.which(name, path=path)]
    if missing and not install(missing):
        print(f"without what could not be installed: {', '.join(missing)}", file=sys.stderr)
    return [peer for name, (_, peer) in candidates.items() if shutil.which(name, path=path)]
