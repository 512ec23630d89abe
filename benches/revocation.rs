//! Does a verdict stay flat as revocation lists grow, and what do an index of a million entries and its
//! making take?
//!
//! The verdict on returning clients, whose lookup is the only part that depends on the size; there are
//! enough of them that the index does not stay in the nearest cache. And what loading a list takes in
//! memory and time, printed once for each size and form: measured in a process of its own, because what
//! was freed before would hide it. Ends with a failure where `perf/promises.md` is broken.
#![allow(missing_docs, unreachable_pub, reason = "a program of its own, for measuring")]
mod support;

use criterion::{BenchmarkId, Criterion, criterion_group};
use portcullis::trust::{Bundle, Conditions, Store};
use rustls_pki_types::CertificateDer;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, process};

/// What `perf/promises.md` says of a million entries.
const HELD_KIB_MAX: u64 = 24 * 1024;
const LOOKUP_MAX: Duration = Duration::from_micros(2);
const LOADING_MAX: Duration = Duration::from_secs(2);
/// And of the file's size while it is loaded, the file among it.
const LOADING_SIZES_MAX: u64 = 3;

fn revocation(c: &mut Criterion) {
    let mut pki = support::Pki::new();
    let clients: Vec<_> = (0..1_000).map(|_| pki.new_client()).collect();
    let mut group = c.benchmark_group("revocation/verdict_by_entries");
    let mut stores = Vec::new();
    for entries in [0, 1_000, 100_000, 1_000_000] {
        let list = pki.revocation_list(entries);
        load_elsewhere(&pki, &list);
        load_elsewhere(&pki, support::pem("X509 CRL", &list).as_bytes());
        let store = pki.store(&[list]);
        assert_eq!(store.revocations.entries(), entries as usize);
        assert!(clients.iter().all(|client| accepts(&store, client)), "none of ours is listed");
        assert_eq!(accepts(&store, &pki.client(0)), entries == 0, "the list is in force");
        let mut next = clients.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(entries), |bench| {
            bench.iter(|| next.next().map(|client| accepts(&store, client)));
        });
        stores.push(store);
    }
    group.finish();
    if let [none, .., million] = stores.as_slice() {
        let [without, with] = quickest([none, million], &clients);
        let lookup = with.saturating_sub(without);
        println!("verdict {without:?}; a lookup among 1,000,000 adds {lookup:?}");
        assert!(lookup <= LOOKUP_MAX, "promised: at most {LOOKUP_MAX:?}");
    }
}

fn accepts(store: &Store, client: &[CertificateDer<'_>]) -> bool {
    store.judge(black_box(client), &Conditions::default(), support::now()).is_ok()
}

/// A verdict of each store in the quickest of many rounds, which alternate: others on the machine only
/// ever add to it.
fn quickest(stores: [&Store; 2], clients: &[Vec<CertificateDer<'static>>]) -> [Duration; 2] {
    let mut quickest = [Duration::MAX; 2];
    for _ in 0..100 {
        for (store, quickest) in stores.into_iter().zip(&mut quickest) {
            let start = Instant::now();
            clients.iter().for_each(|client| assert!(accepts(store, client)));
            *quickest = start.elapsed().min(*quickest);
        }
    }
    quickest.map(|round| round / 1_000)
}

/// Has a new process load the list, and say what that took.
fn load_elsewhere(pki: &support::Pki, list: &[u8]) {
    let path =
        |name: &str| env::temp_dir().join(format!("portcullis-bench-{}-{name}", process::id()));
    let (bundle, crl) = (path("bundle.pem"), path("list.crl"));
    fs::write(&bundle, pki.bundle_pem()).expect("a bundle file");
    fs::write(&crl, list).expect("a revocation file");
    let this = env::current_exe().expect("a path of this bench");
    let status = Command::new(this).arg(LOAD).args([&bundle, &crl]).status();
    assert!(status.is_ok_and(|status| status.success()), "the other process has loaded it");
    let _ = (fs::remove_file(bundle), fs::remove_file(crl));
}

/// The other process.
fn load_alone(bundle: &str, crl: &str) {
    let pem = fs::read(bundle).expect("a bundle file");
    let bundle = Bundle::from_pem(&pem, support::now()).expect("a bundle").0;
    let (before, start) = (support::resident_kib(), Instant::now());
    let list = [fs::read(crl).expect("a revocation file")];
    let revocations = support::load(&bundle, &list);
    let took = start.elapsed();
    let [file] = list;
    let (file_kib, is_pem) = (file.len() as u64 / 1024, file.starts_with(b"-"));
    drop(file);
    let (held, peak) = (support::resident_kib() - before, support::resident_peak_kib() - before);
    let (entries, form) = (revocations.entries(), if is_pem { "PEM" } else { "DER" });
    println!(
        "{entries} entries in {file_kib} KiB of {form}: {held} KiB held, {peak} at most, {took:?}"
    );
    assert!(held <= HELD_KIB_MAX, "promised: at most {HELD_KIB_MAX} KiB");
    let peak_max = LOADING_SIZES_MAX * file_kib + RUNTIME_KIB;
    assert!(peak <= peak_max, "promised: at most {LOADING_SIZES_MAX} times the file");
    assert!(took <= LOADING_MAX, "promised: at most {LOADING_MAX:?}");
}

/// What a first signature check and the like take, however small the list is.
const RUNTIME_KIB: u64 = 1024;

/// Asks for [`load_alone`].
const LOAD: &str = "--load-alone";

criterion_group! {name = benches; config = support::short(); targets = revocation}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match arguments.as_slice() {
        [_, load, bundle, crl] if load == LOAD => load_alone(bundle, crl),
        _ => {
            benches();
            Criterion::default().configure_from_args().final_summary();
        }
    }
}
