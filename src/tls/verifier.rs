//! rustls' door to our verdict. A verifier lives as long as its `ServerConfig` and so must not own
//! trust; it asks the [`Judge`] of the handshake that is being driven on this thread.
#![expect(clippy::todo, reason = "interface only")]
use crate::trust::Refusal;
use rustls_pki_types::CertificateDer;
use std::rc::Rc;

/// Judges a client's chain, in the handshake that it belongs to.
pub trait Judge {
    /// Called once the client's Certificate message is whole; `chain` is leaf first.
    ///
    /// # Errors
    /// Why the handshake is refused; rustls then sends the alert of [`Refusal::certificate_error`].
    fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Refusal>;
}

/// Runs `f` (which drives a handshake) with `judge` answering the verifier on this thread.
pub fn under<R>(judge: Rc<dyn Judge>, f: impl FnOnce() -> R) -> R {
    let _ = (judge, f);
    todo!()
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
