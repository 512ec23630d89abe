"""What a client gets from a server: asked with OpenSSL, by Python's ssl, not with our own load."""
import socket
import ssl

from .servers import ANSWER

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def ask(port, pki, client, sends=True):
    """What a client gets: the body of a 200, the status of another answer, the name of an alert.

    Without a request (`sends`) it only listens: in TLS 1.3 the refusal comes after the client's handshake is
    done, and an alert may be lost where a request meets a closed socket.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(f"{pki}/bundle.pem")
    context.load_cert_chain(f"{pki}/{client}.crt", f"{pki}/{client}.key")
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as stream:
                if sends:
                    stream.sendall(REQUEST)
                while more := stream.recv(65536):
                    answer += more
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


def faults(server, has_revoked):
    """What a server gets wrong, one sentence each. `has_revoked`: its lists name the revoked client."""
    expected = [
        ("clients/00000", ANSWER, "an unlisted client"),
        ("revoked", server.refusals["revoked"] if has_revoked else ANSWER, "the revoked client"),
        ("untrusted", server.refusals["untrusted"], "an untrusted client"),
    ]
    found = []
    for client, wanted, who in expected:
        got = ask(server.port, server.pki, client, sends=server.refuses_requests or wanted == ANSWER)
        if got != wanted:
            found.append(f"{server.name}: {who} got {got!r} in place of {wanted!r}")
    return found
