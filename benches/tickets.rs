//! What do session tickets add to a handshake: sealing one, and opening one that came back and judging its
//! path, with and without a long revocation list?
//!
//! The session is as long as rustls makes it for a leaf and an intermediate on P-256.
#![allow(missing_docs, unreachable_pub, reason = "a program of its own, for measuring")]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::tls::tickets::{Binding, Keys, Ticket};
use portcullis::trust::{Again, Conditions, Fingerprint, Path};
use std::hint::black_box;

fn tickets(c: &mut Criterion) {
    let mut pki = support::Pki::new();
    let conditions = Conditions::default();
    let chain = pki.new_client();
    let session = vec![0x5a; 200 + chain.iter().map(|der| der.len()).sum::<usize>()];
    let keys = Keys::random().expect("randomness");
    let mut group = c.benchmark_group("tickets");
    for entries in [0, 100_000] {
        let store = pki.store(&[pki.revocation_list(entries)]);
        let accepted = store.judge(&chain, &conditions, support::now()).expect("a good client");
        let binding =
            Binding { policy: Fingerprint::default(), bundle: store.bundle.fingerprint() };
        let (expires, path) = (accepted.until, accepted.path.encode());
        let ticket = Ticket { binding, expires, path, session: &session };
        let sealed = keys.seal(&ticket).expect("a ticket");
        if entries == 0 {
            println!("a ticket has {} bytes", sealed.len());
            group.bench_function("seal", |bench| bench.iter(|| keys.seal(black_box(&ticket))));
        }
        group.bench_function(format!("open_and_judge/{entries}_revoked"), |bench| {
            bench.iter(|| {
                let mut room = Vec::new();
                let ticket = keys.open(black_box(&sealed), &mut room).expect("it opens");
                let path = Path::decode(ticket.path).expect("a path");
                let again = store.judge_again(&path, &conditions, support::now());
                assert!(matches!(again, Again::Accepted { .. }));
                ticket.session.to_vec()
            });
        });
    }
    group.finish();
}

criterion_group! {name = benches; config = support::short(); targets = tickets}
criterion_main!(benches);
