//! A verdict, told: every path that was tried, and what came of it.
//!
//! There is one judging code, in [`super::verdict`], and it tells a [`Trace`] what it does. In a handshake
//! the trace is `()`, which hears nothing and compiles to nothing; when an operator asks why, it is
//! [`Told`], which writes down. What is written beyond that (a subject, a remark on a field) describes
//! and decides nothing.
//! Bound: `limits::EXPLAINED_PATHS_MAX`.
#![deny(clippy::indexing_slicing)]
use super::bundle::{Authority, Ca};
use super::certificate::serial_number;
use super::issued::Issuer;
use super::revocation::Status;
use super::serials::Reason;
use super::x509::{Certificate, KeyKind, KeyUsage, Version};
use super::{Conditions, Refusal, Store, filter, name, pem, time};
use crate::limits;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Serialize;
use std::time::Duration;

/// Hears what a verdict does.
pub(super) trait Trace {
    /// Something happened.
    fn tell(&mut self, event: Event<'_>);
}

/// Nobody listens.
impl Trace for () {
    fn tell(&mut self, _: Event<'_>) {}
}

/// What a verdict does. A `path` is leaf first, without its anchor.
pub(super) enum Event<'e> {
    /// The search goes on from the last certificate of `path`.
    Reached { path: &'e [&'e Certificate<'e>] },
    /// A certificate that has the right name does not continue `path`.
    PassedOver { path: &'e [&'e Certificate<'e>], issuer: &'e Certificate<'e>, why: PassedOver },
    /// What webpki has against the path that is being judged.
    Library(&'e webpki::Error),
    /// The certificate at `position` of the path that is being judged is revoked.
    Revoked { position: usize, reason: Reason },
    /// The lists about the one at `position` are not what the trust store asks for.
    Unvouched { position: usize },
    /// The certificate policies of the path are not met.
    Policies,
    /// A path was judged.
    Judged {
        path: &'e [&'e Certificate<'e>],
        anchor: &'e Ca,
        authority: &'e Authority,
        refusal: Option<Refusal>,
    },
}

/// Why a certificate of the right name does not continue a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PassedOver {
    /// The certificate below names another key.
    OtherKey,
    /// Its key did not make the signature.
    NotSigned,
    /// No more signatures are checked.
    ChecksSpent,
    /// Its version, key or signature algorithm.
    Form,
    /// The path would be too long.
    TooDeep,
}

/// Everything that a verdict told.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Told {
    /// What the client sent, in its order.
    pub sent: Vec<Seen>,
    /// Whole paths, in the order in which they were judged; an accepted one is the last.
    pub paths: Vec<Path>,
    /// Why other paths came to nothing, each a sentence.
    pub dead_ends: Vec<String>,
    /// Which of the conditions' filters matches the leaf, counted from 0.
    pub matching_filter: Option<usize>,
    /// What the filters could look at: fields and their well-formed values.
    pub identity: Vec<(&'static str, Vec<String>)>,
    /// When something that was looked at changes: a validity begins or ends, a list becomes current or
    /// stale. Between two of these no verdict on this chain changes by itself.
    #[serde(skip)]
    pub instants: Vec<UnixTime>,
}

/// A path.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Path {
    /// The reason code; none for the accepted one.
    pub refusal: Option<&'static str>,
    /// Leaf first; the last one is the anchor.
    pub certificates: Vec<Seen>,
    /// What is wrong with the path as a whole.
    pub fault: Option<String>,
}

/// A certificate.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Seen {
    /// RFC 2253.
    pub subject: String,
    /// RFC 2253.
    pub issuer: String,
    /// Hexadecimal.
    pub serial_number: String,
    /// Beginning of its validity.
    pub not_before: String,
    /// End of its validity.
    pub not_after: String,
    /// Kind and size of its key.
    pub key: String,
    /// SHA-256 of the certificate.
    pub sha256: String,
    /// Whether the client sent it.
    pub is_sent: bool,
    /// Whether the trust store's bundle holds it.
    pub is_in_bundle: bool,
    /// What speaks against it.
    pub remarks: Vec<String>,
    /// Where it is revoked, the reason that its entry gives (RFC 5280, section 5.3.1).
    pub revoked: Option<&'static str>,
    /// The lists of its issuer that count here.
    pub lists: Vec<List>,
}

/// A revocation list.
#[derive(Clone, Debug, Serialize)]
pub struct List {
    /// Its file, as it is written in the configuration.
    pub file: String,
    /// Its number of entries.
    pub entries: usize,
    /// thisUpdate.
    pub this_update: String,
    /// nextUpdate.
    pub next_update: Option<String>,
}

/// Writes a [`Told`].
pub(super) struct Teller<'a> {
    store: &'a Store,
    conditions: &'a Conditions,
    now: UnixTime,
    sent: &'a [CertificateDer<'a>],
    told: &'a mut Told,
    /// Of the path that is being judged.
    fault: Option<String>,
    /// Of the path that is being judged: the position of a certificate and why it is revoked.
    revoked: Option<(usize, Reason)>,
    /// Of the path that is being judged: the position of the one for which no list vouches.
    unvouched: Option<usize>,
}

impl Store {
    /// As [`Store::judge`], by the same code, and `told` gets to know how it came about.
    ///
    /// # Errors
    /// As [`Store::judge`].
    pub fn explain(
        &self,
        chain: &[CertificateDer<'_>],
        conditions: &Conditions,
        now: UnixTime,
        told: &mut Told,
    ) -> Result<super::Accepted, Refusal> {
        *told = Told::default();
        let sent: Vec<_> = chain.iter().map(|der| CertificateDer::from(der.as_ref())).collect();
        let mut teller = Teller {
            store: self,
            conditions,
            now,
            sent: &sent,
            told,
            fault: None,
            unvouched: None,
            revoked: None,
        };
        teller.tell_sent();
        self.judge_telling(chain, conditions, now, &mut teller)
    }
}

impl Told {
    /// What was sent, where no trust store judges it.
    pub fn of_sent(chain: &[CertificateDer<'_>]) -> Self {
        let sent = chain.iter().map(|der| match Certificate::read(der.as_ref().into()) {
            Ok(certificate) => Seen { is_sent: true, ..Seen::of(&certificate) },
            Err(malformed) => {
                Seen { is_sent: true, remarks: vec![malformed.to_string()], ..Seen::default() }
            }
        });
        Self { sent: sent.collect(), ..Self::default() }
    }
}

impl Trace for Teller<'_> {
    fn tell(&mut self, event: Event<'_>) {
        match event {
            Event::Reached { path } => self.reached(path),
            Event::PassedOver { path, issuer, why } => self.passed_over(path, issuer, why),
            Event::Library(error) => self.fault = Some(format!("webpki says {error:?}")),
            Event::Policies => {
                self.fault = Some("its certificates ask for policies that do not agree".to_owned());
            }
            Event::Unvouched { position } => self.unvouched = Some(position),
            Event::Revoked { position, reason } => self.revoked = Some((position, reason)),
            Event::Judged { path, anchor, authority, refusal } => {
                self.judged(path, anchor, authority, refusal);
            }
        }
    }
}

impl Teller<'_> {
    fn tell_sent(&mut self) {
        let Told { sent, .. } = Told::of_sent(self.sent);
        self.told.sent = sent;
        let Some(Ok(leaf)) = self.sent.first().map(|der| Certificate::read(der.as_ref().into()))
        else {
            return;
        };
        self.told.matching_filter = self.conditions.filters.matching(&leaf);
        let fields = filter::Field::ALL.map(|field| (field.key(), filter::values(&leaf, field)));
        self.told.identity = fields.into_iter().filter(|(_, values)| !values.is_empty()).collect();
    }

    fn reached(&mut self, path: &[&Certificate<'_>]) {
        let Some(head) = path.last() else { return };
        let is_sent = self.sent.iter().any(|der| {
            Certificate::read(der.as_ref().into())
                .is_ok_and(|sent| sent.subject() == head.issuer() && !sent.is_same_authority(head))
        });
        if !is_sent && self.store.bundle.named(head.issuer()).next().is_none() {
            self.dead_end(format!(
                "{} was issued by {}, and neither the trust store nor what the client sent holds a \
                 certificate of that name",
                subject(head),
                name::rfc2253(head.issuer()).unwrap_or_default()
            ));
        }
    }

    fn passed_over(
        &mut self,
        path: &[&Certificate<'_>],
        issuer: &Certificate<'_>,
        why: PassedOver,
    ) {
        let Some(head) = path.last() else { return };
        let (below, above) = (subject(head), subject(issuer));
        let from = if self.is_sent(issuer) { "that the client sent" } else { "of the trust store" };
        let serial = serial_number(issuer.serial());
        let issuer_of = format!("the certificate {above} (serial number {serial}) {from}");
        self.dead_end(match why {
            PassedOver::OtherKey => format!(
                "{issuer_of} has another key than the one that {below} names as its issuer's \
                 (authorityKeyIdentifier)"
            ),
            PassedOver::NotSigned => {
                format!(
                    "{issuer_of} has the name of the issuer of {below}, and its key did not sign it"
                )
            }
            PassedOver::ChecksSpent => {
                format!("{issuer_of} was not tried: the limit of signatures to check is reached")
            }
            PassedOver::Form => format!("{issuer_of} cannot be used: {}", form(issuer)),
            PassedOver::TooDeep => format!(
                "{issuer_of} would be one CA too many: {} may stand between client and anchor",
                limits::INTERMEDIATES_MAX
            ),
        });
    }

    fn dead_end(&mut self, sentence: String) {
        let ends = &mut self.told.dead_ends;
        if ends.len() < limits::EXPLAINED_PATHS_MAX && !ends.contains(&sentence) {
            ends.push(sentence);
        }
    }

    fn judged(
        &mut self,
        path: &[&Certificate<'_>],
        anchor: &Ca,
        authority: &Authority,
        refusal: Option<Refusal>,
    ) {
        let whole = || path.iter().copied().chain([&anchor.certificate]);
        let after = |time: UnixTime| {
            UnixTime::since_unix_epoch(Duration::from_secs(time.as_secs().saturating_add(1)))
        };
        for certificate in whole() {
            self.told.instants.extend([certificate.not_before, after(certificate.not_after)]);
        }
        for issuer in whole().skip(1) {
            for (first, last) in self.store.revocations.validities(Issuer::of(issuer), authority) {
                self.told.instants.push(first);
                self.told.instants.extend(last.map(after));
            }
        }
        let revoked = self.revoked.take();
        let (fault, unvouched) = (self.fault.take(), self.unvouched.take());
        if self.told.paths.len() >= limits::EXPLAINED_PATHS_MAX {
            return;
        }
        let intermediates = path.len().saturating_sub(1);
        let certificates = whole().zip(whole().skip(1).map(Some).chain([None])).enumerate();
        let certificates = certificates.map(|(index, (certificate, issuer))| {
            let revoked = revoked.filter(|(position, _)| *position == index);
            let reason = revoked.map(|(_, reason)| reason_name(reason));
            let lists =
                issuer.map(|issuer| self.store.revocations.lists(Issuer::of(issuer), authority));
            let below = issuer.is_none().then_some(intermediates);
            let mut remarks = self.remarks(certificate, index, below);
            if unvouched == Some(index) {
                remarks.push("no current revocation list vouches for it".to_owned());
            }
            Seen {
                is_sent: self.is_sent(certificate),
                is_in_bundle: self.is_in_bundle(certificate),
                remarks,
                revoked: reason,
                lists: lists.into_iter().flatten().map(List::of).collect(),
                ..Seen::of(certificate)
            }
        });
        let certificates = certificates.collect();
        let refusal = refusal.map(Refusal::code);
        self.told.paths.push(Path { refusal, certificates, fault });
    }

    fn is_sent(&self, certificate: &Certificate<'_>) -> bool {
        self.sent.iter().any(|der| der.as_ref() == certificate.der())
    }

    fn is_in_bundle(&self, certificate: &Certificate<'_>) -> bool {
        let mut named = self.store.bundle.named(certificate.subject());
        named.any(|ca| ca.certificate.der() == certificate.der())
    }

    /// What speaks against a certificate at this place of a path; of an anchor, `below` is the number of
    /// CAs under it.
    fn remarks(&self, it: &Certificate<'_>, index: usize, below: Option<usize>) -> Vec<String> {
        let is_leaf = index == 0;
        let extensions = &it.extensions;
        let forgives = is_leaf && self.conditions.ignore_client_certificate_expiry;
        let signs = [KeyUsage::DigitalSignature, KeyUsage::KeyAgreement];
        let mut remarks = Vec::new();
        let mut remark = |speaks: bool, what: &str| {
            if speaks {
                remarks.push(what.to_owned());
            }
        };
        remark(self.now < it.not_before, "not yet valid");
        remark(self.now > it.not_after && !forgives, "expired");
        remark(self.now > it.not_after && forgives, "expired, which the listener forgives");
        remark(
            is_leaf && !signs.into_iter().any(|usage| extensions.allows(usage)),
            "its keyUsage allows neither digitalSignature nor keyAgreement",
        );
        remark(
            !is_leaf && !extensions.allows(KeyUsage::CertificateSign),
            "its keyUsage does not allow signing certificates (keyCertSign)",
        );
        remark(
            !is_leaf && it.version == Version::Three && !extensions.is_ca,
            "not a CA (basicConstraints)",
        );
        remark(is_leaf && extensions.is_ca, "a CA, which cannot be a client (basicConstraints)");
        remark(
            !extensions.allows_client_authentication(),
            "its extendedKeyUsage does not allow client authentication",
        );
        if let Some(oid) = extensions.unsupported() {
            remarks.push(format!("its critical extension {} is not supported", name::dotted(oid)));
        }
        if let (Some(max), Some(below)) = (extensions.path_length_max, below)
            && below > max
        {
            remarks.push(format!("it allows {max} CAs below it, and here are {below}"));
        }
        remarks
    }
}

impl Seen {
    fn of(certificate: &Certificate<'_>) -> Self {
        let sha256 = filter::values(certificate, filter::Field::Sha256).concat();
        let form = form(certificate);
        Self {
            subject: subject(certificate),
            issuer: name::rfc2253(certificate.issuer()).unwrap_or_default(),
            serial_number: serial_number(certificate.serial()),
            not_before: time::rfc3339(certificate.not_before),
            not_after: time::rfc3339(certificate.not_after),
            key: key(certificate),
            sha256,
            remarks: (!form.is_empty()).then_some(form).into_iter().collect(),
            ..Self::default()
        }
    }
}

impl List {
    fn of(status: &Status) -> Self {
        Self {
            file: status.file.clone(),
            entries: status.entries,
            this_update: time::rfc3339(status.this_update),
            next_update: status.next_update.map(time::rfc3339),
        }
    }
}

fn subject(certificate: &Certificate<'_>) -> String {
    name::rfc2253(certificate.subject()).unwrap_or_default()
}

/// Kind and size of a key.
pub(super) fn key(certificate: &Certificate<'_>) -> String {
    match certificate.key_kind() {
        KeyKind::Rsa { bits } => format!("RSA of {bits} bits"),
        KeyKind::EllipticCurve => format!("ECDSA {}", certificate.curve().unwrap_or_default()),
        KeyKind::Other => "a key of another kind".to_owned(),
    }
}

/// What of its form is not supported; empty when all is.
fn form(certificate: &Certificate<'_>) -> String {
    let faults = [
        (certificate.version != Version::Three).then(|| "not X.509 version 3".to_owned()),
        (!certificate.is_key_supported()).then(|| {
            format!(
                "{} (RSA of 2048 to 8192 bits, P-256, P-384, P-521 are supported)",
                key(certificate)
            )
        }),
        (!certificate.signed().is_supported()).then(|| {
            "its signature algorithm is not supported (SHA-256, -384, -512 with RSA or ECDSA are)"
                .to_owned()
        }),
    ];
    faults.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Source: RFC 5280, section 5.3.1.
fn reason_name(reason: Reason) -> &'static str {
    match reason {
        1 => "keyCompromise",
        2 => "cACompromise",
        3 => "affiliationChanged",
        4 => "superseded",
        5 => "cessationOfOperation",
        6 => "certificateHold",
        9 => "privilegeWithdrawn",
        10 => "aACompromise",
        _ => "unspecified",
    }
}

/// The certificates of a file that a client would send, leaf first: PEM (blocks of other kinds, such as
/// a key beside them, are passed over) or one in DER.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn read_chain(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    if let [0x30, 0x81..=0x84, ..] = file {
        return Ok(vec![CertificateDer::from(file.to_vec())]);
    }
    let mut chain = Vec::new();
    for block in pem::blocks(file) {
        let block = block.map_err(|broken| broken.to_string())?;
        if block.label == b"CERTIFICATE" {
            let der = block.decode().map_err(|broken| broken.to_string())?;
            chain.push(CertificateDer::from(der));
        }
    }
    if chain.is_empty() { Err("the file holds no certificate".to_owned()) } else { Ok(chain) }
}

/// A time as people write it: `2027-01-02`, `2027-01-02T03:04:05Z`, or seconds since 1970 as `@1800000000`.
pub fn read_time(text: &str) -> Option<UnixTime> {
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.parse().ok().map(|s| UnixTime::since_unix_epoch(Duration::from_secs(s)));
    }
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    time::read_rfc3339(&whole)
}

/// `2027-01-02T03:04:05Z`.
pub fn write_time(time: UnixTime) -> String {
    time::rfc3339(time)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
