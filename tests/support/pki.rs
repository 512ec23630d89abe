//! The PKI of the tests: made once for each test process, read by all tests, written by none.
//!
//! ```text
//! root ─┬─ issuing ── the clients: good, expired, revoked, ...
//!       ├─ deep-1 ─ deep-2 ─ ... ─ deep-5 ── deep (5 intermediates); deep-4 ── deepest-allowed
//!       └─ the server's certificates
//! stranger ── untrusted            (a root that no trust store holds)
//! ```
//!
//! Dates are fixed and far from today, so that no clock is read.
use super::pkits::{pem, values};
use super::scratch::Scratch;
use super::tools;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose as Purpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, SigningKey, date_time_ymd,
    string::Ia5String,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The password of every PFX file.
pub const PASSWORD: &str = "tests";

/// Serial numbers whose hexadecimal form is told to targets: a leading zero, and a leading sign byte.
pub const GOOD_SERIAL: &[u8] = &[0x03, 0xa5, 0xb1];
pub const RSA_SERIAL: &[u8] = &[0xfe, 0xf2, 0x57, 0x37, 0x2d, 0x5c, 0x14, 0xd4];

/// The PKI, its files in one directory.
#[derive(Debug)]
pub struct Pki {
    scratch: Scratch,
    pub root: Authority,
    pub issuing: Authority,
    pub stranger: Authority,
}

/// The one PKI.
pub fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(Pki::new)
}

impl Pki {
    /// Where a file lies.
    pub fn path(&self, file: &str) -> String {
        self.scratch.path().join(file).to_str().expect("the path is UTF-8").to_owned()
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).expect("the PKI holds this file")
    }

    fn new() -> Self {
        remove_leftovers();
        let root = Authority::root("Portcullis Tests Root");
        let issuing = root.intermediate("Portcullis Tests Issuing");
        let stranger = Authority::root("Stranger Root");
        let pki = Self { scratch: Scratch::new("pki"), root, issuing, stranger };
        pki.authorities();
        pki.servers();
        pki.clients();
        pki.deep_clients();
        pki.clients_of_openssl();
        pki.revocations();
        pki
    }

    fn authorities(&self) {
        self.write("root.crt", &self.root.pem());
        self.write("root.key", &self.root.key_pem());
        self.write("issuing.crt", &self.issuing.pem());
        self.write("issuing.key", &self.issuing.key_pem());
        self.write("stranger.crt", &self.stranger.pem());
        self.write("partners.pem", &(self.root.pem() + &self.issuing.pem()));
    }

    fn servers(&self) {
        let names = ["localhost", "api.example.com", "open.example.com", "127.0.0.1", "::1"];
        let all = Leaf::server(&names);
        self.issue("server-ecdsa", &self.root, all.clone());
        self.issue("server-rsa", &self.root, all.with_key(Key::Rsa2048));
        self.issue("server-p384", &self.root, Leaf::server(&names).with_key(Key::P384));
        self.issue("server-one", &self.root, Leaf::server(&["one.example.com"]));
        self.issue("server-wild", &self.root, Leaf::server(&["*.example.com"]));
        self.issue("server-cn", &self.root, Leaf::server(&[]).with_cn("cn.example.net"));
    }

    fn clients(&self) {
        let client = |cn: &str| Leaf::client(cn);
        let clients = [
            ("good", client("device-17").with_serial(GOOD_SERIAL)),
            ("good-rsa", client("device-18").with_serial(RSA_SERIAL).with_key(Key::Rsa2048)),
            ("good-p384", client("device-19").with_key(Key::P384)),
            ("expired", client("device-20").with_years(2020..=2021)),
            ("not-yet", client("device-21").with_years(2080..=2090)),
            ("revoked", client("device-22").with_serial(&[0x22])),
            ("wrong-purpose", client("device-23").with_purpose(&[Purpose::ServerAuth])),
            ("no-purpose", client("device-24").with_purpose(&[])),
            (
                "workload",
                client("orders").with_names(vec![
                    SanType::DnsName(text("Orders.Example.com")),
                    SanType::URI(text("spiffe://example.org/orders/17")),
                    SanType::Rfc822Name(text("kari@example.com")),
                ]),
            ),
        ];
        for (name, leaf) in clients {
            self.issue(name, &self.issuing, leaf);
        }
        self.issue("untrusted", &self.stranger, client("device-25"));
        for name in ["good", "good-rsa", "expired", "revoked", "untrusted"] {
            self.pfx(name);
        }
    }

    /// Chains below the root of 4 (allowed) and 5 (too many) intermediates.
    fn deep_clients(&self) {
        let mut authorities: Vec<Authority> = Vec::new();
        for depth in 1..=5 {
            let above = authorities.last().unwrap_or(&self.root);
            authorities.push(above.intermediate(&format!("Deep {depth}")));
            if depth < 4 {
                continue;
            }
            let issuer = authorities.last().expect("one was pushed");
            let name = if depth == 4 { "deepest-allowed" } else { "too-deep" };
            let issued = issuer.issue(Leaf::client(name));
            let chain: String = authorities.iter().rev().map(Authority::pem).collect();
            self.write(&format!("{name}.crt"), &(issued.certificate + &chain));
            self.write(&format!("{name}.key"), &issued.key);
        }
    }

    /// Certificates that no careful library makes: openssl does.
    fn clients_of_openssl(&self) {
        let extensions = self.path("client.ext");
        fs::write(&extensions, "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n")
            .expect("the PKI's directory can be written");
        self.write(
            "lenient.cnf",
            "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = lenient\n\
             [lenient]\nCipherString = DEFAULT:@SECLEVEL=0\n",
        );
        self.by_openssl("weak", "1024", &["-extfile", &extensions]);
        // As in the guides of Huawei and API7: without -extfile, the certificate is version 1.
        self.by_openssl("version-1", "2048", &[]);
    }

    fn by_openssl(&self, name: &str, bits: &str, more: &[&str]) {
        let file = |extension: &str| self.path(&format!("{name}.{extension}"));
        let (key, csr, crt) = (file("key"), file("csr"), file("crt"));
        let (ca, ca_key) = (self.path("issuing.crt"), self.path("issuing.key"));
        tools::run("openssl", &["genrsa", "-out", &key, bits], b"").success();
        let subject = format!("/C=NO/O=Example/CN={name}");
        tools::run("openssl", &["req", "-new", "-key", &key, "-subj", &subject, "-out", &csr], b"")
            .success();
        let sign = ["x509", "-req", "-in", &csr, "-CA", &ca, "-CAkey", &ca_key, "-sha256"];
        let serial = format!("0x{}", bits.len() + name.len());
        let to = ["-days", "3650", "-set_serial", &serial, "-out", &crt];
        tools::run("openssl", &[&sign[..], &to, more].concat(), b"").success();
        let chain = fs::read_to_string(&crt).expect("openssl wrote it") + &self.issuing.pem();
        self.write(&format!("{name}.crt"), &chain);
    }

    fn revocations(&self) {
        self.write("empty.crl", &self.issuing.crl(&[]));
        self.write("naming.crl", &self.issuing.crl(&[&[0x22]]));
    }

    fn issue(&self, name: &str, issuer: &Authority, leaf: Leaf) {
        let issued = issuer.issue(leaf);
        // A root does not belong into a chain; an intermediate does.
        let chain = if issuer.is_root { String::new() } else { issuer.pem() };
        self.write(&format!("{name}.crt"), &(issued.certificate + &chain));
        self.write(&format!("{name}.key"), &issued.key);
    }

    fn pfx(&self, name: &str) {
        let (crt, key) = (self.path(&format!("{name}.crt")), self.path(&format!("{name}.key")));
        let (pfx, password) = (self.path(&format!("{name}.pfx")), format!("pass:{PASSWORD}"));
        let from = ["pkcs12", "-export", "-in", &crt, "-inkey", &key];
        let to = ["-out", &pfx, "-passout", &password];
        tools::run("openssl", &[&from[..], &to].concat(), b"").success();
    }

    fn write(&self, file: &str, content: &str) {
        fs::write(self.path(file), content).expect("the PKI's directory can be written");
    }
}

/// Directories of test processes that are gone: a process-wide value is never dropped.
fn remove_leftovers() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let process = name.strip_prefix("portcullis-pki-").and_then(|rest| rest.split('-').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            let _ = fs::remove_dir_all::<PathBuf>(path);
        }
    }
}

/// A CA with its key.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    is_root: bool,
}

impl Authority {
    pub fn root(cn: &str) -> Self {
        // Older than any client, the expired one included.
        Self::of_years(cn, 2015..=2085)
    }

    /// A root with a validity of its own.
    pub fn of_years(cn: &str, years: RangeInclusive<i32>) -> Self {
        let issuer = CertifiedIssuer::self_signed(ca_params(cn, years), Key::P256.generate());
        Self { issuer: issuer.expect("the parameters are valid"), is_root: true }
    }

    pub fn intermediate(&self, cn: &str) -> Self {
        let params = ca_params(cn, 2015..=2085);
        let issuer = CertifiedIssuer::signed_by(params, Key::P256.generate(), &self.issuer);
        Self { issuer: issuer.expect("the parameters are valid"), is_root: false }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub fn issue(&self, leaf: Leaf) -> Issued {
        let key = leaf.key.generate();
        let certificate =
            leaf.params.signed_by(&key, &self.issuer).expect("the parameters are valid");
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The same with bytes of the signed part replaced, by as many others, before it is signed: what no
    /// careful library makes.
    pub fn issue_altered(&self, leaf: Leaf, alterations: &[(Vec<u8>, Vec<u8>)]) -> Issued {
        let Issued { certificate, key } = self.issue(leaf);
        let whole = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("it is PEM");
        let parts = values(values(&whole)[0].1);
        let (signed, algorithm) = (parts[0].2, parts[1].2);
        let mut signed = signed.to_vec();
        for (from, to) in alterations {
            assert_eq!(from.len(), to.len(), "lengths around them stay");
            let found: Vec<usize> =
                (0..signed.len()).filter(|&at| signed[at..].starts_with(from)).collect();
            assert_eq!(found.len(), 1, "{} stands in it once", from.escape_ascii());
            signed[found[0]..][..to.len()].copy_from_slice(to);
        }
        let signature = self.issuer.key().sign(&signed).expect("the key signs");
        let signature = value(0x03, &[&[0], &signature[..]].concat());
        let whole = value(0x30, &[&signed, algorithm, &signature].concat());
        Issued { certificate: pem("CERTIFICATE", &whole), key }
    }

    /// A revocation list that names these serial numbers, PEM.
    pub fn crl(&self, serials: &[&[u8]]) -> String {
        self.altered_crl(serials, |_| {})
    }

    /// A revocation list that was issued on 1 January of a year and is due on that of another.
    pub fn crl_of_years(&self, years: RangeInclusive<i32>, serials: &[&[u8]]) -> String {
        self.altered_crl(serials, |list| {
            list.this_update = date_time_ymd(*years.start(), 1, 1);
            list.next_update = date_time_ymd(*years.end(), 1, 1);
        })
    }

    /// An empty revocation list that is due then (seconds since 1970).
    pub fn crl_until(&self, seconds: u64) -> String {
        let due = date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds);
        self.altered_crl(&[], |list| list.next_update = due)
    }

    fn altered_crl(
        &self,
        serials: &[&[u8]],
        alter: impl FnOnce(&mut CertificateRevocationListParams),
    ) -> String {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let revoked = |serial: &&[u8]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let mut params = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2080, 1, 1),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        alter(&mut params);
        let list = params.signed_by(&self.issuer).expect("the parameters are valid");
        list.pem().expect("a list has a PEM form")
    }
}

/// A value of DER with a content of less than 64 KiB.
pub fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("it is short").to_be_bytes();
    let length = match length {
        [0, short @ 0..0x80] => vec![short],
        [0, byte] => vec![0x81, byte],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag][..], &length, content].concat()
}

fn ca_params(cn: &str, years: RangeInclusive<i32>) -> CertificateParams {
    let mut params = Leaf::named(cn).with_years(years).params;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A certificate and its key, PEM.
#[derive(Debug)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

/// The kind of a key.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    P256,
    P384,
    Rsa2048,
}

impl Key {
    fn generate(self) -> KeyPair {
        let key = match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Rsa2048 => {
                KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
            }
        };
        key.expect("the library makes keys of this kind")
    }
}

/// An end-entity certificate to be.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub params: CertificateParams,
    key: Key,
}

impl Leaf {
    fn named(cn: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(cn);
        params.use_authority_key_identifier_extension = true;
        Self { params, key: Key::P256 }.with_years(2024..=2085)
    }

    pub fn client(cn: &str) -> Self {
        Self::named(cn).with_purpose(&[Purpose::ClientAuth])
    }

    /// Names are DNS names or addresses; the first is the common name too.
    pub fn server(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let cn = names.first().map_or("server", String::as_str);
        let mut leaf = Self::named(cn).with_purpose(&[Purpose::ServerAuth]);
        let with_names = CertificateParams::new(names).expect("the names are valid");
        leaf.params.subject_alt_names = with_names.subject_alt_names;
        leaf
    }

    pub fn with_cn(mut self, cn: &str) -> Self {
        self.params.distinguished_name.push(DnType::CommonName, cn);
        self
    }

    pub fn with_key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    pub fn with_years(mut self, years: RangeInclusive<i32>) -> Self {
        self.params.not_before = date_time_ymd(*years.start(), 1, 2);
        self.params.not_after = date_time_ymd(*years.end(), 1, 2);
        self
    }

    /// Valid until then (seconds since 1970).
    pub fn with_end(mut self, seconds: u64) -> Self {
        self.params.not_after = date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds);
        self
    }

    pub fn with_purpose(mut self, purpose: &[Purpose]) -> Self {
        self.params.extended_key_usages = purpose.to_vec();
        self
    }

    pub fn with_names(mut self, names: Vec<SanType>) -> Self {
        self.params.subject_alt_names = names;
        self
    }

    pub fn with_serial(mut self, serial: &[u8]) -> Self {
        self.params.serial_number = Some(SerialNumber::from_slice(serial));
        self
    }
}

fn text(text: &str) -> Ia5String {
    text.try_into().expect("the name is ASCII")
}

/// `CN=...,O=Example,ST=Oslo,C=NO`, as RFC 2253 reads it: backwards.
fn name(cn: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, "NO");
    name.push(DnType::StateOrProvinceName, "Oslo");
    name.push(DnType::OrganizationName, "Example");
    name.push(DnType::CommonName, cn);
    name
}
