"""nginx: one that is measured, and one without TLS that the others forward to."""
import os

from .. import machine
from .server import ANSWER, IDENTITY, IDENTITY_HEADERS, LARGE, LARGE_ANSWER, UPLOAD, Server

PROGRAM = "/usr/sbin/nginx"
# What it calls the values of IDENTITY_HEADERS.
IDENTITY_VARIABLES = ("$ssl_client_s_dn", "$ssl_client_i_dn", "$ssl_client_serial", "$ssl_client_escaped_cert")


class Nginx(Server):
    name = "nginx"
    refusals = {"revoked": "400", "untrusted": "400"}
    refuses_requests = True

    @staticmethod
    def version():
        told = machine.run([PROGRAM, "-V"], "nginx -V")
        lines = [line for line in told.stderr.splitlines() if "version" in line or "OpenSSL" in line]
        return ", ".join(lines)

    def prepare(self):
        temporary = "\n".join(
            f"  {kind}_temp_path {self.directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = self.write(
            "nginx.conf",
            f"""\
{"user root;" if os.geteuid() == 0 else ""}
daemon off;
worker_processes 1;
pid {self.directory}/pid;
error_log stderr crit;
events {{ worker_connections 16384; }}
http {{
  access_log off;
{temporary}
  # A connection serves as many requests as elsewhere.
  keepalive_requests 100000000;
{self.service()}
}}
""",
        )
        return [PROGRAM, "-p", self.directory, "-c", configuration]

    def service(self):
        """The part of its configuration that says what it does."""
        wanted = self.wanted
        upstream = asked = ""
        if wanted.client_certificates:
            lists = f"ssl_crl {self.joined('lists.pem', wanted.lists)};" if wanted.lists else ""
            asked = f"ssl_client_certificate {self.pki}/bundle.pem; ssl_verify_client on; ssl_verify_depth 4; {lists}"
        tickets = "on" if wanted.resumption else "off"
        if wanted.target:
            kept = "keepalive 256; keepalive_requests 100000000;"
            upstream = f"upstream targets {{ server 127.0.0.1:{wanted.target}; {kept} }}"
            action = 'proxy_pass http://targets; proxy_http_version 1.1; proxy_set_header Connection "";'
            # A large answer goes through memory, as elsewhere, not through a file.
            action += " proxy_buffers 16 16k; proxy_max_temp_file_size 0;"
        else:
            action = f'default_type text/plain; return 200 "{ANSWER}";'
        if wanted.identity_headers:
            named = zip(IDENTITY_HEADERS, IDENTITY_VARIABLES)
            action += "".join(f" proxy_set_header X-Amzn-Mtls-Clientcert-{name} {value};" for name, value in named)
        return f"""\
  {upstream}
  server {{
    listen 127.0.0.1:{self.port} ssl {"http2" if wanted.http2 else ""} backlog=4096;
    ssl_certificate {self.chain};
    ssl_certificate_key {self.key};
    ssl_protocols TLSv1.3;
    ssl_ecdh_curve X25519;
    ssl_session_tickets {tickets};
    ssl_session_cache off;
    {asked}
    location / {{ {action} }}
  }}"""


class Target(Nginx):
    """What the others forward to: nginx without TLS, on the load's CPU."""

    name = "target"
    cpus = {machine.LOAD_CPU}

    def service(self):
        self.write(LARGE.strip("/"), LARGE_ANSWER)
        variables = (name.lower().replace("-", "_") for name in IDENTITY_HEADERS)
        told = "\\n".join(f"$http_x_amzn_mtls_clientcert_{name}" for name in variables)
        return f"""\
  large_client_header_buffers 4 32k;
  default_type text/plain;
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    location / {{ return 200 "{ANSWER}"; }}
    location = {UPLOAD} {{ proxy_pass http://127.0.0.1:{self.port}/; }}
    location = {IDENTITY} {{ return 200 "{told}"; }}
    location = {LARGE} {{ root {self.directory}; sendfile on; open_file_cache max=10; }}
  }}"""
