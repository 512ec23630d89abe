//! The verdict on a client's chain.
//!
//! [`Search`] climbs from the leaf, along signatures that hold, to the anchors of the bundle; each path
//! that it finds is judged on its own, and the first good one accepts the client. The search only
//! proposes: webpki verifies every accepted path whole, from the bytes, against its one anchor. So a
//! mistake in the search can refuse a client but never let one in, and work is bounded by signatures
//! checked and not by the shape of what a client sends (RUSTSEC-2023-0052). Judging path by path also
//! keeps the reason of each refusal, of which the most telling is given.
//!
//! webpki judges names, basic constraints, path lengths and signatures; ours is what it leaves out:
//! key usage, purposes (it does not know anyExtendedKeyUsage), what an anchor's certificate says, key
//! kinds, demands for a policy, conditions on identity, revocation, and validity where a leaf's expiry
//! is forgiven.
//! Bounds: `limits::INTERMEDIATES_MAX`, `CHAIN_CERTIFICATES_MAX`, `CHAIN_BYTES_MAX`,
//! `SIGNATURE_CHECKS_MAX`.
#![deny(clippy::indexing_slicing)]
use super::bundle::{Anchor, Authority, Ca};
use super::explain::{Event, PassedOver, Trace};
use super::issued::{Issued, Issuer};
use super::revocation::Hit;
use super::signature::REMEMBERED;
use super::validity::{self, Forgiven};
use super::x509::{Certificate, KeyUsage, Version};
use super::{Bundle, Filters, Path, Refusal, Revocations, Rules, policy};
use crate::limits;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;

/// A trust store: a bundle and the revocations under it. Immutable; replaced whole.
#[derive(Debug)]
pub struct Store {
    /// The name that listeners use.
    pub name: Arc<str>,
    /// Its CAs.
    pub bundle: Bundle,
    /// Its revocation index.
    pub revocations: Revocations,
    /// What it asks of its revocation lists.
    pub rules: Rules,
}

/// What a listener asks of a chain beyond the store's rules.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// Forgive the leaf's notAfter, and nothing else (`ignore_client_certificate_expiry`). A path whose
    /// CAs became valid only after the leaf had expired was never whole, and is not forgiven.
    pub ignore_client_certificate_expiry: bool,
    /// Forgive every notAfter of a path that was whole once: for a client that is connected already.
    pub ignore_all_expiry: bool,
    /// Who of those whose path is good is let in.
    pub filters: Filters,
}

impl Conditions {
    pub(super) fn forgiven(&self) -> Forgiven {
        match self {
            Self { ignore_all_expiry: true, .. } => Forgiven::Everybody,
            Self { ignore_client_certificate_expiry: true, .. } => Forgiven::Leaf,
            Self { .. } => Forgiven::Nobody,
        }
    }
}

/// A chain that was accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    /// The last second before time may change it: when the first certificate of the path expires (its
    /// anchor among them), or a revocation list that the store's rules make the path lean on goes stale.
    /// What is ignored does not count; where nothing does, it is later than any date.
    pub until: UnixTime,
    /// What it takes to judge it again without the chain.
    pub path: Path,
}

impl Store {
    /// Judges a chain, leaf first, as the client sent it.
    ///
    /// # Errors
    /// Why the client is refused.
    pub fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        conditions: &Conditions,
        now: UnixTime,
    ) -> Result<Accepted, Refusal> {
        self.judge_telling(chain, conditions, now, &mut ())
    }

    /// As [`Store::judge`], and tells how it comes about.
    pub(super) fn judge_telling<T: Trace>(
        &self,
        chain: &[CertificateDer<'_>],
        conditions: &Conditions,
        now: UnixTime,
        trace: &mut T,
    ) -> Result<Accepted, Refusal> {
        let sent = read_chain(chain)?;
        let (leaf, others) = sent.split_first().ok_or(Refusal::Missing)?;
        check_form(leaf)?;
        let mut search = Search::new(self, others, conditions, now, trace);
        search.climb(&mut vec![leaf]).ok_or(search.refusal)
    }
}

/// What `passthrough` still asks of a leaf: X.509 version 3 and a key of a supported kind and size.
///
/// # Errors
/// [`Refusal::TypeUnsupported`], [`Refusal::Invalid`].
pub fn judge_form(leaf: &CertificateDer<'_>) -> Result<(), Refusal> {
    let leaf =
        Certificate::read(CertificateDer::from(leaf.as_ref())).map_err(|_| Refusal::Invalid)?;
    if leaf.version != Version::Three || !leaf.is_key_supported() {
        return Err(Refusal::TypeUnsupported);
    }
    Ok(())
}

/// What a client sent, each certificate well formed. Too much is refused before it is read.
fn read_chain<'a>(chain: &'a [CertificateDer<'_>]) -> Result<Vec<Certificate<'a>>, Refusal> {
    if chain.len() > limits::CHAIN_CERTIFICATES_MAX {
        return Err(Refusal::MaxChainDepthExceeded);
    }
    if chain.iter().map(|der| der.len()).sum::<usize>() > limits::CHAIN_BYTES_MAX {
        return Err(Refusal::MaxSizeExceeded);
    }
    chain
        .iter()
        .map(|der| Certificate::read(CertificateDer::from(der.as_ref())))
        .collect::<Result<_, _>>()
        .map_err(|_| Refusal::Invalid)
}

/// Version, key and signature algorithm, before any of them costs anything.
fn check_form(certificate: &Certificate<'_>) -> Result<(), Refusal> {
    let is_supported = certificate.version == Version::Three
        && certificate.is_key_supported()
        && certificate.signed().is_supported();
    if is_supported { Ok(()) } else { Err(Refusal::TypeUnsupported) }
}

/// The search for a path that is accepted.
struct Search<'a, 't, T> {
    store: &'a Store,
    /// What the client sent after its leaf, in any order.
    sent: &'a [Certificate<'a>],
    conditions: &'a Conditions,
    now: UnixTime,
    /// Signatures that may still be checked.
    checks_left: usize,
    /// The most telling refusal so far.
    refusal: Refusal,
    trace: &'t mut T,
}

impl<'a, 't, T: Trace> Search<'a, 't, T> {
    fn new(
        store: &'a Store,
        sent: &'a [Certificate<'a>],
        conditions: &'a Conditions,
        now: UnixTime,
        trace: &'t mut T,
    ) -> Self {
        let checks_left = limits::SIGNATURE_CHECKS_MAX;
        Self { store, sent, conditions, now, checks_left, refusal: Refusal::Untrusted, trace }
    }

    /// Goes on from the last certificate of `path`: to the anchors that signed it, then to other CAs.
    /// Recurses at most `limits::INTERMEDIATES_MAX` deep.
    fn climb(&mut self, path: &mut Vec<&'a Certificate<'a>>) -> Option<Accepted> {
        let head = *path.last()?;
        let store = self.store;
        self.trace.tell(Event::Reached { path });
        for ca in store.bundle.named(head.issuer()) {
            if let Some(anchor) = &ca.anchor
                && self.is_signed_by(path, &ca.certificate)
            {
                let judged = self.judge_path(path, ca, anchor);
                let (refusal, authority) = (judged.as_ref().err().copied(), &anchor.authority);
                self.trace.tell(Event::Judged { path, anchor: ca, authority, refusal });
                match judged {
                    Ok(accepted) => return Some(accepted),
                    Err(refusal) => self.note(refusal),
                }
            }
        }
        let helpers = store.bundle.named(head.issuer()).filter(|ca| ca.anchor.is_none());
        let sent = self.sent.iter().filter(|sent| sent.subject() == head.issuer());
        for issuer in helpers.map(|ca| &ca.certificate).chain(sent) {
            // An authority that stands in the path already would close a circle. A root that the client
            // sends along has had its turn as an anchor.
            let is_known = path.iter().any(|below| below.is_same_authority(issuer))
                || (issuer.is_self_issued() && store.bundle.anchors(issuer));
            if is_known {
                continue;
            }
            if let Err(refusal) = check_form(issuer) {
                self.note(refusal);
                self.pass_over(path, issuer, PassedOver::Form);
                continue;
            }
            if !self.is_signed_by(path, issuer) {
                continue;
            }
            if path.len() > limits::INTERMEDIATES_MAX {
                self.note(Refusal::MaxChainDepthExceeded);
                self.pass_over(path, issuer, PassedOver::TooDeep);
                continue;
            }
            path.push(issuer);
            let accepted = self.climb(path);
            path.pop();
            if accepted.is_some() {
                return accepted;
            }
        }
        None
    }

    /// Whether the issuer's key made the signature of the last of `path`. One that did not, though the
    /// names agree and the key identifiers do not differ, makes it a bad certificate, unless a path is
    /// found elsewhere.
    fn is_signed_by(&mut self, path: &[&Certificate<'_>], issuer: &Certificate<'_>) -> bool {
        let Some(certificate) = path.last() else { return false };
        if certificate.names_another_key(issuer) {
            self.pass_over(path, issuer, PassedOver::OtherKey);
            return false;
        }
        let Some(checks_left) = self.checks_left.checked_sub(1) else {
            self.pass_over(path, issuer, PassedOver::ChecksSpent);
            return false;
        };
        self.checks_left = checks_left;
        let is_good = certificate.signed().is_known_to_be_by(&issuer.key());
        if !is_good {
            self.pass_over(path, issuer, PassedOver::NotSigned);
        }
        // A root that the client brought along signed itself, and that is no forgery.
        if !is_good && !certificate.is_self_issued() {
            self.note(Refusal::Invalid);
        }
        is_good
    }

    fn pass_over(&mut self, path: &[&Certificate<'_>], issuer: &Certificate<'_>, why: PassedOver) {
        self.trace.tell(Event::PassedOver { path, issuer, why });
    }

    fn note(&mut self, refusal: Refusal) {
        if telling(refusal) > telling(self.refusal) {
            self.refusal = refusal;
        }
    }

    /// Judges one path, leaf first, that ends below `anchor`: first what costs nothing.
    fn judge_path(
        &mut self,
        path: &[&Certificate<'_>],
        ca: &Ca,
        anchor: &Anchor,
    ) -> Result<Accepted, Refusal> {
        let (leaf, intermediates) = path.split_first().ok_or(Refusal::Missing)?;
        let validities = intermediates.iter().map(|certificate| certificate.validity());
        let top = ca.certificate.validity();
        let forgiven = self.conditions.forgiven();
        let until = validity::check(leaf.validity(), validities, top, forgiven, self.now)?;
        check_purposes(leaf, intermediates, &ca.certificate)?;
        check_anchor_path_length(intermediates, &ca.certificate)?;
        policy::check(path).inspect_err(|_| self.trace.tell(Event::Policies))?;
        self.verify(leaf, intermediates, anchor)?;
        if !self.conditions.filters.allow(leaf) {
            return Err(Refusal::Rejected);
        }
        let until = self.check_revocations(path, &ca.certificate, &anchor.authority, until)?;
        let is_alone = self.is_alone(path, ca);
        let filters = self.conditions.filters.fingerprint();
        Ok(Accepted { until, path: Path::of(path, ca, &self.store.bundle, is_alone, filters) })
    }

    /// No certificate of the path is revoked, and the lists of every issuer are what the store asks for;
    /// answers until when time changes neither that nor what held `until` then.
    fn check_revocations(
        &mut self,
        path: &[&Certificate<'_>],
        anchor: &Certificate<'_>,
        authority: &Authority,
        until: UnixTime,
    ) -> Result<UnixTime, Refusal> {
        let Store { revocations, rules, .. } = self.store;
        let issuers = path.iter().skip(1).copied().chain([anchor]).map(Issuer::of);
        let issued = path.iter().zip(issuers).map(|(below, issuer)| Issued::of(below, issuer));
        revocations.check(issued.clone(), authority, *rules, self.now).map_err(|hit| {
            self.trace.tell(match hit {
                Hit::Revoked { position, reason } => Event::Revoked { position, reason },
                Hit::Unvouched { position } => Event::Unvouched { position },
            });
            hit.refusal()
        })?;
        Ok(revocations.hold_until(until, issued, authority, *rules, self.now))
    }

    /// Whether the search can find no other path than this one to `anchor`, however often it looks.
    fn is_alone(&self, path: &[&Certificate<'_>], anchor: &Ca) -> bool {
        let issuers = path.iter().skip(1).copied().chain([&anchor.certificate]);
        path.iter().zip(issuers).all(|(certificate, issuer)| {
            let is_it = |candidate: &Certificate<'_>| candidate.der() == issuer.der();
            // A root that the client sends along is passed over, another anchor climbed from.
            let may_be_sent = issuer.is_self_issued() || !self.store.bundle.anchors(issuer);
            let name = certificate.issuer();
            let mut sent = self.sent.iter().filter(|sent| sent.subject() == name);
            self.store.bundle.named(name).all(|ca| is_it(&ca.certificate))
                && sent.all(|sent| is_it(sent) && may_be_sent)
        })
    }

    /// webpki's part. It takes one time for the whole path; where an expiry is forgiven that is the last
    /// second before. The real time has been judged already.
    fn verify(
        &mut self,
        leaf: &Certificate<'_>,
        intermediates: &[&Certificate<'_>],
        anchor: &Anchor,
    ) -> Result<(), Refusal> {
        let path = intermediates.iter().chain([&leaf]);
        let time = path.map(|certificate| certificate.not_after).fold(self.now, UnixTime::min);
        let intermediates: Vec<_> = intermediates
            .iter()
            .map(|certificate| CertificateDer::from(certificate.der()))
            .collect();
        let leaf = CertificateDer::from(leaf.der());
        webpki::EndEntityCert::try_from(&leaf)
            .and_then(|leaf| {
                let anchors = std::slice::from_ref(&anchor.for_webpki);
                let usage = PurposesAreJudged;
                leaf.verify_for_usage(REMEMBERED, anchors, &intermediates, time, usage, None, None)
                    .map(|_| ())
            })
            .map_err(|error| {
                self.trace.tell(Event::Library(&error));
                refusal_of(&error)
            })
    }
}

/// [`check_purposes`] knows anyExtendedKeyUsage and looks at anchors as well; webpki need not ask again.
struct PurposesAreJudged;

impl webpki::ExtendedKeyUsageValidator for PurposesAreJudged {
    fn validate(&self, _: webpki::KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

/// keyUsage and extendedKeyUsage, of the anchor too.
///
/// A leaf signs its handshake, for which RFC 8446, section 4.4.2.2, wants digitalSignature; keyAgreement
/// alone is let pass as OpenSSL and AWS-LC do (X509_check_purpose(3)), so that a client which works
/// with ALB works here.
fn check_purposes(
    leaf: &Certificate<'_>,
    intermediates: &[&Certificate<'_>],
    anchor: &Certificate<'_>,
) -> Result<(), Refusal> {
    let signs = |usage| leaf.extensions.allows(usage);
    let is_leaf_good = (signs(KeyUsage::DigitalSignature) || signs(KeyUsage::KeyAgreement))
        && leaf.extensions.allows_client_authentication();
    let are_issuers_good = intermediates.iter().copied().chain([anchor]).all(|issuer| {
        issuer.extensions.allows(KeyUsage::CertificateSign)
            && issuer.extensions.allows_client_authentication()
    });
    if is_leaf_good && are_issuers_good { Ok(()) } else { Err(Refusal::PurposeInvalid) }
}

/// The anchor's pathLenConstraint, which webpki does not see. Self-issued certificates do not count
/// (RFC 5280, section 4.2.1.9).
fn check_anchor_path_length(
    intermediates: &[&Certificate<'_>],
    anchor: &Certificate<'_>,
) -> Result<(), Refusal> {
    let length = intermediates.iter().filter(|certificate| !certificate.is_self_issued()).count();
    match anchor.extensions.path_length_max {
        Some(max) if length > max => Err(Refusal::Invalid),
        _ => Ok(()),
    }
}

/// Which of several refusals says most: the path that came furthest, in the order of judging.
const fn telling(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::CrlHit => 8,
        Refusal::CrlProcessingError | Refusal::Rejected => 7,
        Refusal::Expired | Refusal::NotYetValid => 6,
        Refusal::PurposeInvalid => 5,
        Refusal::MaxChainDepthExceeded | Refusal::MaxSizeExceeded => 4,
        Refusal::TypeUnsupported | Refusal::Incompatible => 3,
        Refusal::Invalid => 2,
        Refusal::Untrusted => 1,
        Refusal::Missing => 0,
    }
}

/// What webpki's errors are called by ALB.
#[expect(clippy::wildcard_enum_match_arm, reason = "webpki may add errors; they refuse as Invalid")]
fn refusal_of(error: &webpki::Error) -> Refusal {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } => Refusal::Expired,
        Error::CertNotValidYet { .. } => Refusal::NotYetValid,
        Error::CertRevoked => Refusal::CrlHit,
        Error::UnknownRevocationStatus | Error::CrlExpired { .. } => Refusal::CrlProcessingError,
        Error::UnknownIssuer
        | Error::CertDistrusted
        | Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded => Refusal::Untrusted,
        Error::MaximumPathDepthExceeded => Refusal::MaxChainDepthExceeded,
        Error::CaUsedAsEndEntity
        | Error::EndEntityUsedAsCa
        | Error::EmptyEkuExtension
        | Error::RequiredEkuNotFoundContext(_) => Refusal::PurposeInvalid,
        Error::UnsupportedCertVersion
        | Error::UnsupportedCriticalExtension
        | Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Refusal::TypeUnsupported,
        // Malformed, wrongly signed, or against a constraint on names or path lengths.
        _ => Refusal::Invalid,
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
