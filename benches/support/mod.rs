//! What the benches share: a small PKI, and settings that keep a run short.
#![allow(dead_code, reason = "each bench uses its own part")]
use criterion::Criterion;
use portcullis::trust::revocation::{File, Rules};
use portcullis::trust::{Bundle, Revocations, Store};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SerialNumber, SigningKey, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;

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
        let intermediate = CertifiedIssuer::signed_by(ca("Bench CA"), key(), &root).expect("a CA");
        Self { root, intermediate, client_key: key(), next: u32::MAX }
    }

    /// A client nobody has seen before, in no list: leaf and intermediate.
    pub fn new_client(&mut self) -> Vec<CertificateDer<'static>> {
        self.next -= 1;
        self.client(self.next)
    }

    /// The client that stands in every list of more entries than `index`.
    pub fn client(&self, index: u32) -> Vec<CertificateDer<'static>> {
        let mut params = named(&format!("client {index}"));
        params.serial_number = Some(SerialNumber::from_slice(&serial_number(index)));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
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

    /// A list of the intermediate's with this many entries, none of them a client of ours. Written
    /// octet by octet, because a general writer takes longer than all that is measured here.
    pub fn revocation_list(&self, entries: u32) -> Vec<u8> {
        let extension =
            |id: u8, value: &[u8]| der(0x30, &[&[6, 3, 0x55, 0x1d, id], &der(4, &[value])]);
        let reason = extension(21, &[10, 1, 1]);
        let mut revoked = Vec::new();
        for entry in 0..entries {
            let number = serial_number(entry);
            let date = der(0x17, &[b"260101000000Z"]);
            revoked.extend(der(0x30, &[&der(2, &[&number]), &date, &der(0x30, &[&reason])]));
        }
        let algorithm = der(0x30, &[&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]]);
        let common_name = der(0x30, &[&[6, 3, 0x55, 4, 3], &der(0x0c, &[b"Bench CA"])]);
        let issuer = der(0x30, &[&der(0x31, &[&common_name])]);
        let key_id = ca("Bench CA").key_identifier(self.intermediate.key());
        let authority = der(0x30, &[&der(0x80, &[&key_id])]);
        let extensions = der(0x30, &[&extension(35, &authority), &extension(20, &[2, 1, 1])]);
        let list: &[u8] = &if entries == 0 { Vec::new() } else { der(0x30, &[&revoked]) };
        let signed = der(
            0x30,
            &[
                &[2, 1, 1],
                &algorithm,
                &issuer,
                &der(0x17, &[b"260101000000Z"]),
                &der(0x17, &[b"270101000000Z"]),
                list,
                &der(0xa0, &[&extensions]),
            ],
        );
        let signature = self.intermediate.key().sign(&signed).expect("a signature");
        der(0x30, &[&signed, &algorithm, &der(3, &[&[0], &signature])])
    }
}

/// 20 octets, the most there may be, spread over their range, as a CA's random serial numbers are.
fn serial_number(index: u32) -> [u8; 20] {
    const GOLDEN: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    let spread = (u128::from(index) + 1).wrapping_mul(GOLDEN);
    let mut number = [0; 20];
    let (first, last) = number.split_at_mut(16);
    first.copy_from_slice(&(spread >> 1 | 1 << 126).to_be_bytes());
    last.copy_from_slice(&index.to_be_bytes());
    number
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

fn ca(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u32::try_from(content.len()).expect("less than 4 GiB").to_be_bytes();
    let zeros = length.iter().take_while(|&&byte| byte == 0).count();
    let mut value = vec![tag];
    match content.len() {
        0..0x80 => value.push(length[3]),
        _ => {
            value.push(0x84 - u8::try_from(zeros).expect("at most four"));
            value.extend_from_slice(&length[zeros..]);
        }
    }
    value.extend(content);
    value
}
