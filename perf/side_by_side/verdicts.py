"""What a client gets from a server: asked with OpenSSL, by Python's ssl, not with our own load."""
import socket
import ssl

from .servers import ANSWER


def ask(port, pki, client):
    """The whole answer's body to a client's GET, or None where the client is not let in.

    nginx lets a refused client finish its handshake and answers 400; the others send an alert.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(f"{pki}/bundle.pem")
    context.load_cert_chain(f"{pki}/{client}.crt", f"{pki}/{client}.key")
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as stream:
                stream.sendall(request)
                while more := stream.recv(65536):
                    answer += more
    except ssl.SSLCertVerificationError:
        # The client refuses the server: that is no verdict.
        raise
    except (ssl.SSLError, ConnectionError):
        if not answer:
            return None
    head, _, body = answer.partition(b"\r\n\r\n")
    return body.decode() if head.startswith(b"HTTP/1.1 200") else None


def faults(server, has_revoked):
    """What a server gets wrong, one sentence each. `has_revoked`: its lists name the revoked client."""
    expected = [
        ("clients/00000", ANSWER, "an unlisted client"),
        ("revoked", None if has_revoked else ANSWER, "the revoked client"),
        ("untrusted", None, "an untrusted client"),
    ]
    found = []
    for client, answer, who in expected:
        got = ask(server.port, server.pki, client)
        if got != answer:
            wanted = "refusal" if answer is None else f"{answer!r}"
            found.append(f"{server.name}: {who} got {got!r} in place of {wanted}")
    return found
