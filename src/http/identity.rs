//! Identity headers: what targets are told about the client's certificate, and the removal of every
//! copy that a client could have sent. Source: `alb-contract.md`, sections 1.3 and 1.4.
#![expect(clippy::todo, reason = "interface only")]
use crate::trust::{Facts, Refusal};
use rustls_pki_types::CertificateDer;

/// The names of the identity headers of one listener (defaults are ALB's).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names {
    /// `X-Amzn-Mtls-Clientcert-Serial-Number`
    pub serial_number: String,
    /// `X-Amzn-Mtls-Clientcert-Issuer`
    pub issuer: String,
    /// `X-Amzn-Mtls-Clientcert-Subject`
    pub subject: String,
    /// `X-Amzn-Mtls-Clientcert-Validity`
    pub validity: String,
    /// `X-Amzn-Mtls-Clientcert-Leaf`
    pub leaf: String,
    /// `X-Amzn-Mtls-Clientcert` (passthrough: the whole chain)
    pub chain: String,
    /// `X-Amzn-Tls-Version`
    pub tls_version: String,
    /// `X-Amzn-Tls-Cipher-Suite`
    pub tls_cipher_suite: String,
}

impl Default for Names {
    fn default() -> Self {
        todo!()
    }
}

/// Names that no client may send: the defaults and those of every listener, `-` and `_` folded, any
/// case.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Forbidden(());

impl Forbidden {
    /// All default names and those given.
    pub fn new<'a>(listeners: impl IntoIterator<Item = &'a Names>) -> Self {
        let _ = listeners.into_iter();
        todo!()
    }
    /// Whether a client's header of this name is removed.
    pub fn contains(&self, name: &str) -> bool {
        let _ = name;
        todo!()
    }
}

/// The five `verify` header lines, each ended by CRLF.
///
/// # Errors
/// [`Refusal::MaxSizeExceeded`] over `limits::IDENTITY_BYTES_MAX`.
pub fn verified(
    names: &Names,
    facts: &Facts,
    leaf: &CertificateDer<'_>,
) -> Result<Vec<u8>, Refusal> {
    let _ = (names, facts, leaf);
    todo!()
}

/// The one `passthrough` header line: the whole chain as the client sent it.
///
/// # Errors
/// [`Refusal::MaxSizeExceeded`] over `limits::IDENTITY_BYTES_MAX`.
pub fn passed_through(names: &Names, chain: &[CertificateDer<'_>]) -> Result<Vec<u8>, Refusal> {
    let _ = (names, chain);
    todo!()
}
