//! Which signatures are accepted, and checking one.
//!
//! Source: ALB guide, "mutual TLS": SHA-256, -384 and -512 with RSA (PKCS #1 and PSS) and with ECDSA.
use super::memory::Remembering;
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::aws_lc_rs as algorithms;

/// A public key, as it stands in a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    /// The content of its AlgorithmIdentifier.
    pub(super) algorithm: &'a [u8],
    /// The key itself.
    pub(super) bits: &'a [u8],
}

/// What was signed, how, and the signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    pub(super) message: &'a [u8],
    /// The content of the AlgorithmIdentifier.
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl Signed<'_> {
    /// Whether the algorithm is one of the accepted ones.
    pub(super) fn is_supported(&self) -> bool {
        CHECKED.iter().any(|known| known.signature_alg_id().as_ref() == self.algorithm)
    }

    /// Whether `key` made the signature; always computed. For load, where messages are large and rare.
    pub(super) fn is_by(&self, key: &Key<'_>) -> bool {
        self.verify(key, CHECKED)
    }

    /// Whether `key` made the signature; a signature found good before is looked up. For verdicts.
    pub(super) fn is_known_to_be_by(&self, key: &Key<'_>) -> bool {
        self.verify(key, REMEMBERED)
    }

    fn verify(&self, key: &Key<'_>, list: &[&dyn SignatureVerificationAlgorithm]) -> bool {
        list.iter()
            .filter(|known| known.signature_alg_id().as_ref() == self.algorithm)
            .filter(|known| known.public_key_alg_id().as_ref() == key.algorithm)
            .any(|known| known.verify_signature(key.bits, self.message, self.signature).is_ok())
    }
}

macro_rules! accepted {
    ($($name:ident),+ $(,)?) => {
        static CHECKED: &[&dyn SignatureVerificationAlgorithm] = &[$(algorithms::$name),+];

        /// The accepted algorithms, each asking the thread's memory first.
        pub(super) static REMEMBERED: &[&dyn SignatureVerificationAlgorithm] =
            &[$(&Remembering(algorithms::$name)),+];
    };
}

// The likely ones first: webpki goes through the list in order.
accepted!(
    ECDSA_P256_SHA256,
    ECDSA_P384_SHA384,
    RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512,
    ECDSA_P256_SHA384,
    ECDSA_P256_SHA512,
    ECDSA_P384_SHA256,
    ECDSA_P384_SHA512,
    ECDSA_P521_SHA256,
    ECDSA_P521_SHA384,
    ECDSA_P521_SHA512,
    RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
);
