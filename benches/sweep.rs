//! What does judging every live connection again cost a shard after a change of trust?
//!
//! 100,000 paths of as many clients, no sockets, against a list of 100,000 entries that names half of them:
//! the time for each path, and the longest slice in which a shard did nothing else (which others on the
//! machine stretch by whole turns of the scheduler). Ends with a failure where `perf/promises.md` is broken.
#![allow(missing_docs, unreachable_pub, reason = "a program of its own, for measuring")]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::shard::slices::Slices;
use portcullis::trust::{Again, Conditions, Path, Refusal, Store};
use std::hint::black_box;
use std::time::{Duration, Instant};

const PATHS: u32 = 100_000;

/// What `perf/promises.md` says.
const PATH_MAX: Duration = Duration::from_micros(10);
const PATH_BYTES_MAX: usize = 80;

fn sweep(c: &mut Criterion) {
    let pki = support::Pki::new();
    let before = pki.store(&[]);
    let paths: Vec<Path> = (PATHS / 2..PATHS + PATHS / 2)
        .map(|index| {
            let chain = pki.client(index);
            let accepted = before.judge(&chain, &Conditions::default(), support::now());
            accepted.expect("nobody is revoked yet").path
        })
        .collect();
    let bytes: usize = paths.iter().map(|path| path.encode().len()).sum();
    println!("a path takes {} bytes", bytes / paths.len());
    assert!(bytes <= PATH_BYTES_MAX * paths.len(), "promised: at most {PATH_BYTES_MAX} bytes");
    let after = pki.store(&[pki.revocation_list(PATHS)]);
    let mut next = paths.iter().cycle();
    c.bench_function("sweep/path", |bench| {
        bench.iter(|| next.next().map(|path| again(&after, path)))
    });

    // Others on the machine only ever add to a round.
    let mut quickest = (Duration::MAX, Duration::MAX);
    for _ in 0..20 {
        let (mut slices, begun, mut revoked) = (Slices::begin(), Instant::now(), 0);
        for path in &paths {
            let answer = again(&after, path);
            assert_ne!(answer, Again::Unknown, "lookups are enough where a list alone has changed");
            revoked += u32::from(answer == Again::Refused(Refusal::CrlHit));
            if slices.is_over() {
                slices.resume();
            }
        }
        let took = begun.elapsed();
        assert_eq!(revoked, PATHS / 2);
        quickest = (quickest.0.min(took), quickest.1.min(slices.longest()));
    }
    let (took, slice) = quickest;
    println!("{PATHS} paths in {took:?}, {:?} each; the longest slice {slice:?}", took / PATHS);
    assert!(took / PATHS <= PATH_MAX, "promised: at most {PATH_MAX:?} for each");
}

fn again(store: &Store, path: &Path) -> Again {
    store.judge_again(black_box(path), &Conditions::default(), support::now())
}

criterion_group! {name = benches; config = support::short(); targets = sweep}
criterion_main!(benches);
