//! Server certificates: a PEM chain and its key, read and checked.
//!
//! Pure. Configuration calls [`Certificate::from_pem`] on the control thread; listeners offer what it
//! makes through `Resolver`. An expired certificate loads: the old one may be the only one there is,
//! and its notAfter is shown to the operator.
//! Bounds: RSA keys of `limits::SERVER_RSA_KEY_BITS_MIN` to `limits::SERVER_RSA_KEY_BITS_MAX`.
//! Source: Application Load Balancer guide, "SSL certificates": RSA and ECDSA, no Ed25519.
use super::names;
use crate::limits::{SERVER_RSA_KEY_BITS_MAX, SERVER_RSA_KEY_BITS_MIN};
use rustls::SignatureAlgorithm as KeyAlgorithm;
use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::oid_registry::{self as oid, Oid};
use x509_parser::prelude::{
    AlgorithmIdentifier, FromDer, GeneralName, ParsedExtension, X509Certificate, X509Version,
};
use x509_parser::public_key::{PublicKey, RSAPublicKey};
use x509_parser::signature_algorithm::SignatureAlgorithm;

/// A server certificate: chain and key, held by name.
#[derive(Debug)]
pub struct Certificate {
    /// The name that listeners use.
    pub name: Arc<str>,
    /// Chain and key for rustls.
    pub key: Arc<CertifiedKey>,
    /// notAfter of the leaf.
    pub not_after: UnixTime,
    /// The earliest notAfter of the certificates behind the leaf, where there are any.
    pub chain_not_after: Option<UnixTime>,
    /// DNS names that it answers for, as written in it (SAN; CN when there is no SAN). What is no DNS
    /// name, or no wildcard of one leftmost label, answers for nothing and is not among them.
    pub server_names: Vec<String>,
    /// What decides between several that answer for a name.
    pub(super) merit: Merit,
}

/// What ALB compares between certificates for one name, apart from time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Merit {
    /// An ECDSA key; else RSA.
    pub(super) ecdsa: bool,
    /// Bits of the hash in the certificate's signature.
    pub(super) hash_bits: u16,
    /// Length of the key.
    pub(super) key_bits: usize,
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
        let mut chain_faults = Vec::new();
        let mut key_faults = Vec::new();
        let chain = read_chain(chain_pem, &mut chain_faults);
        let parsed = parse_chain(&chain, &mut chain_faults);
        let merit = parsed.first().and_then(|leaf| judge_leaf(leaf, &mut chain_faults));
        let key = read_key(key_pem, &mut key_faults);
        if let Some(key) = &key {
            match key_owner(&parsed, key.as_ref()) {
                // A key can only be strange to a chain that could be read.
                None if chain_faults.is_empty() => {
                    key_faults.push("the key does not belong to the certificate".to_owned());
                }
                None | Some(0) => {}
                Some(index) => chain_faults.push(format!(
                    "the key belongs to certificate {} of the chain: put that one first, and after \
                     each certificate its issuer's",
                    index + 1
                )),
            }
        }
        let Some(((leaf, merit), key)) = parsed
            .first()
            .zip(merit)
            .zip(key)
            .filter(|_| chain_faults.is_empty() && key_faults.is_empty())
        else {
            let chain_faults = chain_faults.into_iter().map(CertificateFault::Chain);
            return Err(chain_faults
                .chain(key_faults.into_iter().map(CertificateFault::Key))
                .collect());
        };
        Ok(Self {
            name,
            not_after: not_after(leaf),
            chain_not_after: parsed.iter().skip(1).map(not_after).min(),
            server_names: server_names(leaf),
            merit,
            key: Arc::new(CertifiedKey::new(chain.clone(), key)),
        })
    }
}

/// A year before 1970 counts as 1970.
fn not_after(certificate: &X509Certificate<'_>) -> UnixTime {
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default();
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// All certificates of the file; other blocks of it are not ours.
fn read_chain(chain_pem: &[u8], faults: &mut Vec<String>) -> Vec<CertificateDer<'static>> {
    let chain: Vec<_> = blocks(chain_pem, faults)
        .into_iter()
        .filter_map(|(kind, der)| CertificateDer::from_pem(kind, der))
        .collect();
    if chain.is_empty() && faults.is_empty() {
        faults.push(
            match is_der(chain_pem) {
                true => {
                    "the file is DER; `openssl x509 -inform DER` makes the PEM file that is needed"
                }
                false => "the file holds no certificate (no BEGIN CERTIFICATE line)",
            }
            .to_owned(),
        );
    }
    chain
}

/// Every certificate of the chain, or none: positions would no longer mean anything.
fn parse_chain<'a>(
    chain: &'a [CertificateDer<'_>],
    faults: &mut Vec<String>,
) -> Vec<X509Certificate<'a>> {
    let mut parsed = Vec::with_capacity(chain.len());
    for (index, der) in chain.iter().enumerate() {
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => parsed.push(certificate),
            Ok(_) | Err(_) => {
                faults.push(format!("certificate {} of the chain is malformed", index + 1));
            }
        }
    }
    if parsed.len() == chain.len() { parsed } else { Vec::new() }
}

/// Whether listeners can serve a leaf of this version and key.
fn judge_leaf(leaf: &X509Certificate<'_>, faults: &mut Vec<String>) -> Option<Merit> {
    if leaf.version() != X509Version::V3 {
        faults.push(format!(
            "the certificate is X.509 version {}, and TLS needs version 3: sign it again with \
             `openssl x509 -req -extfile FILE`, where FILE says `subjectAltName = DNS:your.name`",
            leaf.version().0.saturating_add(1)
        ));
    }
    let hash_bits = hash_bits(&leaf.signature_algorithm);
    match leaf.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => {
            let key_bits = modulus_bits(&key);
            if !(SERVER_RSA_KEY_BITS_MIN..=SERVER_RSA_KEY_BITS_MAX).contains(&key_bits) {
                faults.push(format!(
                    "the certificate has an RSA key of {key_bits} bits; RSA keys of \
                     {SERVER_RSA_KEY_BITS_MIN} to {SERVER_RSA_KEY_BITS_MAX} bits are served"
                ));
            }
            Some(Merit { ecdsa: false, hash_bits, key_bits })
        }
        Ok(PublicKey::EC(point)) => {
            Some(Merit { ecdsa: true, hash_bits, key_bits: point.key_size() })
        }
        Ok(_) | Err(_) => {
            faults.push(format!("the certificate's key is of another kind than {KEY_KINDS}"));
            None
        }
    }
}

/// The one private key of the file, of a kind that listeners serve.
fn read_key(key_pem: &[u8], faults: &mut Vec<String>) -> Option<Arc<dyn SigningKey>> {
    let encrypted = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];
    if encrypted.iter().any(|mark| contains(key_pem, mark.as_bytes())) {
        faults.push(
            "the key is encrypted, and nobody is there to type its passphrase: decrypt it with \
             `openssl pkey -in KEY -out DECRYPTED` and keep that file readable by the node alone"
                .to_owned(),
        );
        return None;
    }
    let mut keys = blocks(key_pem, faults)
        .into_iter()
        .filter_map(|(kind, der)| PrivateKeyDer::from_pem(kind, der));
    let (first, second) = (keys.next(), keys.next());
    let Some(first) = first else {
        if faults.is_empty() {
            faults.push(match is_der(key_pem) {
                true => "the file is DER; `openssl pkey -inform DER` makes the PEM file that is needed",
                false => "the file holds no private key (no BEGIN PRIVATE KEY line)",
            }
            .to_owned());
        }
        return None;
    };
    if second.is_some() {
        faults.push("the file holds several private keys".to_owned());
        return None;
    }
    let loaded = aws_lc_rs::default_provider().key_provider.load_private_key(first).ok();
    let served = [KeyAlgorithm::RSA, KeyAlgorithm::ECDSA];
    let key = loaded.filter(|key| served.contains(&key.algorithm()));
    if key.is_none() {
        faults.push(format!("the key is malformed, or of another kind than {KEY_KINDS}"));
    }
    key
}

/// Which certificate of the chain the key belongs to.
fn key_owner(chain: &[X509Certificate<'_>], key: &dyn SigningKey) -> Option<usize> {
    let public_key = key.public_key()?;
    chain.iter().position(|certificate| certificate.public_key().raw == public_key.as_ref())
}

/// The names that a leaf answers for.
///
/// RFC 6125, section 6.4.4: the CN counts only where there is no subjectAltName at all.
fn server_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let is_name = |name: &&str| {
        let name = name.strip_prefix("*.").unwrap_or(name);
        names::normal(name).is_some()
    };
    let mut alternative =
        leaf.extensions().iter().filter(|one| one.oid == oid::OID_X509_EXT_SUBJECT_ALT_NAME);
    let written: Vec<&str> = match alternative.next().map(|one| one.parsed_extension()) {
        None => leaf.subject().iter_common_name().filter_map(|cn| cn.as_str().ok()).collect(),
        Some(ParsedExtension::SubjectAlternativeName(names)) => names
            .general_names
            .iter()
            .filter_map(
                |name| if let GeneralName::DNSName(name) = name { Some(*name) } else { None },
            )
            .collect(),
        Some(_) => Vec::new(),
    };
    written.into_iter().filter(is_name).map(str::to_owned).collect()
}

/// Bits of the hash in a signature; 0 for an unknown one.
fn hash_bits(algorithm: &AlgorithmIdentifier<'_>) -> u16 {
    let by_oid = |oid: &Oid<'_>| HASH_BITS.iter().find(|row| row.0 == *oid).map_or(0, |row| row.1);
    if let Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) = SignatureAlgorithm::try_from(algorithm)
    {
        return by_oid(parameters.hash_algorithm_oid());
    }
    by_oid(&algorithm.algorithm)
}

fn modulus_bits(key: &RSAPublicKey<'_>) -> usize {
    let digits = key.modulus.iter().skip_while(|byte| **byte == 0);
    let first_zeros = digits.clone().next().map_or(0, |byte| byte.leading_zeros() as usize);
    digits.count() * 8 - first_zeros
}

/// The PEM blocks of a file; each broken one is a fault.
fn blocks(pem: &[u8], faults: &mut Vec<String>) -> Vec<(SectionKind, Vec<u8>)> {
    // Editors put a byte-order mark there, which would hide the first block.
    let pem = pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem);
    let mut blocks = Vec::new();
    for (index, block) in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem).enumerate() {
        match block {
            Ok(block) => blocks.push(block),
            Err(error) => faults.push(format!("PEM block {} {}", index + 1, in_words(&error))),
        }
    }
    blocks
}

fn in_words(error: &pem::Error) -> &'static str {
    if matches!(error, pem::Error::MissingSectionEnd { .. }) {
        "has no END line"
    } else if matches!(error, pem::Error::IllegalSectionStart { .. }) {
        "has a malformed BEGIN line"
    } else {
        "is not base64"
    }
}

/// A DER file begins with the tag of a SEQUENCE, which no PEM file does.
fn is_der(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

const KEY_KINDS: &str = "RSA and ECDSA on P-256, P-384 or P-521";

/// Hashes by signature algorithm, and by themselves as RSASSA-PSS names them.
static HASH_BITS: [(Oid<'static>, u16); 11] = [
    (oid::OID_PKCS1_MD5WITHRSAENC, 128),
    (oid::OID_PKCS1_SHA1WITHRSA, 160),
    (oid::OID_PKCS1_SHA256WITHRSA, 256),
    (oid::OID_PKCS1_SHA384WITHRSA, 384),
    (oid::OID_PKCS1_SHA512WITHRSA, 512),
    (oid::OID_SIG_ECDSA_WITH_SHA256, 256),
    (oid::OID_SIG_ECDSA_WITH_SHA384, 384),
    (oid::OID_SIG_ECDSA_WITH_SHA512, 512),
    (oid::OID_NIST_HASH_SHA256, 256),
    (oid::OID_NIST_HASH_SHA384, 384),
    (oid::OID_NIST_HASH_SHA512, 512),
];

#[cfg(test)]
mod tests;
