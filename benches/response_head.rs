//! What does a target's response head cost: reading it, and writing the one that the client gets?
#![allow(missing_docs, unreachable_pub, reason = "a program of its own, for measuring")]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::http::attributes::Attributes;
use portcullis::http::forward;
use portcullis::http::head::{self, Version};
use portcullis::http::identity::Forbidden;
use std::hint::black_box;

const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n";
const USUAL: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Wed, 01 Jul 2026 00:00:00 GMT\r\n\
    Server: nginx\r\nContent-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\
    Connection: keep-alive\r\nVary: Accept-Encoding\r\nCache-Control: no-store, max-age=0\r\n\
    Strict-Transport-Security: max-age=63072000\r\nX-Request-Id: 0123456789abcdef\r\n\
    Set-Cookie: session=0123456789abcdef; Secure; HttpOnly; SameSite=Lax\r\n\r\n";

fn response_head(c: &mut Criterion) {
    let (attributes, forbidden) = (Attributes::default(), Forbidden::default());
    let mut group = c.benchmark_group("response_head");
    for (name, bytes) in [("small", SMALL), ("usual", USUAL)] {
        let mut out = Vec::new();
        group.bench_function(format!("{name}/read_and_rewrite"), |bench| {
            bench.iter(|| {
                let mut slots = head::slots();
                let response =
                    head::response(black_box(bytes), head::Expected::Content, &mut slots);
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
                );
                out.len()
            });
        });
    }
    group.finish();
}

criterion_group! {name = benches; config = support::short(); targets = response_head}
criterion_main!(benches);
