//! Why a client certificate is refused: ALB's code, and the TLS alert.
use rustls::CertificateError;

/// Why a client was refused. `code` is what logs, metrics and the `http` refusal say.
/// Source: ALB guide, connection logs, "error reason codes".
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// More intermediates than `limits::INTERMEDIATES_MAX`.
    #[error("the chain is too long")]
    MaxChainDepthExceeded,
    /// The chain, or the headers made from it, are over their limit.
    #[error("the certificates are too large")]
    MaxSizeExceeded,
    /// A certificate of the path is on a revocation list.
    #[error("revoked")]
    CrlHit,
    /// A revocation list could not be judged.
    #[error("the revocation lists cannot be judged")]
    CrlProcessingError,
    /// No path to the trust store.
    #[error("no path to a trusted root")]
    Untrusted,
    /// notBefore lies ahead.
    #[error("not yet valid")]
    NotYetValid,
    /// notAfter has passed.
    #[error("expired")]
    Expired,
    /// A kind of key, signature or certificate version that is not accepted.
    #[error("the kind of key or certificate is not supported")]
    TypeUnsupported,
    /// Malformed, or a bad signature.
    #[error("malformed or wrongly signed")]
    Invalid,
    /// Not for client authentication.
    #[error("not for client authentication")]
    PurposeInvalid,
    /// Refused by a condition of the listener's.
    #[error("refused by a condition")]
    Rejected,
    /// It does not fit the listener's security policy.
    #[error("does not fit the security policy")]
    Incompatible,
    /// The client sent no certificate.
    #[error("no certificate")]
    Missing,
}

impl Refusal {
    /// Every refusal, in the order of [`Refusal::index`].
    pub const ALL: [Self; 13] = [
        Self::MaxChainDepthExceeded,
        Self::MaxSizeExceeded,
        Self::CrlHit,
        Self::CrlProcessingError,
        Self::Untrusted,
        Self::NotYetValid,
        Self::Expired,
        Self::TypeUnsupported,
        Self::Invalid,
        Self::PurposeInvalid,
        Self::Rejected,
        Self::Incompatible,
        Self::Missing,
    ];

    /// Position in [`Refusal::ALL`], for arrays of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// ALB's reason code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::MaxChainDepthExceeded => "ClientCertMaxChainDepthExceeded",
            Self::MaxSizeExceeded => "ClientCertMaxSizeExceeded",
            Self::CrlHit => "ClientCertCrlHit",
            Self::CrlProcessingError => "ClientCertCrlProcessingError",
            Self::Untrusted => "ClientCertUntrusted",
            Self::NotYetValid => "ClientCertNotYetValid",
            Self::Expired => "ClientCertExpired",
            Self::TypeUnsupported => "ClientCertTypeUnsupported",
            Self::Invalid => "ClientCertInvalid",
            Self::PurposeInvalid => "ClientCertPurposeInvalid",
            Self::Rejected => "ClientCertRejected",
            Self::Incompatible => "ClientCertIncompatible",
            // ALB has no code of its own for a missing certificate.
            Self::Missing => "UnmappedConnectionError",
        }
    }

    /// What rustls is told, which chooses the alert (RFC 8446, section 6.2). A missing certificate is
    /// rustls' own to report (`certificate_required`).
    pub fn certificate_error(self) -> CertificateError {
        match self {
            Self::CrlHit => CertificateError::Revoked,
            Self::Expired => CertificateError::Expired,
            Self::NotYetValid => CertificateError::NotValidYet,
            Self::Untrusted | Self::CrlProcessingError | Self::MaxChainDepthExceeded => {
                CertificateError::UnknownIssuer
            }
            Self::PurposeInvalid | Self::TypeUnsupported | Self::Incompatible => {
                CertificateError::InvalidPurpose
            }
            Self::Invalid | Self::MaxSizeExceeded => CertificateError::BadEncoding,
            Self::Rejected | Self::Missing => CertificateError::ApplicationVerificationFailure,
        }
    }
}
