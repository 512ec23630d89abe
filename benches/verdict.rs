//! What does the verdict on a client's chain (leaf and intermediate, P-256) cost, when every client is
//! new and when the client has been here before?
//!
//! A new client costs one signature of its known issuer; one that comes back costs hashes. Everything
//! else (path, validity, purpose, depth, revocation) is judged anew in both.
#![allow(missing_docs, unreachable_pub, reason = "a program of its own, for measuring")]
mod support;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use portcullis::trust::Conditions;
use std::hint::black_box;

fn verdict(c: &mut Criterion) {
    let mut pki = support::Pki::new();
    let store = pki.store(&[]);
    let conditions = Conditions::default();
    let mut group = c.benchmark_group("verdict");
    let returning = pki.new_client();
    group.bench_function("returning_client", |bench| {
        bench.iter(|| store.judge(black_box(&returning), &conditions, support::now()).is_ok());
    });
    group.bench_function("new_client_of_a_known_issuer", |bench| {
        bench.iter_batched(
            || pki.new_client(),
            |chain| store.judge(black_box(&chain), &conditions, support::now()).is_ok(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group! {name = benches; config = support::short(); targets = verdict}
criterion_main!(benches);
