"""Portcullis, as it is measured beside others, and as its own promises want it."""
import os
from dataclasses import replace
from pathlib import Path

from .. import machine
from .server import ANSWER, Server


class Portcullis(Server):
    name = "portcullis"
    binary = None
    shards = 1
    logs = ""
    wrong = machine.Broken

    @staticmethod
    def version():
        return machine.run([Portcullis.binary, "--version"], "portcullis --version").stdout.strip()

    def prepare(self):
        wanted = self.wanted
        lists = ", ".join(str(file) for file in wanted.lists)
        if wanted.client_certificates:
            resumption = "bound" if wanted.resumption else "off"
            asked = f"mutual_authentication: {{mode: verify, trust_store: clients, session_resumption: {resumption}}}"
        else:
            asked = f"session_resumption: {'on' if wanted.resumption else 'off'}"
        if wanted.target:
            action = "{type: forward, target_group: targets}"
            targets = f"targets: [{{id: 127.0.0.1, port: {wanted.target}}}]"
        else:
            content = f'content_type: text/plain, message_body: "{ANSWER}"'
            action = f'{{type: fixed-response, fixed_response_config: {{status_code: "200", {content}}}}}'
            targets = "targets: []"
        http2 = "true" if wanted.http2 else "false"
        self.configuration = self.write(
            "portcullis.yaml",
            f"""\
node: {{name: perf, shards: {self.shards}}}
admin: {{bind: "unix:admin.sock"}}
{self.logs}
load_balancer: {{attributes: {{routing.http2.enabled: {http2}}}}}
certificates:
  - {{name: server, chain: {self.chain}, key: {self.key}}}
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


class PortcullisLogging(Portcullis):
    """With both logs: a line for each connection, and one for each request."""

    name = "portcullis, both logs"
    logs = "logs: {connection: connection.log, access: access.log}"


class PortcullisTwoShards(Portcullis):
    """A second shard, on the load's CPU."""

    name = "portcullis, 2 shards"
    shards = 2
    cpus = {machine.SERVER_CPU, machine.LOAD_CPU}


class PortcullisReloading(Portcullis):
    """One shard and one list, `live.crl`, that is replaced."""

    def __init__(self, scratch, pki):
        # A server's directory is there once it is made, and its list has to be there before it starts.
        super().__init__(scratch, pki)
        self.live = self.directory / "live.crl"
        self.wanted = replace(self.wanted, lists=(self.live,))
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
