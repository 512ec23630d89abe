//! Heads as they go on: a request's to its target, a response's to its client.
//!
//! Pure. A shard calls it once for each message; what is not copied header by header is made anew, so
//! that nothing the sender wrote about this connection (framing, persistence, upgrades) gets through.
//! Bounds: those of the head; what is added is a few short lines and the identity block.
//! Source: RFC 9110, sections 7.2 and 7.6; `alb-contract.md`, sections 1.3, 1.4 and 6.1.
use super::attributes::{Attributes, ForwardedFor};
use super::head::{Body, Header, Request, Response, Version};
use super::identity::Forbidden;
use super::lines_out::Lines;
use super::name::{self, Known, known};
use super::trailers::{self, Filter};
use super::{forwarded_for, host, respond, upgrade, write_number};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What a target is told that does not stand in its client's request.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The client's address.
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
    /// The request's value of X-Amzn-Trace-Id, as `trace_id` made it.
    pub trace_id: &'a [u8],
}

/// What the added lines take at most without the identity block, for one growth of the buffer.
const ADDED_BYTES: usize = 512;

/// What became of headers whose names ALB calls invalid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvalidNames {
    /// The target does not get them (`routing.http.drop_invalid_header_fields.enabled`).
    Dropped,
    /// The target gets them.
    Forwarded,
}

impl InvalidNames {
    /// Both, in the order of [`InvalidNames::index`].
    pub const ALL: [Self; 2] = [Self::Dropped, Self::Forwarded];

    /// Position in [`InvalidNames::ALL`], for arrays of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The value of the `action` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Forwarded => "forwarded",
        }
    }
}

/// Writes the head that a target gets: HTTP/1.1, keep-alive, `Host` and framing anew, then
/// [`request_lines`].
///
/// Answers what became of headers with invalid names, if there were any.
pub fn request(
    out: &mut Vec<u8>,
    request: &Request<'_, '_>,
    client: &Client<'_>,
    attributes: &Attributes,
    forbidden: &Forbidden,
) -> Option<InvalidNames> {
    out.reserve(request.length + client.identity.len() + ADDED_BYTES);
    for part in [request.method, " ", request.path, request.query, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    out.line_of("Host", |value| host(value, request, client, attributes));
    framing_lines(out, request.body);
    if upgrade::is_asked(request) {
        upgrade_lines(out);
    } else if request.takes_trailers {
        // RFC 9110, section 10.1.4: "A sender of TE MUST also send a "TE" connection option".
        out.line("Connection", b"TE");
        out.line("TE", b"trailers");
    }
    let invalid_names = request_lines(out, request, client, attributes, forbidden);
    out.extend_from_slice(b"\r\n");
    invalid_names
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
/// identity headers removed, `Trailer` as far as trailers go on, `X-Forwarded-*`, `X-Amzn-Trace-Id` and
/// identity headers as the rules say.
///
/// A name with other characters than letters, digits and hyphens is dropped where an attribute says so.
/// Whether HTTP/2 is on makes no difference to that, for requests of either protocol.
pub fn request_lines(
    out: &mut impl Lines,
    request: &Request<'_, '_>,
    client: &Client<'_>,
    attributes: &Attributes,
    forbidden: &Forbidden,
) -> Option<InvalidNames> {
    let mut invalid_names = None;
    let (mut has_cookie, mut has_forwarded_for) = (false, false);
    let trailers = Filter::of_request(
        request.body == Body::Chunked && trailers::may_pass(&request.connection),
        forbidden,
        attributes,
    );
    for header in request.headers {
        match known(header.name) {
            Known::Other => {
                if forbidden.contains(header.name) || request.connection.nominates(header.name) {
                    continue;
                }
                if !name::is_valid(header.name) {
                    if attributes.drop_invalid_names {
                        invalid_names = Some(InvalidNames::Dropped);
                        continue;
                    }
                    invalid_names = Some(InvalidNames::Forwarded);
                }
                if request.version == Version::Http2 && header.name == COOKIE {
                    if !std::mem::replace(&mut has_cookie, true) {
                        cookie_line(out, request.headers);
                    }
                    continue;
                }
                out.line(header.name, header.value);
            }
            Known::ForwardedFor if attributes.forwarded_for == ForwardedFor::Preserve => {
                out.line(forwarded_for::name(header.name, request.version), header.value);
            }
            Known::ForwardedFor => has_forwarded_for = true,
            Known::Trailer => trailers.announce(out, header),
            // Written anew, here or by the shard that answers the expectation, or not at all.
            Known::Host
            | Known::ContentLength
            | Known::TransferEncoding
            | Known::Connection
            | Known::Expect
            | Known::Te
            | Known::HopByHop
            | Known::Forwarded
            | Known::TraceId
            | Known::FramingLookalike
            | Known::ForwardedLookalike => {}
        }
    }
    // Most requests have none, and need no second look at their headers.
    let sent = if has_forwarded_for { request.headers } else { &[] };
    forwarded_for::line(out, sent, client.address, attributes.forwarded_for);
    out.line("X-Forwarded-Proto", if client.tls { b"https" } else { b"http" });
    out.line_of("X-Forwarded-Port", |value| write_number(value, client.listener_port));
    out.line("X-Amzn-Trace-Id", client.trace_id);
    if let Some((version, cipher)) =
        client.tls_names.filter(|_| attributes.tls_version_and_cipher_suite)
    {
        out.line(&attributes.names.tls_version, version.as_bytes());
        out.line(&attributes.names.tls_cipher_suite, cipher.as_bytes());
    }
    out.ready_lines(client.identity);
    invalid_names
}

/// What asks for a WebSocket, and agrees to one.
fn upgrade_lines(out: &mut Vec<u8>) {
    out.line("Upgrade", upgrade::WEBSOCKET);
    out.line("Connection", b"Upgrade");
}

/// The one Cookie of a request that has it in pieces. RFC 9113, section 8.2.3: "these MUST be concatenated into
/// a single octet string using the two-octet delimiter of 0x3B, 0x20 (the ASCII string "; ") before being
/// passed into a non-HTTP/2 context".
fn cookie_line(out: &mut impl Lines, headers: &[Header<'_>]) {
    out.line_of(COOKIE, |value| {
        let pieces = headers.iter().filter(|header| header.name == COOKIE);
        for (index, piece) in pieces.enumerate() {
            value.extend_from_slice(if index > 0 { b"; " } else { b"" });
            value.extend_from_slice(piece.value);
        }
    });
}

/// As HTTP/2 spells it.
const COOKIE: &str = "cookie";

/// The framing of a body towards HTTP/1.1.
fn framing_lines(out: &mut Vec<u8>, body: Body) {
    match body {
        Body::Length(length) => {
            out.line_of("Content-Length", |value| write_number(value, length));
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
    attributes: &Attributes,
    forbidden: &Forbidden,
    since_epoch: impl FnOnce() -> Duration,
) {
    out.reserve(response.length + ADDED_BYTES);
    out.extend_from_slice(b"HTTP/1.1 ");
    write_number(out, response.status);
    out.extend_from_slice(b" ");
    out.extend_from_slice(response.phrase.as_bytes());
    out.extend_from_slice(b"\r\n");
    response_lines(out, response, onward.body, attributes, forbidden, since_epoch);
    if upgrade::is_agreed(response) {
        upgrade_lines(out);
    }
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

/// Writes the lines that the client gets, but for framing: hop-by-hop headers removed, and on final
/// responses those that the listener sets in place of its target's. `onward` is the body's new form.
///
/// * `since_epoch`: answers the time since 1970, for a Date that the target left out (RFC 9110, section 6.6.1: "A
///   recipient with a clock ... MUST ... append a corresponding Date header field").
pub fn response_lines(
    out: &mut impl Lines,
    response: &Response<'_, '_>,
    onward: Body,
    attributes: &Attributes,
    forbidden: &Forbidden,
    since_epoch: impl FnOnce() -> Duration,
) {
    let interim = is_interim(response);
    let mut is_dated = interim;
    // RFC 9110, section 8.6: to HEAD and with 304 the length is that of the content which is not sent;
    // with 1xx and 204 there is none.
    let length_stays = response.body == Body::Empty && !interim && response.status != 204;
    let trailers = Filter::of_response(
        response.body == Body::Chunked
            && onward == Body::Chunked
            && trailers::may_pass(&response.connection),
        forbidden,
        attributes,
    );
    for header in response.headers {
        match known(header.name) {
            Known::Trailer => trailers.announce(out, header),
            Known::ContentLength if length_stays => out.line(header.name, header.value),
            Known::Host
            | Known::Expect
            | Known::ForwardedFor
            | Known::Forwarded
            | Known::TraceId
            | Known::ForwardedLookalike
            | Known::Other => {
                is_dated |= header.name.eq_ignore_ascii_case("date");
                let replaced = !interim && attributes.inserted.replaces(header.name);
                if !replaced && !response.connection.nominates(header.name) {
                    out.line(header.name, header.value);
                }
            }
            Known::ContentLength
            | Known::TransferEncoding
            | Known::Connection
            | Known::Te
            | Known::HopByHop
            | Known::FramingLookalike => {}
        }
    }
    if !is_dated {
        respond::date_line(out, since_epoch());
    }
    if !interim {
        attributes.inserted.write(out);
    }
}

/// Whether another response follows.
const fn is_interim(response: &Response<'_, '_>) -> bool {
    response.status < 200
}

#[cfg(test)]
mod tests;
