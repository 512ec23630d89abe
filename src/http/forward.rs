//! Heads as they go on: a request's to its target, a response's to its client.
#![expect(clippy::todo, reason = "interface only")]
use super::attributes::Attributes;
use super::head::{Body, Request, Response, Version};
use super::identity::Forbidden;
use std::net::SocketAddr;

/// What does not change during a client's connection.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its address.
    pub address: SocketAddr,
    /// The port of the listener that it came to.
    pub listener_port: u16,
    /// Whether it came over TLS.
    pub tls: bool,
    /// OpenSSL spelling of protocol and cipher, such as `TLSv1.3` and `TLS_AES_128_GCM_SHA256`.
    pub tls_names: Option<(&'a str, &'a str)>,
    /// Ready header lines of `identity`, empty when there are none.
    pub identity: &'a [u8],
}

/// Writes the head that a target gets: hop-by-hop headers and client-sent identity headers removed,
/// `Host`, `X-Forwarded-*`, identity and framing headers as the rules say. HTTP/1.1, keep-alive.
pub fn request(
    out: &mut Vec<u8>,
    request: &Request<'_, '_>,
    client: &Client<'_>,
    attributes: &Attributes,
    forbidden: &Forbidden,
) {
    let _ = (out, request, client, attributes, forbidden);
    todo!()
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
pub fn onward(
    response: &Response<'_, '_>,
    client_version: Version,
    client_keep_alive: bool,
) -> Onward {
    let _ = (response, client_version, client_keep_alive);
    todo!()
}

/// Writes the head that the client gets: hop-by-hop headers removed, framing and `Connection` anew.
pub fn response(
    out: &mut Vec<u8>,
    response: &Response<'_, '_>,
    onward: Onward,
    client_version: Version,
    attributes: &Attributes,
) {
    let _ = (out, response, onward, client_version, attributes);
    todo!()
}
