//! Heads: reading a request's and writing the one that its target gets, reading an answer's and writing the
//! one that the client gets.
//!
//! Small ones (curl's), and such as browsers send; with and without the identity of a client.
use crate::part::Part;
use crate::support::Pki;
use portcullis::http::attributes::Attributes;
use portcullis::http::forward::{self, Client};
use portcullis::http::head::{self, Version};
use portcullis::http::identity::{self, Forbidden, Names};
use portcullis::trust::Facts;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const CURL: &[u8] = b"GET / HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: curl/8.0.1\r\n\
    Accept: */*\r\n\r\n";
const BROWSER: &[u8] = b"GET /orders/2026/07?page=2 HTTP/1.1\r\nHost: api.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://api.example.com/orders\r\nConnection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\nX-Forwarded-For: 198.51.100.7\r\nX-Request-Id: 42\r\n\r\n";
const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n";
const USUAL: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Wed, 01 Jul 2026 00:00:00 GMT\r\n\
    Server: nginx\r\nContent-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\
    Connection: keep-alive\r\nVary: Accept-Encoding\r\nCache-Control: no-store, max-age=0\r\n\
    Strict-Transport-Security: max-age=63072000\r\nX-Request-Id: 0123456789abcdef\r\n\
    Set-Cookie: session=0123456789abcdef; Secure; HttpOnly; SameSite=Lax\r\n\r\n";

/// In 2026.
const NOW: Duration = Duration::from_secs(1_782_864_000);

pub fn parts() -> Vec<Part> {
    let leaf = Pki::new().new_client().swap_remove(0);
    let facts = Facts::from_der(&leaf).expect("a certificate");
    let block = identity::verified(&Names::default(), &facts, &leaf).expect("a block");
    let read =
        |bytes: &'static [u8]| move || head::request(black_box(bytes), &mut head::slots()).is_ok();
    vec![
        Part::same("request_head/curl/read", read(CURL)),
        Part::same("request_head/curl/rewrite", request(CURL, Vec::new())),
        Part::same("request_head/browser/read", read(BROWSER)),
        Part::same("request_head/browser/rewrite", request(BROWSER, Vec::new())),
        Part::same("request_head/browser/rewrite_identified", request(BROWSER, block)),
        Part::same("response_head/small/rewrite", response(SMALL)),
        Part::same("response_head/usual/rewrite", response(USUAL)),
    ]
}

/// Reads a request's head and writes the one that its target gets.
fn request(bytes: &'static [u8], identity: Vec<u8>) -> impl FnMut() -> usize {
    let (attributes, forbidden) = (Attributes::default(), Forbidden::default());
    let mut out = Vec::new();
    move || {
        let client = Client {
            address: ([192, 0, 2, 7], 50_000).into(),
            local_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listener_port: 443,
            tls: true,
            tls_names: Some(("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
            identity: &identity,
            trace_id: b"Root=1-6740a1b0-0123456789abcdef01234567",
        };
        let mut slots = head::slots();
        let request = head::request(black_box(bytes), &mut slots);
        let request = request.expect("a good head").expect("a whole one");
        out.clear();
        forward::request(&mut out, &request, &client, &attributes, &forbidden);
        out.len()
    }
}

/// Reads an answer's head and writes the one that the client gets.
fn response(bytes: &'static [u8]) -> impl FnMut() -> usize {
    let (attributes, forbidden) = (Attributes::default(), Forbidden::default());
    let mut out = Vec::new();
    move || {
        let mut slots = head::slots();
        let response = head::response(black_box(bytes), head::Expected::Content, &mut slots);
        let response = response.expect("a good head").expect("a whole one");
        let onward = forward::onward(&response, Version::Http11, true);
        out.clear();
        forward::response(
            &mut out,
            &response,
            onward,
            Version::Http11,
            &attributes,
            &forbidden,
            || NOW,
        );
        out.len()
    }
}
