//! Server certificates: loading, and the choice among several by SNI as ALB makes it.
#![expect(clippy::todo, reason = "interface only")]
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::UnixTime;
use std::sync::Arc;

/// A server certificate: chain and key, held by name.
#[derive(Debug)]
pub struct Certificate {
    /// The name that listeners use.
    pub name: Arc<str>,
    /// Chain and key for rustls.
    pub key: Arc<CertifiedKey>,
    /// notAfter of the leaf.
    pub not_after: UnixTime,
    /// DNS names that it answers for, as written in it (SAN; CN when there is no SAN).
    pub server_names: Vec<String>,
}

/// Why a certificate or key cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateFault {
    /// The chain file.
    #[error("{0}")]
    Chain(String),
    /// The key file.
    #[error("{0}")]
    Key(String),
}

impl Certificate {
    /// Reads a PEM chain (leaf first) and its PEM key (PKCS#8, PKCS#1, SEC1).
    ///
    /// # Errors
    /// All faults: what is wrong with the chain, the key, or that the two do not belong together.
    pub fn from_pem(
        name: Arc<str>,
        chain_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<Self, Vec<CertificateFault>> {
        let _ = (name, chain_pem, key_pem);
        todo!()
    }
}

/// The certificates of one listener; the first is the default.
#[derive(Debug)]
pub struct Resolver(());

impl Resolver {
    /// At least one certificate.
    pub fn new(certificates: Vec<Arc<Certificate>>) -> Self {
        let _ = certificates;
        todo!()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let _ = client_hello;
        todo!()
    }
}
