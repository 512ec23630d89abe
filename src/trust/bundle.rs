//! A trust store's CA bundle: which certificates anchor, which help to build paths.
#![expect(clippy::todo, reason = "interface only")]
use rustls_pki_types::UnixTime;

/// A checked CA bundle.
#[derive(Debug)]
pub struct Bundle(());

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
        let _ = (pem, now);
        todo!()
    }
    /// Number of CA certificates.
    pub fn ca_count(&self) -> usize {
        todo!()
    }
    /// The earliest notAfter of its certificates.
    pub fn earliest_expiry(&self) -> UnixTime {
        todo!()
    }
    /// DER subjects, for the CertificateRequest.
    pub fn subjects(&self) -> Vec<rustls::DistinguishedName> {
        todo!()
    }
    /// Subjects (RFC 2253) of CA certificates that anchor though they are not self-signed, because the
    /// bundle holds no issuer for them.
    pub fn partial_anchors(&self) -> Vec<String> {
        todo!()
    }
}
