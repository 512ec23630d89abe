"""HAProxy with one thread."""
from .. import machine
from .server import ANSWER, IDENTITY_HEADERS, Server

PROGRAM = "/usr/sbin/haproxy"
# What it calls the values of IDENTITY_HEADERS.
IDENTITY_SAMPLES = ("ssl_c_s_dn", "ssl_c_i_dn", "ssl_c_serial,hex", "ssl_c_der,base64")


class Haproxy(Server):
    name = "haproxy"

    @staticmethod
    def version():
        told = machine.run([PROGRAM, "-vv"], "haproxy -vv")
        lines = told.stdout.splitlines()
        return ", ".join([lines[0], *(line for line in lines if "Running on OpenSSL" in line)])

    def prepare(self):
        wanted = self.wanted
        server = self.joined("server.pem", [self.chain, self.key])
        asked = "alpn h2,http/1.1" if wanted.http2 else ""
        if wanted.client_certificates:
            lists = f"crl-file {self.joined('lists.pem', wanted.lists)}" if wanted.lists else ""
            asked += f" ca-file {self.pki}/bundle.pem verify required {lists}"
        if wanted.target:
            kind, action = "listen", f"http-reuse always\n  server target 127.0.0.1:{wanted.target}"
        else:
            kind = "frontend"
            action = f'http-request return status 200 content-type text/plain string "{ANSWER}"'
        if wanted.identity_headers:
            named = zip(IDENTITY_HEADERS, IDENTITY_SAMPLES)
            headers = (f"http-request set-header X-Amzn-Mtls-Clientcert-{name} %[{sample}]" for name, sample in named)
            action = "\n  ".join([*headers, action])
        configuration = self.write(
            "haproxy.cfg",
            f"""\
global
  nbthread 1
  maxconn 8192
  {"" if wanted.resumption else "tune.ssl.cachesize 0"}
  ssl-default-bind-curves X25519
  ssl-default-bind-options ssl-min-ver TLSv1.3 {"" if wanted.resumption else "no-tls-tickets"}
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 10s
{kind} https
  bind 127.0.0.1:{self.port} ssl crt {server} {asked}
  {action}
""",
        )
        return [PROGRAM, "-f", configuration]
