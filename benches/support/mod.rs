//! What the benches share: a small PKI, and settings that keep a run short.
#![allow(dead_code, reason = "each bench uses its own part")]
use criterion::Criterion;
use portcullis::trust::revocation::{File, Rules};
use portcullis::trust::{Bundle, Revocations, Store};
use portcullis_pki::{ca, leaf, revocation_list, serial};
use rcgen::{CertifiedIssuer, ExtendedKeyUsagePurpose, KeyPair, SerialNumber};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;

const INTERMEDIATE: &str = "Bench CA";

/// 2026-07-01, within every certificate's time.
pub const NOW: u64 = 1_782_864_000;

/// The present.
pub fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW))
}

/// Short enough to be run often; the spread is printed by criterion.
pub fn short() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

/// A root, an intermediate that issues clients, and the clients' key.
pub struct Pki {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
    client_key: KeyPair,
    /// The client after the next one; counts down.
    next: u32,
}

impl Pki {
    /// Makes it anew, on P-256.
    pub fn new() -> Self {
        let key = || KeyPair::generate().expect("a key");
        let root = CertifiedIssuer::self_signed(ca("Bench root"), key()).expect("a root");
        let intermediate =
            CertifiedIssuer::signed_by(ca(INTERMEDIATE), key(), &root).expect("a CA");
        Self { root, intermediate, client_key: key(), next: u32::MAX }
    }

    /// A client nobody has seen before, in no list: leaf and intermediate.
    pub fn new_client(&mut self) -> Vec<CertificateDer<'static>> {
        self.next -= 1;
        self.client(self.next)
    }

    /// The client that stands in every list of more entries than `index`.
    pub fn client(&self, index: u32) -> Vec<CertificateDer<'static>> {
        let mut params = leaf(&format!("client {index}"), ExtendedKeyUsagePurpose::ClientAuth);
        params.serial_number = Some(SerialNumber::from_slice(&serial(index)));
        let leaf = params.signed_by(&self.client_key, &self.intermediate).expect("a leaf");
        vec![leaf.der().clone(), self.intermediate.der().clone()]
    }

    /// A trust store of its bundle, with these revocation lists.
    pub fn store(&self, lists: &[Vec<u8>]) -> Store {
        let bundle = self.bundle();
        let revocations = load(&bundle, lists);
        Store { name: "partners".into(), bundle, revocations, rules: Rules::default() }
    }

    /// Its bundle.
    pub fn bundle(&self) -> Bundle {
        Bundle::from_pem(self.bundle_pem().as_bytes(), now()).expect("a bundle").0
    }

    /// The root, and the intermediate because lists are verified under it at load.
    pub fn bundle_pem(&self) -> String {
        format!("{}{}", self.root.pem(), self.intermediate.pem())
    }

    /// A list of the intermediate's with this many entries, none of them a client of ours.
    pub fn revocation_list(&self, entries: u32) -> Vec<u8> {
        revocation_list(&self.intermediate, INTERMEDIATE, (0..entries).map(serial))
            .expect("a signature")
    }
}

/// Memory of this process that is resident, in KiB.
pub fn resident_kib() -> u64 {
    memory_kib("VmRSS:")
}

/// The most that ever was.
pub fn resident_peak_kib() -> u64 {
    memory_kib("VmHWM:")
}

fn memory_kib(label: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc(5)");
    let line = status.lines().find_map(|line| line.strip_prefix(label)).expect("its line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// PEM of one block.
pub fn pem(label: &str, der: &[u8]) -> String {
    let line_feeds = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), line_feeds)
}

/// Loads lists under a bundle.
pub fn load(bundle: &Bundle, lists: &[Vec<u8>]) -> Revocations {
    let files: Vec<_> = lists.iter().map(|bytes| File { name: "bench.crl", bytes }).collect();
    Revocations::load(&files, bundle).expect("lists without faults")
}
