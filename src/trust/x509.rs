//! A certificate as the verdict needs it: where its fields stand, and what its extensions allow.
//!
//! One reader for what clients send and for bundles, so that load and verdict cannot disagree. webpki
//! reads every path once more before it is accepted; this reader serves what webpki does not look at
//! (key usage, anchors, version 1, key sizes), and the headers.
//! Source: RFC 5280, section 4.1; key kinds by `alb-contract`: RSA of 2048 to 8192 bits, P-256, P-384,
//! P-521.
#![deny(clippy::indexing_slicing)]
use super::der::{self, Malformed, Reader, Value};
use super::signature::{Key, Signed};
use super::validity::Validity;
use super::{name, time};
use rustls_pki_types::{CertificateDer, UnixTime, alg_id};
use std::ops::Range;

mod extensions;

pub(super) use extensions::{Extension, Extensions, KeyUsage, oid};

/// A certificate and where its fields stand.
#[derive(Clone, Debug)]
pub(super) struct Certificate<'a> {
    der: CertificateDer<'a>,
    pub(super) version: Version,
    tbs: Range<usize>,
    serial: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    key_info: Range<usize>,
    key_algorithm: Range<usize>,
    key: Range<usize>,
    signature_algorithm: Range<usize>,
    signature: Range<usize>,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    pub(super) extensions: Extensions,
}

/// X.509 version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    One,
    Two,
    Three,
}

/// The kind of a public key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KeyKind {
    Rsa { bits: usize },
    EllipticCurve,
    Other,
}

/// Sizes of RSA keys that are accepted.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

impl<'a> Certificate<'a> {
    /// Reads a certificate of any version.
    ///
    /// # Errors
    /// What is malformed, and where. Nothing may follow the certificate.
    pub(super) fn read(der: CertificateDer<'a>) -> Result<Self, Malformed> {
        let mut input = Reader::new(&der);
        let certificate = input.expect(der::SEQUENCE, "a certificate")?;
        input.finish("the end of the certificate")?;

        let mut outer = certificate.reader();
        let tbs = outer.expect(der::SEQUENCE, "the signed part of a certificate")?;
        let algorithm = outer.expect(der::SEQUENCE, "a signature algorithm")?;
        let signature = outer.expect(der::BIT_STRING, "a signature")?;
        signature.octets_of_bits("a signature of whole octets")?;
        outer.finish("the end of the certificate")?;

        let mut fields = tbs.reader();
        let version = read_version(&mut fields)?;
        let serial = fields.expect(der::INTEGER, "a serial number")?;
        if serial.content.is_empty() {
            return Err(serial.malformed("a serial number"));
        }
        let inner_algorithm = fields.expect(der::SEQUENCE, "a signature algorithm")?;
        if inner_algorithm.content != algorithm.content {
            return Err(inner_algorithm.malformed("the same signature algorithm inside and out"));
        }
        let issuer = fields.expect(der::SEQUENCE, "an issuer")?;
        let mut validity = fields.expect(der::SEQUENCE, "a validity")?.reader();
        let not_before = time::read(&mut validity, "notBefore")?;
        let not_after = time::read(&mut validity, "notAfter")?;
        validity.finish("the end of the validity")?;
        let subject = fields.expect(der::SEQUENCE, "a subject")?;
        name::check(issuer.reader())?;
        name::check(subject.reader())?;
        let key_info = fields.expect(der::SEQUENCE, "a public key")?;
        let mut key_fields = key_info.reader();
        let key_algorithm = key_fields.expect(der::SEQUENCE, "a key algorithm")?;
        let key = key_fields.expect(der::BIT_STRING, "a public key")?;
        key.octets_of_bits("a public key of whole octets")?;
        key_fields.finish("the end of the public key")?;
        let extensions = match (version, fields.optional(der::constructed(3), "extensions")?) {
            (Version::Three, Some(extensions)) => Extensions::read(&extensions)?,
            _ => Extensions::default(),
        };
        fields.finish("the end of the signed part")?;

        let after_unused_bits = |value: Value<'_>| {
            let range = value.content_range();
            range.start + 1..range.end
        };
        Ok(Self {
            version,
            tbs: tbs.range(),
            serial: serial.content_range(),
            issuer: issuer.content_range(),
            subject: subject.content_range(),
            key_info: key_info.content_range(),
            key_algorithm: key_algorithm.content_range(),
            key: after_unused_bits(key),
            signature_algorithm: algorithm.content_range(),
            signature: after_unused_bits(signature),
            not_before,
            not_after,
            extensions,
            der,
        })
    }

    /// The ranges come from reading these very bytes, so every one of them is there.
    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn validity(&self) -> Validity {
        Validity { not_before: self.not_before, not_after: self.not_after }
    }

    /// The serial number, as the INTEGER's content.
    pub(super) fn serial(&self) -> &[u8] {
        self.bytes(&self.serial)
    }

    /// The issuer, without its outer SEQUENCE, as webpki compares names.
    pub(super) fn issuer(&self) -> &[u8] {
        self.bytes(&self.issuer)
    }

    /// The subject, without its outer SEQUENCE.
    pub(super) fn subject(&self) -> &[u8] {
        self.bytes(&self.subject)
    }

    /// The subject's alternative names, one after the other; empty where there are none.
    pub(super) fn alternative_names(&self) -> &[u8] {
        self.extensions.alternative_names.as_ref().map_or(&[], |names| self.bytes(names))
    }

    /// The subjectPublicKeyInfo, without its outer SEQUENCE.
    pub(super) fn key_info(&self) -> &[u8] {
        self.bytes(&self.key_info)
    }

    pub(super) fn key(&self) -> Key<'_> {
        Key { algorithm: self.bytes(&self.key_algorithm), bits: self.bytes(&self.key) }
    }

    pub(super) fn signed(&self) -> Signed<'_> {
        Signed {
            message: self.bytes(&self.tbs),
            algorithm: self.bytes(&self.signature_algorithm),
            signature: self.bytes(&self.signature),
        }
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.subject() == self.issuer()
    }

    /// Whether it says that another key than this issuer's signed it: RFC 5280, sections 4.2.1.1 and
    /// 4.2.1.2. OpenSSL and AWS-LC do not take such a CA for its issuer either.
    pub(super) fn names_another_key(&self, issuer: &Certificate<'_>) -> bool {
        self.names_key_of(issuer) == Some(false)
    }

    /// Whether it says that this issuer's key signed it; `None` where one of them says nothing.
    pub(super) fn names_key_of(&self, issuer: &Certificate<'_>) -> Option<bool> {
        let wanted = self.extensions.authority_key_id.as_ref().map(|range| self.bytes(range))?;
        let offered = issuer.extensions.subject_key_id.as_ref().map(|range| issuer.bytes(range))?;
        Some(wanted == offered)
    }

    /// The value of its certificatePolicies, which is well formed.
    pub(super) fn policies(&self) -> Option<&[u8]> {
        self.extensions.policies.issued_under.as_ref().map(|range| self.bytes(range))
    }

    /// The value of its cRLDistributionPoints, which is well formed.
    pub(super) fn distribution_points(&self) -> Option<&[u8]> {
        self.extensions.distribution_points.as_ref().map(|range| self.bytes(range))
    }

    /// Whether it is the same authority: one name with one key.
    pub(super) fn is_same_authority(&self, other: &Certificate<'_>) -> bool {
        self.subject() == other.subject() && self.key_info() == other.key_info()
    }

    pub(super) fn key_kind(&self) -> KeyKind {
        let key = self.key();
        let is = |id: &rustls_pki_types::AlgorithmIdentifier| key.algorithm == id.as_ref();
        if is(&alg_id::RSA_ENCRYPTION) {
            return KeyKind::Rsa { bits: rsa_bits(key.bits).unwrap_or(0) };
        }
        let curves = [alg_id::ECDSA_P256, alg_id::ECDSA_P384, alg_id::ECDSA_P521];
        if curves.iter().any(is) { KeyKind::EllipticCurve } else { KeyKind::Other }
    }

    /// The name of its key's curve, where that is one of the accepted ones.
    pub(super) fn curve(&self) -> Option<&'static str> {
        let curves = [
            (alg_id::ECDSA_P256, "P-256"),
            (alg_id::ECDSA_P384, "P-384"),
            (alg_id::ECDSA_P521, "P-521"),
        ];
        let key = self.key();
        let found = curves.iter().find(|(id, _)| key.algorithm == id.as_ref());
        found.map(|(_, name)| *name)
    }

    pub(super) fn is_key_supported(&self) -> bool {
        match self.key_kind() {
            KeyKind::Rsa { bits } => RSA_BITS.contains(&bits),
            KeyKind::EllipticCurve => true,
            KeyKind::Other => false,
        }
    }
}

fn read_version(fields: &mut Reader<'_>) -> Result<Version, Malformed> {
    let Some(tagged) = fields.optional(der::constructed(0), "a version")? else {
        return Ok(Version::One);
    };
    let mut inner = tagged.reader();
    let number = inner.expect(der::INTEGER, "a version")?;
    inner.finish("the end of the version")?;
    match number.content {
        [0] => Ok(Version::One),
        [1] => Ok(Version::Two),
        [2] => Ok(Version::Three),
        _ => Err(number.malformed("version 1, 2 or 3")),
    }
}

/// The size of an RSA key's modulus (RFC 8017, appendix A.1.1).
fn rsa_bits(key: &[u8]) -> Option<usize> {
    let mut fields = Reader::new(key).expect(der::SEQUENCE, "an RSA key").ok()?.reader();
    let modulus = fields.expect(der::INTEGER, "a modulus").ok()?.content;
    let significant = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let leading = significant.first()?.leading_zeros();
    (significant.len() * 8).checked_sub(usize::try_from(leading).ok()?)
}
