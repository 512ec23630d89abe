//! Small random PKIs, made from a seed: authorities that sign one another, one client, lists.
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, DnType, ExtendedKeyUsagePurpose as Purpose,
    GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose as Usage, NameConstraints,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use std::ops::RangeInclusive;

/// The present of every PKI: 2027-01-15T08:00:00Z.
pub const NOW: u64 = 1_800_000_000;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// Both ends included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.next() % (last - first + 1)
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// A certificate, and which authority issued it to which.
pub struct Certificate {
    pub der: CertificateDer<'static>,
    pub pem: String,
    /// The authority it is for; `None` for the client.
    pub subject: Option<usize>,
    pub issuer: usize,
}

/// A PKI with one client.
pub struct Pki {
    pub leaf: Certificate,
    /// Those of the authorities, self-signed ones among them.
    pub cas: Vec<Certificate>,
    pub lists: Vec<List>,
    /// What we are known to be stricter about than OpenSSL, as far as it is in this PKI.
    pub stricter: Vec<&'static str>,
}

/// A revocation list.
pub struct List {
    pub der: Vec<u8>,
    pub pem: String,
}

/// Names and keys. One name has one key, so that OpenSSL finds every list's signer on the path.
struct Maker<'a> {
    random: Random,
    keys: &'a [KeyPair],
    serial: u64,
    stricter: Vec<&'static str>,
    /// The authorities before this one sign themselves. OpenSSL wants a good word for an anchor too, so
    /// none is revoked, and their lists are about everything.
    roots: usize,
    /// Serial numbers by issuer, to revoke some of.
    issued: Vec<Vec<u64>>,
}

const POINTS: [&str; 2] = ["http://crl.example/1", "http://crl.example/2"];

/// As many keys as a PKI may need.
pub fn keys() -> Vec<KeyPair> {
    (0..8).map(|_| KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()).collect()
}

impl Pki {
    pub fn generate(seed: u64, keys: &[KeyPair]) -> Self {
        let mut random = Random(seed);
        let roots = 1 + random.below(2);
        let count = roots + random.below(keys.len() - roots - 1);
        let issued = vec![Vec::new(); count];
        let mut maker = Maker { random, keys, serial: 0, stricter: Vec::new(), roots, issued };
        let mut cas = Vec::new();
        for authority in 0..count {
            let above = authority.min(3);
            let issuer = match authority {
                root if root < roots => root,
                // Mostly below the last one, so that there are deep chains.
                _ if maker.random.percent(60) => authority - 1,
                _ => authority - 1 - maker.random.below(above),
            };
            cas.push(maker.ca(authority, issuer));
            // A cross-certificate, of roots too.
            if authority > 0 && maker.random.percent(20) {
                let other = maker.random.below(authority);
                cas.push(maker.ca(authority, other));
            }
        }
        let leaf = maker.leaf(count - 1);
        let lists = (0..count).flat_map(|authority| maker.lists(authority)).collect();
        Self { leaf, cas, lists, stricter: maker.stricter }
    }

    /// Every path from the leaf to a self-signed certificate, as positions in `cas`, no authority twice.
    pub fn paths(&self) -> Vec<Vec<usize>> {
        let mut paths = Vec::new();
        self.climb(self.leaf.issuer, &mut Vec::new(), &mut paths);
        paths
    }

    fn climb(&self, authority: usize, path: &mut Vec<usize>, paths: &mut Vec<Vec<usize>>) {
        let has = |path: &[usize], authority| {
            path.iter().any(|&position| self.cas[position].subject == Some(authority))
        };
        if has(path, authority) {
            return;
        }
        for (position, ca) in self.cas.iter().enumerate() {
            if ca.subject == Some(authority) {
                path.push(position);
                if ca.issuer == authority {
                    paths.push(path.clone());
                } else {
                    self.climb(ca.issuer, path, paths);
                }
                path.pop();
            }
        }
    }
}

impl Maker<'_> {
    fn params(&mut self, name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = self.random.percent(70);
        self.serial += 1;
        params.serial_number = Some(SerialNumber::from(self.serial));
        let years: RangeInclusive<i32> = match self.random.below(100) {
            0..=3 => 2020..=2026,
            4..=5 => 2028..=2040,
            _ => 2020..=2040,
        };
        params.not_before = date_time_ymd(*years.start(), 1, 1);
        params.not_after = date_time_ymd(*years.end(), 1, 1);
        if self.random.percent(30) {
            let uris = vec![self.random.of(&POINTS).to_owned()];
            params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
        }
        params
    }

    fn ca(&mut self, authority: usize, issuer: usize) -> Certificate {
        let mut params = self.params(&format!("Authority {authority}"));
        params.is_ca = match self.random.below(100) {
            0..=2 => IsCa::ExplicitNoCa,
            3..=14 => {
                let length = u8::try_from(self.random.below(5)).unwrap();
                IsCa::Ca(BasicConstraints::Constrained(length))
            }
            _ => IsCa::Ca(BasicConstraints::Unconstrained),
        };
        params.key_usages = match self.random.below(100) {
            0..=2 => vec![Usage::CrlSign],
            3..=5 => vec![Usage::KeyCertSign],
            6..=15 => vec![],
            _ => vec![Usage::KeyCertSign, Usage::CrlSign],
        };
        params.extended_key_usages = match self.random.below(100) {
            0..=2 => vec![Purpose::ServerAuth],
            3..=5 => vec![Purpose::ClientAuth],
            _ => vec![],
        };
        if self.random.percent(12) {
            let names = ["example.com", "a.example.com", "example.org", "com"];
            let subtree = vec![GeneralSubtree::DnsName(self.random.of(&names).to_owned())];
            let (permitted_subtrees, excluded_subtrees) =
                if self.random.percent(70) { (subtree, vec![]) } else { (vec![], subtree) };
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees, excluded_subtrees });
        }
        if authority == issuer {
            params.crl_distribution_points.clear();
        }
        self.sign(params, Some(authority), issuer)
    }

    fn leaf(&mut self, issuer: usize) -> Certificate {
        let mut params = self.params("the client");
        params.is_ca = match self.random.below(100) {
            0..=1 => {
                self.stricter.push("a CA is no client");
                IsCa::Ca(BasicConstraints::Unconstrained)
            }
            2..=50 => IsCa::ExplicitNoCa,
            _ => IsCa::NoCa,
        };
        params.key_usages = self.random.of(&[
            vec![],
            vec![Usage::DigitalSignature],
            vec![Usage::DigitalSignature, Usage::KeyEncipherment],
            vec![Usage::KeyAgreement],
        ]);
        if self.random.percent(4) {
            params.key_usages = vec![Usage::KeyEncipherment];
        }
        // Without anyExtendedKeyUsage: RFC 5280, section 4.2.1.12, and ALB let it pass for clients, and
        // OpenSSL's `sslclient` does not.
        params.extended_key_usages = match self.random.below(100) {
            0..=45 => vec![],
            46..=79 => vec![Purpose::ClientAuth],
            80..=95 => vec![Purpose::ServerAuth, Purpose::ClientAuth],
            _ => vec![Purpose::ServerAuth],
        };
        let names =
            ["example.com", "x.example.com", "a.example.com", "example.net", "A.EXAMPLE.com"];
        for _ in 0..self.random.below(3) {
            let name = self.random.of(&names).try_into().unwrap();
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        self.sign(params, None, issuer)
    }

    fn sign(
        &mut self,
        params: CertificateParams,
        subject: Option<usize>,
        issuer: usize,
    ) -> Certificate {
        let key = &self.keys[subject.unwrap_or(self.keys.len() - 1)];
        let by = Issuer::new(self.issuer(issuer), &self.keys[issuer]);
        let certificate = params.signed_by(key, &by).unwrap();
        if subject != Some(issuer) {
            self.issued[issuer].push(self.serial);
        }
        Certificate { der: certificate.der().clone(), pem: certificate.pem(), subject, issuer }
    }

    fn issuer(&self, authority: usize) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("Authority {authority}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn lists(&mut self, authority: usize) -> Vec<List> {
        let count = match self.random.below(100) {
            0..=2 => 0,
            3..=14 => 2,
            _ => 1,
        };
        if count > 1 {
            // It takes the best of several; we take all.
            self.stricter.push("several lists of one issuer");
        }
        (0..count).map(|_| self.list(authority)).collect()
    }

    fn list(&mut self, authority: usize) -> List {
        let (since, until) = match self.random.below(100) {
            0..=1 => (2020, 2026),
            2..=3 => (2028, 2040),
            _ => (2020 + i32::try_from(self.random.below(5)).unwrap(), 2040),
        };
        let is_partial = authority >= self.roots && self.random.percent(8);
        let issuing_distribution_point = is_partial.then(|| {
            let scope = match self.random.below(3) {
                0 => None,
                1 => Some(CrlScope::UserCertsOnly),
                _ => Some(CrlScope::CaCertsOnly),
            };
            self.stricter.push("what a list of another part names is revoked, too");
            let uris = vec![self.random.of(&POINTS).to_owned()];
            let distribution_point = CrlDistributionPoint { uris };
            CrlIssuingDistributionPoint { distribution_point, scope }
        });
        let serials = self.issued[authority].clone();
        let revoked_certs = serials
            .into_iter()
            .filter(|_| self.random.percent(4))
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2021, 1, 1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        self.serial += 1;
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(since, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(self.serial),
            issuing_distribution_point,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let by = Issuer::new(self.issuer(authority), &self.keys[authority]);
        let list = params.signed_by(&by).unwrap();
        List { der: list.der().to_vec(), pem: list.pem().unwrap() }
    }
}
