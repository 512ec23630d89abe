//! The verdict on a client's chain.
#![expect(clippy::todo, reason = "interface only")]
use super::{Bundle, Refusal, Revocations};
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
}

/// What a listener asks of a chain beyond the store's rules.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Conditions {
    /// Forgive the leaf's notAfter, and nothing else (`ignore_client_certificate_expiry`).
    pub ignore_client_certificate_expiry: bool,
}

/// A chain that was accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Accepted {
    /// When the first certificate of the path expires.
    pub not_after: UnixTime,
}

impl Store {
    /// Judges a chain, leaf first, as the client sent it.
    ///
    /// # Errors
    /// Why the client is refused.
    pub fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        conditions: Conditions,
        now: UnixTime,
    ) -> Result<Accepted, Refusal> {
        let _ = (chain, conditions, now);
        todo!()
    }
}

/// What `passthrough` still asks of a leaf: X.509 version 3 and a key of a supported kind and size.
///
/// # Errors
/// [`Refusal::TypeUnsupported`], [`Refusal::Invalid`].
pub fn judge_form(leaf: &CertificateDer<'_>) -> Result<(), Refusal> {
    let _ = leaf;
    todo!()
}
