//! Heads as they go on: a request's to its target, a response's to its client.
//!
//! Pure. A shard calls it once for each message; what is not copied header by header is made anew, so
//! that nothing the sender wrote about this connection (framing, persistence, upgrades) gets through.
//! Bounds: those of the head; what is added is a few short lines and the identity block.
//! Source: RFC 9110, sections 7.2 and 7.6; `alb-contract.md`, sections 1.3, 1.4 and 6.1.
use super::attributes::Attributes;
use super::head::{Body, Request, Response, Version};
use super::identity::Forbidden;
use super::lines_out::Lines;
use super::name::{Known, known};
use super::{host, write_display};
use std::net::{IpAddr, SocketAddr};

/// What does not change during a client's connection.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its address.
    pub address: SocketAddr,
    /// The address of ours that it came to: the Host of an HTTP/1.0 request that has none.
    pub local_address: IpAddr,
    /// The port of the listener that it came to.
    pub listener_port: u16,
    /// Whether it came over TLS.
    pub tls: bool,
    /// OpenSSL spelling of protocol and cipher, such as `TLSv1.3` and `TLS_AES_128_GCM_SHA256`.
    pub tls_names: Option<(&'a str, &'a str)>,
    /// Ready header lines of `identity`, empty when there are none.
    pub identity: &'a [u8],
}

/// What the added lines take at most without the identity block, for one growth of the buffer.
const ADDED_BYTES: usize = 512;

/// Writes the head that a target gets: HTTP/1.1, keep-alive, `Host` and framing anew, then
/// [`request_lines`].
pub fn request(
    out: &mut Vec<u8>,
    request: &Request<'_, '_>,
    client: &Client<'_>,
    attributes: &Attributes,
    forbidden: &Forbidden,
) {
    out.reserve(request.length + client.identity.len() + ADDED_BYTES);
    for part in [request.method, " ", request.path, request.query, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    out.line_of("Host", |value| host(value, request, client, attributes));
    framing_lines(out, request.body);
    request_lines(out, request, client, attributes, forbidden);
    out.extend_from_slice(b"\r\n");
}

/// Appends the host that a target is asked for: the value of Host, or of `:authority`.
pub fn host(
    out: &mut Vec<u8>,
    request: &Request<'_, '_>,
    client: &Client<'_>,
    attributes: &Attributes,
) {
    let port = client.listener_port;
    match request.host {
        Some(host) if attributes.preserve_host => out.extend_from_slice(host.as_bytes()),
        Some(host) => host::write(out, host, port),
        // HTTP/1.0 alone may lack it, seldom enough to spend an allocation on.
        None => {
            let local = SocketAddr::new(client.local_address.to_canonical(), port);
            host::write(out, &local.to_string(), port);
        }
    }
}

/// Writes the lines that a target gets, but for host and framing: hop-by-hop headers and client-sent
/// identity headers removed, `X-Forwarded-*` and identity headers as the rules say.
pub fn request_lines(
    out: &mut impl Lines,
    request: &Request<'_, '_>,
    client: &Client<'_>,
    attributes: &Attributes,
    forbidden: &Forbidden,
) {
    for header in request.headers {
        match known(header.name) {
            Known::Other => {
                if !forbidden.contains(header.name) && !request.connection.nominates(header.name) {
                    out.line(header.name, header.value);
                }
            }
            // Written anew, here or by the shard that answers the expectation, or not at all.
            Known::Host
            | Known::ContentLength
            | Known::TransferEncoding
            | Known::Connection
            | Known::Expect
            | Known::HopByHop
            | Known::ForwardedFor
            | Known::Forwarded
            | Known::FramingLookalike
            | Known::ForwardedLookalike => {}
        }
    }
    forwarded_lines(out, request, client, attributes);
    if let Some((version, cipher)) =
        client.tls_names.filter(|_| attributes.tls_version_and_cipher_suite)
    {
        out.line(&attributes.names.tls_version, version.as_bytes());
        out.line(&attributes.names.tls_cipher_suite, cipher.as_bytes());
    }
    out.ready_lines(client.identity);
}

/// X-Forwarded-For, -Proto and -Port: the client behind all that it says itself.
fn forwarded_lines(
    out: &mut impl Lines,
    request: &Request<'_, '_>,
    client: &Client<'_>,
    attributes: &Attributes,
) {
    out.line_of("X-Forwarded-For", |value| {
        for header in request.headers {
            if known(header.name) == Known::ForwardedFor && !header.value.is_empty() {
                value.extend_from_slice(header.value);
                value.extend_from_slice(b", ");
            }
        }
        // An IPv4 client of a listener for both families is known by its IPv4 address.
        let address = client.address.ip().to_canonical();
        if attributes.xff_client_port {
            write_display(value, SocketAddr::new(address, client.address.port()));
        } else {
            write_display(value, address);
        }
    });
    out.line("X-Forwarded-Proto", if client.tls { b"https" } else { b"http" });
    out.line_of("X-Forwarded-Port", |value| write_display(value, client.listener_port));
}

/// The framing of a body towards HTTP/1.1.
fn framing_lines(out: &mut Vec<u8>, body: Body) {
    match body {
        Body::Length(length) => {
            out.line_of("Content-Length", |value| write_display(value, length));
        }
        Body::Chunked => out.line("Transfer-Encoding", b"chunked"),
        Body::Empty | Body::UntilClose => {}
    }
}

/// How a response goes on to the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Onward {
    /// How its body is delimited towards the client: chunked becomes `UntilClose` for HTTP/1.0.
    pub body: Body,
    /// Whether the client's connection is kept after it.
    pub keep_alive: bool,
}

/// Decides how a response goes on, given the client's version and wish.
///
/// A body without a length becomes chunked for an HTTP/1.1 client, also where the target ends it by
/// closing: the client's connection can be kept, and a body that was cut off can be told from a whole one.
pub fn onward(
    response: &Response<'_, '_>,
    client_version: Version,
    client_keep_alive: bool,
) -> Onward {
    let body = match (response.body, client_version) {
        (Body::Chunked | Body::UntilClose, Version::Http11 | Version::Http2) => Body::Chunked,
        (Body::Chunked | Body::UntilClose, Version::Http10) => Body::UntilClose,
        (body @ (Body::Empty | Body::Length(_)), _) => body,
    };
    Onward { body, keep_alive: client_keep_alive && body != Body::UntilClose }
}

/// Writes the head that the client gets: [`response_lines`], framing and `Connection` anew.
///
/// Interim responses (1xx, for HTTP/1.1 clients alone) get neither framing nor `Connection`, as another
/// response follows.
pub fn response(
    out: &mut Vec<u8>,
    response: &Response<'_, '_>,
    onward: Onward,
    client_version: Version,
) {
    out.reserve(response.length + ADDED_BYTES);
    out.extend_from_slice(b"HTTP/1.1 ");
    write_display(out, response.status);
    out.extend_from_slice(b" ");
    out.extend_from_slice(response.phrase.as_bytes());
    out.extend_from_slice(b"\r\n");
    response_lines(out, response);
    if !is_interim(response) {
        framing_lines(out, onward.body);
        match (onward.keep_alive, client_version) {
            (false, _) => out.line("Connection", b"close"),
            (true, Version::Http10) => out.line("Connection", b"keep-alive"),
            (true, Version::Http11 | Version::Http2) => {}
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the lines that the client gets, but for framing: hop-by-hop headers removed.
pub fn response_lines(out: &mut impl Lines, response: &Response<'_, '_>) {
    // RFC 9110, section 8.6: to HEAD and with 304 the length is that of the content which is not sent;
    // with 1xx and 204 there is none.
    let length_stays =
        response.body == Body::Empty && !is_interim(response) && response.status != 204;
    for header in response.headers {
        match known(header.name) {
            Known::ContentLength if length_stays => out.line(header.name, header.value),
            Known::Host
            | Known::Expect
            | Known::ForwardedFor
            | Known::Forwarded
            | Known::ForwardedLookalike
            | Known::Other => {
                if !response.connection.nominates(header.name) {
                    out.line(header.name, header.value);
                }
            }
            Known::ContentLength
            | Known::TransferEncoding
            | Known::Connection
            | Known::HopByHop
            | Known::FramingLookalike => {}
        }
    }
}

/// Whether another response follows.
const fn is_interim(response: &Response<'_, '_>) -> bool {
    response.status < 200
}

#[cfg(test)]
mod tests;
