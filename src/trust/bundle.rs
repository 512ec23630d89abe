//! A trust store's CA bundle: which certificates anchor, which help to build paths.
//!
//! Called on the control thread to load, by verdicts to look up. Only self-signed CAs anchor; another CA
//! anchors only where the bundle holds no issuer for it. What can never serve is a fault, and one fault
//! refuses the whole bundle, as ALB does. What time alone made unusable (a CA that expired) is a warning:
//! every verdict judges it by its own `now`, and a bundle that loaded yesterday loads after a restart.
//! Text around the blocks is allowed, which ALB is stricter about.
//! Bounds: `limits::BUNDLE_BYTES_MAX`, `CA_CERTIFICATES_MAX`, `CA_CERTIFICATE_BYTES_MAX`,
//! `CAS_OF_ONE_NAME_MAX`.
#![deny(clippy::indexing_slicing)]
use super::hash::{Fingerprint, sha256};
use super::name;
use super::pem;
use super::x509::{Certificate, KeyKind, KeyUsage, Version};
use crate::calendar::rfc3339;
use crate::limits;
use aws_lc_rs::digest::SHA256_OUTPUT_LEN;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::collections::{HashMap, HashSet};

/// A checked CA bundle.
#[derive(Debug)]
pub struct Bundle {
    cas: Box<[Ca]>,
    /// Positions in `cas`, by subject.
    by_subject: HashMap<Box<[u8]>, Vec<usize>>,
    by_fingerprint: HashMap<Fingerprint, usize>,
    fingerprint: Fingerprint,
}

/// One CA of a bundle.
#[derive(Debug)]
pub(super) struct Ca {
    pub(super) certificate: Certificate<'static>,
    pub(super) fingerprint: Fingerprint,
    /// Where it anchors.
    pub(super) anchor: Option<Anchor>,
    /// The anchors that it chains to inside the bundle.
    pub(super) chains_to: Vec<Authority>,
}

/// A CA that paths may end at.
#[derive(Debug)]
pub(super) struct Anchor {
    pub(super) authority: Authority,
    pub(super) for_webpki: TrustAnchor<'static>,
}

/// One name with one key, however often its certificate was renewed: a hash over both, so that it means
/// the same in every generation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Authority([u8; SHA256_OUTPUT_LEN]);

/// What is odd about a bundle and does not stop it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning(pub String);

/// Why a bundle is refused; one for each certificate or block at fault, naming it (position, subject).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault(pub String);

impl Bundle {
    /// Reads a PEM bundle. One unusable certificate refuses the whole bundle.
    ///
    /// # Errors
    /// Every fault of every block.
    pub fn from_pem(pem: &[u8], now: UnixTime) -> Result<(Self, Vec<Warning>), Vec<Fault>> {
        check_file(pem).map_err(|fault| vec![fault])?;
        let mut faults = Vec::new();
        let mut warnings = Vec::new();
        let mut seen = HashSet::new();
        let mut cas = Vec::new();
        for (index, block) in pem::blocks(pem).enumerate() {
            let position = index + 1;
            match read_block(block, position) {
                Ok((label, certificate)) => {
                    if !seen.insert(certificate.der().to_vec()) {
                        warnings.push(Warning(format!("{label} is in the bundle more than once")));
                        continue;
                    }
                    warnings.extend(oddities(&certificate, &label, now));
                    cas.push(Ca::new(certificate));
                }
                Err(fault) => faults.push(fault),
            }
            // A file has room for hundreds of thousands of blocks; nobody is told of more faults than these.
            if faults.len() > limits::FAULTS_MAX {
                break;
            }
        }
        if faults.is_empty() && cas.is_empty() {
            faults.push(Fault("the bundle holds no certificate".to_owned()));
        }
        if cas.len() > limits::CA_CERTIFICATES_MAX {
            let (count, max) = (cas.len(), limits::CA_CERTIFICATES_MAX);
            faults.push(Fault(format!("the bundle holds {count} certificates; {max} are allowed")));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let fingerprints = cas.iter().map(|ca| ca.fingerprint);
        let mut bundle = Self {
            by_subject: by_subject(&cas),
            by_fingerprint: fingerprints.enumerate().map(|(at, print)| (print, at)).collect(),
            fingerprint: Fingerprint::of(cas.iter().map(|ca| &ca.fingerprint.0[..])),
            cas: cas.into_boxed_slice(),
        };
        bundle.connect(&mut warnings)?;
        Ok((bundle, warnings))
    }

    /// Number of CA certificates.
    pub fn ca_count(&self) -> usize {
        self.cas.len()
    }

    /// The notAfter of each of its certificates.
    pub fn expiries(&self) -> impl Iterator<Item = UnixTime> {
        self.cas.iter().map(|ca| ca.certificate.not_after)
    }

    /// The earliest notAfter of its certificates.
    pub fn earliest_expiry(&self) -> UnixTime {
        let earliest = self.expiries().min();
        earliest.unwrap_or(UnixTime::since_unix_epoch(std::time::Duration::ZERO))
    }

    /// DER subjects, for the CertificateRequest; each name once.
    pub fn subjects(&self) -> Vec<rustls::DistinguishedName> {
        let mut seen = HashSet::new();
        self.cas
            .iter()
            .map(|ca| ca.certificate.subject())
            .filter(|subject| seen.insert(*subject))
            .map(rustls::DistinguishedName::in_sequence)
            .collect()
    }

    /// Subjects (RFC 2253) of CA certificates that anchor though they are not self-signed, because the
    /// bundle holds no issuer for them.
    pub fn partial_anchors(&self) -> Vec<String> {
        let is_partial = |ca: &&Ca| ca.anchor.is_some() && !ca.certificate.is_self_signed();
        self.cas.iter().filter(is_partial).map(|ca| subject_of(&ca.certificate)).collect()
    }

    pub(super) fn cas(&self) -> impl Iterator<Item = &Ca> {
        self.cas.iter()
    }

    /// The CAs of this name (DER, without its outer SEQUENCE), in the order of the bundle.
    pub(super) fn named(&self, subject: &[u8]) -> impl Iterator<Item = &Ca> {
        let positions = self.by_subject.get(subject).map(Vec::as_slice).unwrap_or_default();
        positions.iter().filter_map(|&position| self.cas.get(position))
    }

    /// The CA with exactly this certificate.
    pub(super) fn find(&self, fingerprint: Fingerprint) -> Option<&Ca> {
        self.cas.get(*self.by_fingerprint.get(&fingerprint)?)
    }

    /// The fingerprint of exactly this certificate, where it is in the bundle.
    pub(super) fn holds(&self, certificate: &Certificate<'_>) -> Option<Fingerprint> {
        let mut named = self.named(certificate.subject());
        named.find(|ca| ca.certificate.der() == certificate.der()).map(|ca| ca.fingerprint)
    }

    /// Of all its certificates, in their order.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether this name and key anchor here.
    pub(super) fn anchors(&self, certificate: &Certificate<'_>) -> bool {
        let is_it = |ca: &Ca| ca.anchor.is_some() && ca.certificate.is_same_authority(certificate);
        self.named(certificate.subject()).any(is_it)
    }

    /// Finds each CA's issuers, from them the anchors, and from those where each CA chains to.
    fn connect(&mut self, warnings: &mut Vec<Warning>) -> Result<(), Vec<Fault>> {
        let crowded = self.by_subject.values().find(|of| of.len() > limits::CAS_OF_ONE_NAME_MAX);
        if let Some(first) = crowded.and_then(|of| self.cas.get(*of.first()?)) {
            let (subject, max) = (subject_of(&first.certificate), limits::CAS_OF_ONE_NAME_MAX);
            let fault = format!("more than {max} certificates have the subject {subject}");
            return Err(vec![Fault(fault)]);
        }
        let issuers: Vec<Vec<usize>> = self.cas.iter().map(|ca| self.issuers_of(ca)).collect();
        for (ca, issuers) in self.cas.iter().zip(&issuers) {
            if issuers.is_empty() && self.is_forged(&ca.certificate) {
                let subject = subject_of(&ca.certificate);
                let fault = format!("{subject} names an issuer, and its signature is wrong");
                return Err(vec![Fault(fault)]);
            }
        }
        for (ca, issuers) in self.cas.iter_mut().zip(&issuers) {
            let is_self_signed = ca.certificate.is_self_signed();
            if issuers.is_empty() || is_self_signed {
                ca.anchor = Some(Anchor::new(&ca.certificate).map_err(|fault| vec![fault])?);
            }
        }
        let chains_to: Vec<_> =
            (0..self.cas.len()).map(|start| self.anchors_above(start, &issuers)).collect();
        if chains_to.iter().all(Vec::is_empty) {
            let fault = "no certificate of the bundle anchors: each is issued by another of them";
            return Err(vec![Fault(fault.to_owned())]);
        }
        for (ca, chains_to) in self.cas.iter_mut().zip(chains_to) {
            if chains_to.is_empty() {
                let subject = subject_of(&ca.certificate);
                warnings.push(Warning(format!("{subject} chains to no anchor of the bundle")));
            }
            ca.chains_to = chains_to;
        }
        Ok(())
    }

    /// Whether it says who signed it, itself or a CA of the bundle by its key identifier, and that one
    /// did not. It must not anchor as one whose issuer is missing does.
    fn is_forged(&self, certificate: &Certificate<'_>) -> bool {
        let names_one = || {
            let mut named = self.named(certificate.issuer());
            named.any(|issuer| certificate.names_key_of(&issuer.certificate) == Some(true))
        };
        !certificate.is_self_signed() && (certificate.is_self_issued() || names_one())
    }

    /// Positions of the CAs, other than the same authority again, that signed this one.
    fn issuers_of(&self, ca: &Ca) -> Vec<usize> {
        let certificate = &ca.certificate;
        let positions = self.by_subject.get(certificate.issuer()).into_iter().flatten().copied();
        positions
            .filter(|&position| {
                self.cas.get(position).is_some_and(|issuer| {
                    !issuer.certificate.is_same_authority(certificate)
                        && certificate.signed().is_by(&issuer.certificate.key())
                })
            })
            .collect()
    }

    /// Every anchor that is reached from `start` by going from CAs to their issuers.
    fn anchors_above(&self, start: usize, issuers: &[Vec<usize>]) -> Vec<Authority> {
        let mut reached = HashSet::from([start]);
        let mut waiting = vec![start];
        let mut anchors = Vec::new();
        while let Some(position) = waiting.pop() {
            anchors
                .extend(self.cas.get(position).and_then(|ca| Some(ca.anchor.as_ref()?.authority)));
            let above = issuers.get(position).into_iter().flatten().copied();
            waiting.extend(above.filter(|&issuer| reached.insert(issuer)));
        }
        anchors.sort_unstable();
        anchors.dedup();
        anchors
    }
}

impl Certificate<'_> {
    /// Whether it names itself as its issuer, and its own key made its signature.
    fn is_self_signed(&self) -> bool {
        self.is_self_issued() && self.signed().is_by(&self.key())
    }
}

impl Ca {
    fn new(certificate: Certificate<'static>) -> Self {
        let fingerprint = Fingerprint::of([certificate.der()]);
        Self { certificate, fingerprint, anchor: None, chains_to: Vec::new() }
    }
}

impl Anchor {
    fn new(certificate: &Certificate<'static>) -> Result<Self, Fault> {
        let der = CertificateDer::from(certificate.der());
        let for_webpki = webpki::anchor_from_trusted_cert(&der).map_err(|error| {
            Fault(format!("{} cannot anchor: {error}", subject_of(certificate)))
        })?;
        let authority = Authority(sha256([certificate.subject(), certificate.key_info()]));
        Ok(Self { authority, for_webpki: for_webpki.to_owned() })
    }
}

fn by_subject(cas: &[Ca]) -> HashMap<Box<[u8]>, Vec<usize>> {
    let mut by_subject: HashMap<Box<[u8]>, Vec<usize>> = HashMap::new();
    for (position, ca) in cas.iter().enumerate() {
        by_subject.entry(ca.certificate.subject().into()).or_default().push(position);
    }
    by_subject
}

/// What is wrong with the file before its blocks are looked at.
fn check_file(pem: &[u8]) -> Result<(), Fault> {
    let max = limits::BUNDLE_BYTES_MAX;
    let fault = match pem {
        [] => "the bundle is empty".to_owned(),
        _ if pem.len() > max => format!("the bundle has {} bytes; {max} are allowed", pem.len()),
        [0x30, 0x81..=0x84, ..] => "the bundle is DER; it must be PEM (openssl x509 -inform DER \
                                    -in FILE -out FILE.pem)"
            .to_owned(),
        _ => return Ok(()),
    };
    Err(Fault(fault))
}

/// One block as a usable CA, with what to call it in a message.
fn read_block(
    block: Result<pem::Block<'_>, pem::Broken>,
    position: usize,
) -> Result<(String, Certificate<'static>), Fault> {
    let broken = |broken: pem::Broken| Fault(format!("block {position}: {broken}"));
    let block = block.map_err(broken)?;
    if block.label != b"CERTIFICATE" {
        let (line, label) = (block.line, block.label.escape_ascii());
        let hint = match block.label {
            b"TRUSTED CERTIFICATE" => " (openssl x509 -in FILE -out FILE.pem writes a plain one)",
            b"X509 CRL" => " (a revocation list belongs under `revocations`)",
            _ => "",
        };
        let fault = format!("block {position}, line {line}: {label}, not a CERTIFICATE{hint}");
        return Err(Fault(fault));
    }
    let der = block.decode().map_err(broken)?;
    let label = format!("certificate {position}, line {}", block.line);
    if der.len() > limits::CA_CERTIFICATE_BYTES_MAX {
        let (length, max) = (der.len(), limits::CA_CERTIFICATE_BYTES_MAX);
        return Err(Fault(format!("{label}: {length} bytes; {max} are allowed")));
    }
    let certificate = Certificate::read(CertificateDer::from(der))
        .map_err(|malformed| Fault(format!("{label}: {malformed}")))?;
    let label = format!("{label} ({})", subject_of(&certificate));
    check_ca(&certificate).map_err(|why| Fault(format!("{label}: {why}")))?;
    Ok((label, certificate))
}

/// Whether a certificate can serve as a CA at all.
fn check_ca(certificate: &Certificate<'_>) -> Result<(), String> {
    const MEND: &str = "issue it again as version 3 with an extension file: openssl x509 -req \
                        ... -extfile FILE, with basicConstraints=critical,CA:TRUE in FILE";
    if !certificate.signed().is_supported() {
        return Err(
            "its signature algorithm is not supported (SHA-256, SHA-384 or SHA-512 with RSA \
                    or ECDSA are)"
                .to_owned(),
        );
    }
    if !certificate.is_key_supported() {
        return Err(match certificate.key_kind() {
            KeyKind::Rsa { bits } => {
                format!("its RSA key has {bits} bits; 2048 to 8192 are supported")
            }
            KeyKind::EllipticCurve | KeyKind::Other => {
                "its kind of key is not supported (RSA, P-256, P-384 and P-521 are)".to_owned()
            }
        });
    }
    match certificate.version {
        // It has no extensions; that it signed itself is what makes it a root.
        Version::One if certificate.is_self_signed() => return Ok(()),
        Version::One => {
            return Err(format!("an X.509 version 1 certificate cannot be a CA; {MEND}"));
        }
        Version::Two => {
            return Err(format!("an X.509 version 2 certificate cannot be a CA; {MEND}"));
        }
        Version::Three => {}
    }
    let extensions = &certificate.extensions;
    if !extensions.is_ca {
        return Err(format!("not a CA (basicConstraints does not say CA:TRUE); {MEND}"));
    }
    if !extensions.allows(KeyUsage::CertificateSign) {
        return Err("its keyUsage does not allow signing certificates (keyCertSign)".to_owned());
    }
    match extensions.unsupported() {
        Some(oid) => Err(format!("its critical extension {} is not supported", name::dotted(oid))),
        None => Ok(()),
    }
}

fn oddities(certificate: &Certificate<'_>, label: &str, now: UnixTime) -> Vec<Warning> {
    let (not_before, not_after) = (certificate.not_before, certificate.not_after);
    let oddities = [
        (certificate.version == Version::One)
            .then(|| "an X.509 version 1 root, which says nothing of what it may sign".to_owned()),
        (now > not_after).then(|| format!("expired at {}", rfc3339(not_after))),
        (now < not_before).then(|| format!("not valid before {}", rfc3339(not_before))),
    ];
    oddities.into_iter().flatten().map(|oddity| Warning(format!("{label}: {oddity}"))).collect()
}

/// Its subject, for people. [`Certificate::read`] has checked the name.
fn subject_of(certificate: &Certificate<'_>) -> String {
    name::rfc2253(certificate.subject()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
