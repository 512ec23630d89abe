//! A verdict, told: every path that was tried, and what came of it.
//!
//! There is one judging code, in [`super::verdict`], and it tells a [`Trace`] what it does. In a handshake
//! the trace is `()`, which hears nothing and compiles to nothing; when an operator asks why, it is
//! [`Told`], which writes down. What is written beyond that (a subject, a remark on a field) describes
//! and decides nothing. The entry of a revocation list that hit is found again in its file ([`entry`]).
//! Bound: `limits::EXPLAINED_PATHS_MAX`.
#![deny(clippy::indexing_slicing)]
mod chain;
pub mod entry;
mod teller;

use super::bundle::{Authority, Ca};
pub use chain::{certificates_alone, read_chain};

use super::certificate::serial_number;
use super::revocation::Status;
use super::serials::Reason;
use super::x509::{Certificate, KeyKind, Version};
use super::{Conditions, Refusal, Store, filter, name, time};
use crate::calendar::rfc3339;
use entry::Entry;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Serialize;
use std::time::Duration;
use teller::Teller;

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
    /// What lists name of the certificates that were looked at, to be found again in their files.
    #[serde(skip)]
    pub(super) hits: Vec<entry::Hit>,
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
    /// Where it is revoked, the entries that say so, as far as they were found again.
    pub revoked_by: Vec<Entry>,
    /// Why entries were not looked for in some of the lists.
    pub unread_lists: Vec<String>,
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
        let mut teller = Teller::new(self, conditions, now, &sent, told);
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

impl Seen {
    fn of(certificate: &Certificate<'_>) -> Self {
        let sha256 = filter::values(certificate, filter::Field::Sha256).concat();
        let form = form(certificate);
        Self {
            subject: subject(certificate),
            issuer: name::rfc2253(certificate.issuer()).unwrap_or_default(),
            serial_number: serial_number(certificate.serial()),
            not_before: rfc3339(certificate.not_before),
            not_after: rfc3339(certificate.not_after),
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
            this_update: rfc3339(status.this_update),
            next_update: status.next_update.map(rfc3339),
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

/// A time as people write it: `2027-01-02`, `2027-01-02T03:04:05Z`, or seconds since 1970 as `@1800000000`.
pub fn read_time(text: &str) -> Option<UnixTime> {
    if let Some(seconds) = text.strip_prefix('@') {
        return seconds.parse().ok().map(|s| UnixTime::since_unix_epoch(Duration::from_secs(s)));
    }
    let whole = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    time::read_rfc3339(&whole)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
