"""What a client gets from a server: asked with OpenSSL, by Python's ssl, not with our own load."""
import base64
import socket
import ssl
from pathlib import Path
from urllib.parse import unquote

from . import machine
from .servers import ANSWER, IDENTITY, LARGE, LARGE_ANSWER

# A client whom every server lets in that wants one.
GOOD = "clients/00000"


def context_of(pki, client=None):
    """As this client of the PKI, or as one without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(f"{pki}/bundle.pem")
    if client:
        context.load_cert_chain(f"{pki}/{client}.crt", f"{pki}/{client}.key")
    return context


def exchange(port, context, path=None, session=None):
    """Asks a server for `path`, if any: what it sends on that connection, its session, and whether that was resumed."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), 20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as stream:
            if path:
                stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            while more := stream.recv(65536):
                answer += more
            return answer, stream.session, stream.session_reused


def ask(port, pki, client, sends=True, path="/"):
    """What a client gets: the body of a 200, the status of another answer, the name of an alert.

    Without a request (`sends`) it only listens: in TLS 1.3 the refusal comes after the client's handshake is
    done, and an alert may be lost where a request meets a closed socket.
    """
    try:
        answer, _, _ = exchange(port, context_of(pki, client), path if sends else None)
    except ssl.SSLCertVerificationError:
        # The client refuses the server: that is no verdict.
        raise
    except ssl.SSLError as error:
        return error.reason
    except TimeoutError:
        return "nothing"
    except ConnectionError as error:
        return type(error).__name__
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head[9:12].decode(errors="replace")
    return body.decode(errors="replace") if status == "200" else status


def require(server, has_revoked):
    """Ends the run where a server gets anything wrong of what is wanted.

    `has_revoked`: its lists name the revoked client.
    """
    if found := faults(server, has_revoked):
        raise server.wrong(*found)


def faults(server, has_revoked):
    """The same, one sentence each."""
    wanted = server.wanted
    if wanted.client_certificates:
        revoked = server.refusals["revoked"] if has_revoked else ANSWER
        expected = [
            (GOOD, "/", ANSWER, "an unlisted client"),
            ("revoked", "/", revoked, "the revoked client"),
            ("untrusted", "/", server.refusals["untrusted"], "an untrusted client"),
        ]
    else:
        expected = [(None, "/", ANSWER, "a client")]
    if wanted.target:
        expected.append((expected[0][0], LARGE, LARGE_ANSWER, "a client that asks for much"))
    found = []
    for client, path, answer, who in expected:
        sends = server.refuses_requests or answer in (ANSWER, LARGE_ANSWER)
        got = ask(server.port, server.pki, client, sends, path)
        if got != answer:
            found.append(f"{server.name}: {who} got {got[:200]!r} in place of {answer[:200]!r}")
    checks = [(wanted.identity_headers, identity), (wanted.resumption, resumption), (wanted.http2, http2)]
    return found + [fault for is_wanted, check in checks if is_wanted and (fault := check(server))]


def identity(server):
    """What is wrong with what the target is told of the client."""
    lines = ask(server.port, server.pki, GOOD, path=IDENTITY).split("\n")
    subject, issuer, serial, leaf = lines if len(lines) == 4 else [""] * 4
    # The first certificate of the file.
    own = bare(Path(f"{server.pki}/{GOOD}.crt").read_text().partition("-----END")[0])
    is_right = "client 0" in subject and "Perf intermediate" in issuer and bare(leaf) == own
    is_right = is_right and len(serial) > 8 and serial.lower() in base64.b64decode(own).hex()
    return None if is_right else f"{server.name}: the target is told of the client {lines!r}"


def bare(pem):
    """The base64 of a certificate, whether it is PEM, encoded for URLs, or neither."""
    lines = unquote(pem).splitlines()
    return "".join(line for line in lines if not line.startswith("-----"))


def resumption(server):
    context = context_of(server.pki, GOOD if server.wanted.client_certificates else None)
    _, session, _ = exchange(server.port, context, "/")
    _, _, is_resumed = exchange(server.port, context, "/", session)
    return None if is_resumed else f"{server.name}: no session is resumed"


def http2(server):
    context = context_of(server.pki, GOOD if server.wanted.client_certificates else None)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", server.port), 20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as stream:
            spoken = stream.selected_alpn_protocol()
    return None if spoken == "h2" else f"{server.name}: speaks {spoken} in place of h2"
