//! An accepted path, kept so that it can be judged again without its certificates.
//!
//! Whoever accepted a chain keeps the [`Path`] of it: a live connection until trust or time changes, a
//! ticket until its client comes back. [`Store::judge_again`] then answers by lookups alone what
//! [`Store::judge`] would answer to the whole chain, or that it cannot say. It says so where another path
//! could be there instead: when a CA of the path left the bundle or was joined by another of its name, when
//! conditions on identity changed, and when a path falls that had others beside it.
//!
//! What is kept is what can end the acceptance, in one compact allocation. A CA of the bundle is named by
//! its fingerprint, because all else is looked up there; of one that the client sent, and of the leaf, what
//! revocation lists are asked about is written out: for a client right below a CA of the bundle 80 bytes
//! and its distribution points.
//!
//! ```text
//! version (1)            of the rules that it was accepted by
//! head (1)               low bits: issuers, the anchor among them; FILTERED, AMONG
//! fingerprint (16)       of the filters that let it in, if FILTERED
//! fingerprint (16)       of the bundle, if AMONG: other paths may lead to an anchor, too
//! leaf                   a certificate
//! issuer, once or more   0 and the fingerprint of a CA of the bundle (16), or
//!                        1 or 2 (if it signs lists), its name and its key (each after its length in 2), and
//!                        a certificate
//!
//! certificate            notBefore and notAfter (8 each), 0 or 1 (a CA), serial number and distribution
//!                        points (each after its length in 2; 0 for none)
//! ```
//!
//! The bytes are trusted: keep them where no client can write, or seal them. Whatever they are, reading
//! them ends in a path or in none.
//! Bound: about `limits::CHAIN_BYTES_MAX`, as those of the chain.
#![deny(clippy::indexing_slicing)]
use super::bundle::{Authority, Ca};
use super::hash::Fingerprint;
use super::issued::{Issued, Issuer};
use super::validity::{self, Validity};
use super::x509::Certificate;
use super::{Bundle, Conditions, Refusal, Store};
use rustls_pki_types::UnixTime;
use std::time::Duration;

/// An accepted path; see the head of this file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path(Box<[u8]>);

/// What can be said of an accepted path now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Again {
    /// It is accepted still; see [`super::Accepted::until`].
    Accepted {
        /// Until then time changes nothing.
        until: UnixTime,
    },
    /// The whole chain would be refused, and with this reason.
    Refused(Refusal),
    /// Only the whole chain can tell.
    Unknown,
}

impl Store {
    /// Judges a client again whose chain was accepted on `path`, by this store or by another: by lookups,
    /// and as [`Store::judge`] would judge the chain.
    pub fn judge_again(&self, path: &Path, conditions: &Conditions, now: UnixTime) -> Again {
        let view = path.view();
        let Some(standing) = view.as_ref().and_then(|view| view.stand(&self.bundle)) else {
            return Again::Unknown;
        };
        let judged = self.judge_standing(&standing, conditions, now);
        match judged {
            Ok(Some(until)) => Again::Accepted { until },
            Err(refusal) if standing.is_alone => Again::Refused(refusal),
            Ok(None) | Err(_) => Again::Unknown,
        }
    }

    /// What may have changed about a path whose CAs are those that it had, in the order of a whole verdict;
    /// `None` where conditions on identity are others.
    fn judge_standing(
        &self,
        standing: &Standing<'_>,
        conditions: &Conditions,
        now: UnixTime,
    ) -> Result<Option<UnixTime>, Refusal> {
        let Standing { path, anchor, authority, filters, .. } = standing;
        let mut validities = path.iter().map(|link| link.validity);
        let Some(leaf) = validities.next() else { return Ok(None) };
        let top = anchor.certificate.validity();
        let until = validity::check(leaf, validities, top, conditions.forgiven(), now)?;
        let wanted = conditions.filters.fingerprint();
        if wanted.is_some() && wanted != *filters {
            return Ok(None);
        }
        let issued = || path.iter().map(|link| link.issued);
        let Self { revocations, rules, .. } = self;
        revocations.check(issued(), authority, *rules, now).map_err(|hit| hit.refusal())?;
        Ok(Some(revocations.hold_until(until, issued(), authority, *rules, now)))
    }
}

impl Path {
    /// The bytes to keep; [`Path::decode`] reads them.
    pub fn encode(&self) -> &[u8] {
        &self.0
    }

    /// Reads what [`Path::encode`] gave, on this node or another; `None` where it is something else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let path = Self(bytes.into());
        path.view().is_some().then_some(path)
    }

    /// The path of a chain that is accepted: leaf first, below `anchor`.
    ///
    /// * `is_alone`: whether every issuer on it is the only candidate of its name.
    /// * `filters`: those that let it in.
    pub(super) fn of(
        path: &[&Certificate<'_>],
        anchor: &Ca,
        bundle: &Bundle,
        is_alone: bool,
        filters: Option<Fingerprint>,
    ) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(RULES);
        let issuers = u8::try_from(path.len()).unwrap_or(0) & ISSUERS;
        let among = if is_alone { None } else { Some(bundle.fingerprint()) };
        bytes.push(
            issuers
                | if filters.is_some() { FILTERED } else { 0 }
                | if among.is_some() { AMONG } else { 0 },
        );
        for fingerprint in filters.iter().chain(&among) {
            bytes.extend_from_slice(&fingerprint.0);
        }
        for (position, certificate) in path.iter().enumerate() {
            let in_bundle = (position > 0).then(|| bundle.holds(certificate)).flatten();
            if let Some(fingerprint) = in_bundle {
                write_in_bundle(&mut bytes, fingerprint);
                continue;
            }
            if position > 0 {
                let issuer = Issuer::of(certificate);
                bytes.push(if issuer.signs_lists { SENT_AND_SIGNS } else { SENT });
                write_counted(&mut bytes, issuer.name);
                write_counted(&mut bytes, issuer.key_info);
            }
            write_certificate(&mut bytes, certificate);
        }
        write_in_bundle(&mut bytes, anchor.fingerprint);
        Self(bytes.into_boxed_slice())
    }

    fn view(&self) -> Option<View<'_>> {
        let mut fields = Fields(&self.0);
        if fields.byte()? != RULES {
            return None;
        }
        let head = fields.byte()?;
        let has = |flag: u8| head & flag != 0;
        let filters = if has(FILTERED) { Some(fields.fingerprint()?) } else { None };
        let among = if has(AMONG) { Some(fields.fingerprint()?) } else { None };
        let leaf = fields.certificate()?;
        let issuers: Vec<_> = (0..head & ISSUERS).map(|_| fields.step()).collect::<Option<_>>()?;
        let is_whole = head & !(FILTERED | AMONG | ISSUERS) == 0 && fields.0.is_empty();
        (is_whole && !issuers.is_empty()).then_some(View { filters, among, leaf, issuers })
    }
}

/// Its bytes, read.
struct View<'a> {
    filters: Option<Fingerprint>,
    among: Option<Fingerprint>,
    leaf: Entry<'a>,
    issuers: Vec<Step<'a>>,
}

/// An issuer on the path.
enum Step<'a> {
    InBundle(Fingerprint),
    Sent(Issuer<'a>, Entry<'a>),
}

/// A certificate that is not in the bundle.
#[derive(Clone, Copy)]
struct Entry<'a> {
    validity: Validity,
    is_ca: bool,
    serial: &'a [u8],
    distribution_points: Option<&'a [u8]>,
}

/// A path whose CAs stand in the bundle as they did.
struct Standing<'a> {
    is_alone: bool,
    filters: Option<Fingerprint>,
    /// Leaf first, without the anchor.
    path: Vec<Link<'a>>,
    anchor: &'a Ca,
    authority: &'a Authority,
}

struct Link<'a> {
    validity: Validity,
    issued: Issued<'a>,
}

impl<'a> View<'a> {
    /// Finds its CAs; `None` where one is gone, anchors and did not (or the other way round), or was joined
    /// by another of its name.
    fn stand(&'a self, bundle: &'a Bundle) -> Option<Standing<'a>> {
        let is_alone = match self.among {
            None => true,
            Some(fingerprint) if fingerprint == bundle.fingerprint() => false,
            Some(_) => return None,
        };
        let mut path = Vec::with_capacity(self.issuers.len());
        let mut below = self.leaf;
        let mut top = None;
        for (position, step) in self.issuers.iter().enumerate() {
            let is_last = position + 1 == self.issuers.len();
            let (issuer, entry, in_bundle) = match step {
                Step::InBundle(fingerprint) => {
                    let ca = bundle.find(*fingerprint)?;
                    if ca.anchor.is_some() != is_last {
                        return None;
                    }
                    top = ca.anchor.as_ref().map(|anchor| (ca, &anchor.authority));
                    (Issuer::of(&ca.certificate), Entry::of(&ca.certificate), 1)
                }
                Step::Sent(issuer, entry) => (*issuer, *entry, 0),
            };
            if is_alone && bundle.named(issuer.name).count() != in_bundle {
                return None;
            }
            path.push(below.below(issuer));
            below = entry;
        }
        let (anchor, authority) = top?;
        Some(Standing { is_alone, filters: self.filters, path, anchor, authority })
    }
}

impl<'a> Entry<'a> {
    fn of(certificate: &'a Certificate<'_>) -> Self {
        Self {
            validity: certificate.validity(),
            is_ca: certificate.extensions.is_ca,
            serial: certificate.serial(),
            distribution_points: certificate.distribution_points(),
        }
    }

    fn below(self, issuer: Issuer<'a>) -> Link<'a> {
        let Self { validity, is_ca, serial, distribution_points } = self;
        Link { validity, issued: Issued { serial, is_ca, distribution_points, issuer } }
    }
}

/// The rules of a whole verdict that lookups do not ask again: forms, purposes, path lengths, policies, names,
/// signatures. Raise it with each of them that becomes stricter, and with the layout: tickets outlive an
/// upgrade where nodes share keys, and a path that older rules accepted is for the whole chain.
const RULES: u8 = 1;

/// Bits of the head.
const ISSUERS: u8 = 0x07;
const FILTERED: u8 = 0x08;
const AMONG: u8 = 0x10;
const _: () = assert!(crate::limits::INTERMEDIATES_MAX < ISSUERS as usize);

/// How an issuer begins.
const IN_BUNDLE: u8 = 0;
const SENT: u8 = 1;
const SENT_AND_SIGNS: u8 = 2;

fn write_in_bundle(bytes: &mut Vec<u8>, fingerprint: Fingerprint) {
    bytes.push(IN_BUNDLE);
    bytes.extend_from_slice(&fingerprint.0);
}

fn write_certificate(bytes: &mut Vec<u8>, certificate: &Certificate<'_>) {
    let Validity { not_before, not_after } = certificate.validity();
    bytes.extend_from_slice(&not_before.as_secs().to_be_bytes());
    bytes.extend_from_slice(&not_after.as_secs().to_be_bytes());
    bytes.push(u8::from(certificate.extensions.is_ca));
    write_counted(bytes, certificate.serial());
    write_counted(bytes, certificate.distribution_points().unwrap_or_default());
}

/// No part of a chain is longer than `limits::CHAIN_BYTES_MAX`, less what is around it.
fn write_counted(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u16::try_from(part.len()).unwrap_or(0);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend(part.iter().take(usize::from(length)));
}

const _: () = assert!(crate::limits::CHAIN_BYTES_MAX <= 1 << 16);

/// What is left of the bytes.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let count = u16::from_be_bytes(self.array()?);
        self.take(usize::from(count))
    }

    fn fingerprint(&mut self) -> Option<Fingerprint> {
        self.array().map(Fingerprint)
    }

    fn time(&mut self) -> Option<UnixTime> {
        let seconds = u64::from_be_bytes(self.array()?);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }

    fn step(&mut self) -> Option<Step<'a>> {
        let kind = self.byte()?;
        match kind {
            IN_BUNDLE => self.fingerprint().map(Step::InBundle),
            SENT | SENT_AND_SIGNS => {
                let (name, key_info) = (self.counted()?, self.counted()?);
                let signs_lists = kind == SENT_AND_SIGNS;
                let issuer = Issuer { name, key_info, signs_lists };
                Some(Step::Sent(issuer, self.certificate()?))
            }
            _ => None,
        }
    }

    fn certificate(&mut self) -> Option<Entry<'a>> {
        let validity = Validity { not_before: self.time()?, not_after: self.time()? };
        let is_ca = match self.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let (serial, points) = (self.counted()?, self.counted()?);
        let distribution_points = Some(points).filter(|points| !points.is_empty());
        Some(Entry { validity, is_ca, serial, distribution_points })
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
