//! rustls' door to our verdict. A verifier lives as long as its `ServerConfig` and so must not own
//! trust; it asks the [`Judge`] of the handshake that is being driven on this thread.
//!
//! rustls calls the verifier synchronously from `process_tls_records`, so whoever drives a handshake
//! wraps that call in [`under`] and is asked back about its own client. Here stands also which
//! signatures a client may prove its key with; those checks are never remembered.
use crate::trust::Refusal;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use webpki::aws_lc_rs as algorithm;

/// Judges a client in the handshake that it belongs to: its chain, and its way round it, a ticket.
pub trait Judge {
    /// Called once the client's Certificate message is whole; `chain` is leaf first.
    ///
    /// # Errors
    /// Why the handshake is refused; rustls then sends the alert of [`Refusal::certificate_error`].
    fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Refusal>;

    /// The ticket with which the client may come back to this session; `None` gives it none.
    fn seal(&self, _session: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// The session of a ticket that the client brought; `None` makes it shake hands in full. rustls may
    /// ask about several, and may make nothing of what it is given.
    fn open(&self, _ticket: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// This server certificate is chosen for the client, because it answers for the name that the client
    /// gave, or as the default.
    fn chosen(&self, _certificate: &Arc<str>, _is_for_name: bool) {}

    /// The client is asked for a certificate, so that none of the sessions that it brought is resumed.
    fn requested(&self) {}
}

thread_local! {
    /// The judge of the handshake that this thread is driving.
    static JUDGE: RefCell<Option<Rc<dyn Judge>>> = const { RefCell::new(None) };
}

/// Runs `f` (which drives a handshake) with `judge` answering the verifier on this thread.
///
/// The judge before it answers again afterwards, also when `f` panics: the next connection of the
/// shard must not be judged as this one.
pub fn under<R>(judge: Rc<dyn Judge>, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(JUDGE.replace(Some(judge)));
    f()
}

/// Asks the judge of the handshake that this thread is driving; `None` when there is none.
pub(super) fn ask<R>(question: impl FnOnce(&dyn Judge) -> R) -> Option<R> {
    let answer = tell(question);
    debug_assert!(answer.is_some(), "a handshake that has questions runs under a judge");
    answer
}

/// The same for what the judge, if there is one, may know and need not answer.
pub(super) fn tell<R>(fact: impl FnOnce(&dyn Judge) -> R) -> Option<R> {
    // Not borrowed while it answers: a judge may itself drive a handshake.
    let judge = JUDGE.with_borrow(Clone::clone);
    judge.map(|judge| fact(&*judge))
}

/// Puts the outer judge back.
struct Restore(Option<Rc<dyn Judge>>);

impl Drop for Restore {
    fn drop(&mut self) {
        JUDGE.set(self.0.take());
    }
}

/// Whether a handshake asks for a client certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ask {
    /// Not at all.
    No,
    /// None is fine.
    Optional,
    /// None ends the handshake with `certificate_required`.
    Required,
}

/// What rustls is given as the verifier of a `ServerConfig`.
#[derive(Debug)]
pub struct Verifier {
    ask: Ask,
    advertised: Vec<DistinguishedName>,
}

impl Verifier {
    /// * `advertised`: CA names for the CertificateRequest; may be empty.
    pub fn new(ask: Ask, advertised: Vec<DistinguishedName>) -> Self {
        Self { ask, advertised }
    }
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        self.ask != Ask::No
    }

    fn client_auth_mandatory(&self) -> bool {
        self.ask == Ask::Required
    }

    /// rustls asks for these where it writes a CertificateRequest and nowhere else, which is in full
    /// handshakes alone.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        ask(|judge| judge.requested());
        &self.advertised
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain: Vec<_> = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|certificate| CertificateDer::from(certificate.as_ref()))
            .collect();
        match ask(|judge| judge.judge(&chain)) {
            Some(Ok(())) => Ok(ClientCertVerified::assertion()),
            Some(Err(refusal)) => Err(refusal.certificate_error().into()),
            None => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &SIGNATURES)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &SIGNATURES)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURES.supported_schemes()
    }
}

/// The signatures of a client: RSA of 2048 to 8192 bits (PKCS#1 and PSS) and ECDSA on P-256, P-384 and
/// P-521, with SHA-256, SHA-384 or SHA-512. No SHA-1, no Ed25519.
/// Source: ALB guide, "Mutual authentication with TLS", supported certificates.
///
/// Under TLS 1.2 the curve is not part of the scheme, so each ECDSA hash goes with each curve; TLS 1.3
/// takes the first entry of each only (RFC 8446, section 4.2.3).
pub static SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        algorithm::ECDSA_P256_SHA256,
        algorithm::ECDSA_P256_SHA384,
        algorithm::ECDSA_P256_SHA512,
        algorithm::ECDSA_P384_SHA256,
        algorithm::ECDSA_P384_SHA384,
        algorithm::ECDSA_P384_SHA512,
        algorithm::ECDSA_P521_SHA256,
        algorithm::ECDSA_P521_SHA384,
        algorithm::ECDSA_P521_SHA512,
        algorithm::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        algorithm::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        algorithm::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        algorithm::RSA_PKCS1_2048_8192_SHA256,
        algorithm::RSA_PKCS1_2048_8192_SHA384,
        algorithm::RSA_PKCS1_2048_8192_SHA512,
    ],
    mapping: &[
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[
                algorithm::ECDSA_P256_SHA256,
                algorithm::ECDSA_P384_SHA256,
                algorithm::ECDSA_P521_SHA256,
            ],
        ),
        (
            SignatureScheme::ECDSA_NISTP384_SHA384,
            &[
                algorithm::ECDSA_P384_SHA384,
                algorithm::ECDSA_P256_SHA384,
                algorithm::ECDSA_P521_SHA384,
            ],
        ),
        (
            SignatureScheme::ECDSA_NISTP521_SHA512,
            &[
                algorithm::ECDSA_P521_SHA512,
                algorithm::ECDSA_P384_SHA512,
                algorithm::ECDSA_P256_SHA512,
            ],
        ),
        (SignatureScheme::RSA_PSS_SHA256, &[algorithm::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA384, &[algorithm::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA512, &[algorithm::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[algorithm::RSA_PKCS1_2048_8192_SHA256]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[algorithm::RSA_PKCS1_2048_8192_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[algorithm::RSA_PKCS1_2048_8192_SHA512]),
    ],
};

#[cfg(test)]
mod tests;
