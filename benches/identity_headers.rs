//! What do a client's identity headers cost: reading its certificate, and writing the lines that stand
//! in each of its requests? Once for each connection.
#![allow(missing_docs, unreachable_pub, reason = "a program of its own, for measuring")]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::http::identity::{self, Names};
use portcullis::trust::Facts;
use std::hint::black_box;

fn identity_headers(c: &mut Criterion) {
    let chain = support::Pki::new().new_client();
    let names = Names::default();
    let facts = Facts::from_der(&chain[0]).expect("a certificate");
    let mut group = c.benchmark_group("identity_headers");
    group.bench_function("facts_of_a_leaf", |bench| {
        bench.iter(|| Facts::from_der(black_box(&chain[0])));
    });
    group.bench_function("verify", |bench| {
        bench.iter(|| identity::verified(&names, &facts, black_box(&chain[0])));
    });
    group.bench_function("passthrough", |bench| {
        bench.iter(|| identity::passed_through(&names, black_box(&chain)));
    });
    group.finish();
}

criterion_group! {name = benches; config = support::short(); targets = identity_headers}
criterion_main!(benches);
