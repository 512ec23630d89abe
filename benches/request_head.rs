//! What does a request's head cost: reading it, and writing the one that its target gets?
//!
//! A small head (curl's), and one as browsers send; with and without the identity of a client.
#![allow(missing_docs, unreachable_pub, reason = "a program of its own, for measuring")]
mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis::http::attributes::Attributes;
use portcullis::http::forward::{self, Client};
use portcullis::http::head;
use portcullis::http::identity::{self, Forbidden, Names};
use portcullis::trust::Facts;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

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

fn request_head(c: &mut Criterion) {
    let leaf = support::Pki::new().new_client().swap_remove(0);
    let facts = Facts::from_der(&leaf).expect("a certificate");
    let identity = identity::verified(&Names::default(), &facts, &leaf).expect("a block");
    let (attributes, forbidden) = (Attributes::default(), Forbidden::default());
    let mut group = c.benchmark_group("request_head");
    for (name, bytes) in [("curl", CURL), ("browser", BROWSER)] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("{name}/read"), |bench| {
            bench.iter(|| head::request(black_box(bytes), &mut head::slots()).is_ok());
        });
        for (name_of_identity, identity) in [("plain", &[][..]), ("identified", &identity[..])] {
            let client = Client {
                address: ([192, 0, 2, 7], 50_000).into(),
                local_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                listener_port: 443,
                tls: true,
                tls_names: Some(("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
                identity,
                trace_id: b"Root=1-6740a1b0-0123456789abcdef01234567",
            };
            let mut out = Vec::new();
            group.bench_function(format!("{name}/read_and_rewrite_{name_of_identity}"), |bench| {
                bench.iter(|| {
                    let mut slots = head::slots();
                    let request = head::request(black_box(bytes), &mut slots);
                    let request = request.expect("a good head").expect("a whole one");
                    out.clear();
                    forward::request(&mut out, &request, &client, &attributes, &forbidden);
                    out.len()
                });
            });
        }
    }
    group.finish();
}

criterion_group! {name = benches; config = support::short(); targets = request_head}
criterion_main!(benches);
