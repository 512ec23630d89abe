//! The revocation index: the union of all revocation files of a trust store.
//!
//! Loaded on the control thread: each list is read once, and its signature verified once. A list covers
//! every certificate of its issuer's *name* under the anchors that its signer chains to, whichever key
//! of that name signed it, so that a CA's new key can revoke what its old key issued. Equal names under
//! different anchors stay apart, but for one thing: a key's own list covers what that key issued under
//! any anchor, so that a revoked client cannot step round a list by sending a cross-certificate.
//!
//! All lists of one issuer are one set, in any order: rustls-webpki takes the first that matches, and an
//! empty one hides the rest. What a list names is revoked, also when its nextUpdate has passed, its
//! thisUpdate lies ahead, or it is about another part of the issuer's certificates. Whether a certificate
//! that no list names is good is up to the store's [`Rules`]: by default it is.
//! Bound: `limits::REVOCATION_FILE_BYTES_MAX` for each file.
#![deny(clippy::indexing_slicing)]
use super::Refusal;
use super::bundle::Authority;
use super::issued::{Issued, Issuer};
use super::partition::Reasons;
use super::serials::{Reason, Serials};
use part::Part;
use rustls_pki_types::UnixTime;
use std::collections::HashMap;

mod loading;
mod part;
mod rules;

pub(super) use loading::each_list;
pub use loading::{Fault, File};
pub use rules::{Rules, StaleRevocations, UnlistedIssuers};

/// What one loaded CRL says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// The file it came from.
    pub file: String,
    /// Which of the given files that is.
    pub file_index: usize,
    /// Issuer, RFC 2253.
    pub issuer: String,
    /// Revoked certificates in it.
    pub entries: usize,
    /// thisUpdate.
    pub this_update: UnixTime,
    /// nextUpdate, where it has one.
    pub next_update: Option<UnixTime>,
}

/// The index.
#[derive(Debug, Default)]
pub struct Revocations {
    /// By the issuer's name, without its outer SEQUENCE.
    by_issuer: HashMap<Box<[u8]>, Vec<Scope<Serials>>>,
    status: Vec<Status>,
}

/// What the lists of one issuer cover, for one set of anchors.
#[derive(Debug)]
struct Scope<S> {
    anchors: Vec<Authority>,
    /// The keys that signed them.
    keys: Vec<Box<[u8]>>,
    parts: Vec<Part>,
    serials: S,
}

/// Why the lists refuse a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hit {
    /// A list names the certificate at this position of the path.
    Revoked { position: usize, reason: Reason },
    /// The lists about it are not what the store's rules ask for.
    Unvouched { position: usize },
}

impl Revocations {
    /// Revoked certificates in all files.
    pub fn entries(&self) -> usize {
        self.status.iter().map(|list| list.entries).sum()
    }

    /// Each CRL, in the order of the files.
    pub fn status(&self) -> &[Status] {
        &self.status
    }

    /// Whether no certificate of a path to `anchor`, leaf first, is revoked, and the lists of every issuer
    /// are what the store's rules ask for.
    ///
    /// # Errors
    /// The first certificate that is not.
    pub(super) fn check<'a>(
        &self,
        path: impl Iterator<Item = Issued<'a>> + Clone,
        anchor: &Authority,
        rules: Rules,
        now: UnixTime,
    ) -> Result<(), Hit> {
        for (position, issued) in path.clone().enumerate() {
            if let Some(reason) = self.find(&issued, anchor) {
                return Err(Hit::Revoked { position, reason });
            }
        }
        for (position, issued) in path.enumerate() {
            if !self.is_vouched_for(&issued, anchor, rules, now) {
                return Err(Hit::Unvouched { position });
            }
        }
        Ok(())
    }

    /// The reason, where a certificate is revoked on a path to `anchor`.
    fn find(&self, issued: &Issued<'_>, anchor: &Authority) -> Option<Reason> {
        self.scopes(issued.issuer, anchor).find_map(|scope| scope.serials.find(issued.serial))
    }

    /// Whether the lists of the certificate's issuer are what the store's rules ask for.
    fn is_vouched_for(
        &self,
        issued: &Issued<'_>,
        anchor: &Authority,
        rules: Rules,
        now: UnixTime,
    ) -> bool {
        let parts = || self.scopes(issued.issuer, anchor).flat_map(|scope| &scope.parts);
        let is_good = |part: &&Part| {
            part.vouches(issued.issuer, now)
                && match rules.stale_revocations {
                    StaleRevocations::Enforce => true,
                    StaleRevocations::Refuse => part.is_current(now),
                }
        };
        let is_replaced = |part: &Part| {
            let mut current = parts().filter(|other| other.is_current(now));
            current.any(|other| other.partition.includes(&part.partition))
        };
        let is_stale = rules.stale_revocations == StaleRevocations::Refuse
            && parts().filter(|part| part.is_stale(now)).any(|part| !is_replaced(part));
        let is_unlisted = || {
            let reasons = parts().filter(is_good).map(|part| part.partition.reasons_for(issued));
            reasons.fold(Reasons::NONE, Reasons::or) != Reasons::ALL
        };
        let refuses_unlisted = rules.unlisted_issuers == UnlistedIssuers::Refuse;
        !(is_stale || refuses_unlisted && is_unlisted())
    }

    /// The last second, `until` at the latest, before time may change what the store's rules make of the
    /// lists about a path to `anchor`: one of them goes stale, or a signer expires that vouched.
    pub(super) fn hold_until<'a>(
        &self,
        until: UnixTime,
        path: impl Iterator<Item = Issued<'a>>,
        anchor: &Authority,
        rules: Rules,
        now: UnixTime,
    ) -> UnixTime {
        let leans_on_lists = rules.stale_revocations == StaleRevocations::Refuse;
        let leans_on_signers = rules.unlisted_issuers == UnlistedIssuers::Refuse;
        if !leans_on_lists && !leans_on_signers {
            return until;
        }
        let scopes = path.flat_map(|issued| self.scopes(issued.issuer, anchor));
        let ends = scopes.flat_map(|scope| &scope.parts).flat_map(|part| {
            let list = part.next_update.filter(|_| leans_on_lists);
            let signers = part.signers.iter().filter(|_| leans_on_signers);
            signers.map(|signer| signer.not_after).chain(list)
        });
        // What has passed already has no say any more.
        ends.filter(|end| now <= *end).fold(until, UnixTime::min)
    }

    /// The lists of an issuer that count on a path to `anchor`.
    pub(super) fn lists(
        &self,
        issuer: Issuer<'_>,
        anchor: &Authority,
    ) -> impl Iterator<Item = &Status> {
        let parts = self.scopes(issuer, anchor).flat_map(|scope| &scope.parts);
        parts.filter_map(|part| self.status.get(part.list))
    }

    /// What time can change about these lists: each pair is a first and a last second.
    pub(super) fn validities(
        &self,
        issuer: Issuer<'_>,
        anchor: &Authority,
    ) -> impl Iterator<Item = (UnixTime, Option<UnixTime>)> {
        let parts = self.scopes(issuer, anchor).flat_map(|scope| &scope.parts);
        parts.flat_map(|part| {
            let signers = part.signers.iter();
            let signers = signers.map(|signer| (signer.not_before, Some(signer.not_after)));
            signers.chain([(part.this_update, part.next_update)])
        })
    }

    /// What the lists of the issuer's name say, as far as they count on a path to `anchor`.
    fn scopes(
        &self,
        issuer: Issuer<'_>,
        anchor: &Authority,
    ) -> impl Iterator<Item = &Scope<Serials>> {
        let named = self.by_issuer.get(issuer.name).into_iter().flatten();
        named.filter(move |scope| {
            scope.anchors.contains(anchor) || scope.keys.iter().any(|key| **key == *issuer.key_info)
        })
    }
}

impl Hit {
    pub(super) const fn refusal(self) -> Refusal {
        match self {
            Self::Revoked { .. } => Refusal::CrlHit,
            Self::Unvouched { .. } => Refusal::CrlProcessingError,
        }
    }
}

#[cfg(test)]
mod rule_tests;
#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
