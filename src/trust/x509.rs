//! A certificate as the verdict needs it: where its fields stand, and what its extensions allow.
//!
//! One reader for what clients send and for bundles, so that load and verdict cannot disagree. webpki
//! reads every path once more before it is accepted; this reader serves what webpki does not look at
//! (key usage, anchors, version 1, key sizes), and the headers.
//! Source: RFC 5280, section 4.1; key kinds by `alb-contract`: RSA of 2048 to 8192 bits, P-256, P-384,
//! P-521.
#![deny(clippy::indexing_slicing)]
use super::der::{self, Malformed, Reader, Value};
use super::policy::Policies;
use super::signature::{Key, Signed};
use super::{name, partition, time};
use rustls_pki_types::{CertificateDer, UnixTime, alg_id};
use std::ops::Range;

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

/// The first and the last second of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Validity {
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
}

/// X.509 version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    One,
    Two,
    Three,
}

/// What the extensions say.
#[derive(Clone, Debug, Default)]
pub(super) struct Extensions {
    /// basicConstraints: whether it is a CA.
    pub(super) is_ca: bool,
    /// basicConstraints: how many CAs may follow below it.
    pub(super) path_length_max: Option<usize>,
    key_usage: Option<u8>,
    subject_key_id: Option<Range<usize>>,
    authority_key_id: Option<Range<usize>>,
    distribution_points: Option<Range<usize>>,
    extended_key_usage: Option<Purposes>,
    pub(super) policies: Policies,
    /// The names, without their outer SEQUENCE.
    alternative_names: Option<Range<usize>>,
    /// The first critical extension that webpki does not know.
    unsupported: Option<Vec<u8>>,
}

/// What an extendedKeyUsage names, as far as clients are concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purposes {
    ClientAuthentication,
    Others,
}

/// A bit of keyUsage, by its mask in the first octet (RFC 5280, section 4.2.1.3).
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyUsage {
    DigitalSignature = 0x80,
    KeyAgreement = 0x08,
    CertificateSign = 0x04,
    CrlSign = 0x02,
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

impl Extensions {
    fn read(tagged: &Value<'_>) -> Result<Self, Malformed> {
        let mut outer = tagged.reader();
        let mut list = outer.expect(der::SEQUENCE, "extensions")?.reader();
        outer.finish("the end of the extensions")?;
        let mut extensions = Self::default();
        let mut seen_basic_constraints = false;
        while !list.is_empty() {
            let extension = Extension::read(&mut list)?;
            // Of the extensions read here none may stand twice (RFC 5280, section 4.2).
            let is_repeated = match extension.oid {
                oid::BASIC_CONSTRAINTS => {
                    extensions.read_basic_constraints(extension.value)?;
                    std::mem::replace(&mut seen_basic_constraints, true)
                }
                oid::KEY_USAGE => {
                    extensions.key_usage.replace(read_key_usage(extension.value)?).is_some()
                }
                oid::EXTENDED_KEY_USAGE => {
                    extensions.extended_key_usage.replace(read_purposes(extension.value)?).is_some()
                }
                oid::SUBJECT_KEY_IDENTIFIER => {
                    extensions.refuse_unprocessed(&extension);
                    extensions.subject_key_id.replace(read_key_id(extension.value)?).is_some()
                }
                oid::AUTHORITY_KEY_IDENTIFIER => {
                    extensions.authority_key_id = read_authority_key_id(extension.value)?;
                    extensions.refuse_unprocessed(&extension);
                    false
                }
                oid::CRL_DISTRIBUTION_POINTS => {
                    partition::check_points(&extension.value)?;
                    let range = extension.value.content_range();
                    extensions.distribution_points.replace(range).is_some()
                }
                oid::CERTIFICATE_POLICIES => {
                    extensions.policies.read(extension.value)?;
                    extensions.refuse_unprocessed(&extension);
                    false
                }
                oid::POLICY_CONSTRAINTS => {
                    extensions.policies.read_constraints(extension.value)?;
                    extensions.refuse_unprocessed(&extension);
                    false
                }
                oid::INHIBIT_ANY_POLICY => {
                    extensions.policies.limits_any = true;
                    extensions.refuse_unprocessed(&extension);
                    false
                }
                oid::SUBJECT_ALT_NAME => {
                    let names = read_alternative_names(extension.value)?;
                    extensions.alternative_names.replace(names).is_some()
                }
                oid::NAME_CONSTRAINTS => false,
                _ => {
                    extensions.refuse_unprocessed(&extension);
                    false
                }
            };
            if is_repeated {
                return Err(extension.value.malformed("an extension once"));
            }
        }
        Ok(extensions)
    }

    fn read_basic_constraints(&mut self, value: Value<'_>) -> Result<(), Malformed> {
        let mut outer = value.reader();
        let mut fields = outer.expect(der::SEQUENCE, "basic constraints")?.reader();
        if let Some(is_ca) = fields.optional(der::BOOLEAN, "a CA flag")? {
            self.is_ca = is_ca.boolean()?;
        }
        if let Some(length) = fields.optional(der::INTEGER, "a path length")? {
            // One octet holds every length that a path can have; a longer number limits nothing.
            self.path_length_max = match length.content {
                [] => return Err(length.malformed("a path length")),
                [octet] => Some(usize::from(*octet)),
                _ => None,
            };
        }
        fields.finish("the end of the basic constraints")?;
        outer.finish("the end of the basic constraints")
    }

    fn refuse_unprocessed(&mut self, extension: &Extension<'_>) {
        if extension.is_critical && self.unsupported.is_none() {
            self.unsupported = Some(extension.oid.to_vec());
        }
    }

    /// Whether keyUsage allows it; without the extension everything is allowed.
    pub(super) fn allows(&self, usage: KeyUsage) -> bool {
        self.key_usage.is_none_or(|bits| bits & usage as u8 != 0)
    }

    /// Whether extendedKeyUsage allows client authentication; without the extension it does.
    pub(super) fn allows_client_authentication(&self) -> bool {
        self.extended_key_usage != Some(Purposes::Others)
    }

    /// The OID of a critical extension that webpki does not know, so that no path can hold it.
    pub(super) fn unsupported(&self) -> Option<&[u8]> {
        self.unsupported.as_deref()
    }
}

/// One extension of a certificate, a revocation list or one of its entries.
pub(super) struct Extension<'a> {
    pub(super) oid: &'a [u8],
    pub(super) is_critical: bool,
    /// The OCTET STRING around the extension's own value.
    pub(super) value: Value<'a>,
}

impl<'a> Extension<'a> {
    pub(super) fn read(list: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut fields = list.expect(der::SEQUENCE, "an extension")?.reader();
        let oid = fields.expect(der::OBJECT_IDENTIFIER, "an extension's OID")?.content;
        let is_critical = match fields.optional(der::BOOLEAN, "a critical flag")? {
            Some(flag) => flag.boolean()?,
            None => false,
        };
        let value = fields.expect(der::OCTET_STRING, "an extension's value")?;
        fields.finish("the end of the extension")?;
        Ok(Self { oid, is_critical, value })
    }
}

/// Object identifiers of extensions, as their content octets.
pub(super) mod oid {
    pub(crate) const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 14];
    pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
    pub(crate) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
    pub(crate) const ISSUER_ALT_NAME: &[u8] = &[0x55, 0x1d, 18];
    pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
    pub(crate) const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
    pub(crate) const REASON_CODE: &[u8] = &[0x55, 0x1d, 21];
    pub(crate) const HOLD_INSTRUCTION: &[u8] = &[0x55, 0x1d, 23];
    pub(crate) const INVALIDITY_DATE: &[u8] = &[0x55, 0x1d, 24];
    pub(crate) const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 27];
    pub(crate) const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
    pub(crate) const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 29];
    pub(crate) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
    pub(crate) const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 31];
    pub(crate) const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 32];
    pub(crate) const ANY_POLICY: &[u8] = &[0x55, 0x1d, 32, 0];
    pub(crate) const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 35];
    pub(crate) const POLICY_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 36];
    pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
    pub(crate) const ANY_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37, 0];
    pub(crate) const FRESHEST_CRL: &[u8] = &[0x55, 0x1d, 46];
    pub(crate) const INHIBIT_ANY_POLICY: &[u8] = &[0x55, 0x1d, 54];
    /// id-kp-clientAuth, 1.3.6.1.5.5.7.3.2.
    pub(crate) const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
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

/// The first octet of the bit string holds every bit that matters here.
fn read_key_usage(value: Value<'_>) -> Result<u8, Malformed> {
    let mut inner = value.reader();
    let bits = inner.expect(der::BIT_STRING, "a key usage")?;
    inner.finish("the end of the key usage")?;
    match bits.content {
        [unused @ 0..=7, rest @ ..] if *unused == 0 || !rest.is_empty() => {
            Ok(rest.first().copied().unwrap_or(0))
        }
        _ => Err(bits.malformed("a key usage")),
    }
}

fn read_key_id(value: Value<'_>) -> Result<Range<usize>, Malformed> {
    let mut outer = value.reader();
    let id = outer.expect(der::OCTET_STRING, "a key identifier")?;
    outer.finish("the end of the key identifier")?;
    Ok(id.content_range())
}

fn read_alternative_names(value: Value<'_>) -> Result<Range<usize>, Malformed> {
    let mut outer = value.reader();
    let names = outer.expect(der::SEQUENCE, "alternative names")?;
    outer.finish("the end of the alternative names")?;
    Ok(names.content_range())
}

/// The key's identifier; what else may stand there names a certificate, which may have been renewed.
fn read_authority_key_id(value: Value<'_>) -> Result<Option<Range<usize>>, Malformed> {
    let mut outer = value.reader();
    let mut fields = outer.expect(der::SEQUENCE, "an authority key identifier")?.reader();
    outer.finish("the end of the authority key identifier")?;
    let id = fields.optional(der::primitive(0), "a key identifier")?;
    Ok(id.map(|id| id.content_range()))
}

/// `anyExtendedKeyUsage` is for clients as well (RFC 5280, section 4.2.1.12).
fn read_purposes(value: Value<'_>) -> Result<Purposes, Malformed> {
    let mut outer = value.reader();
    let mut list = outer.expect(der::SEQUENCE, "extended key usages")?.reader();
    outer.finish("the end of the extended key usages")?;
    let mut purposes = Purposes::Others;
    while !list.is_empty() {
        let oid = list.expect(der::OBJECT_IDENTIFIER, "an extended key usage")?.content;
        if oid == oid::CLIENT_AUTH || oid == oid::ANY_EXTENDED_KEY_USAGE {
            purposes = Purposes::ClientAuthentication;
        }
    }
    Ok(purposes)
}

/// The size of an RSA key's modulus (RFC 8017, appendix A.1.1).
fn rsa_bits(key: &[u8]) -> Option<usize> {
    let mut fields = Reader::new(key).expect(der::SEQUENCE, "an RSA key").ok()?.reader();
    let modulus = fields.expect(der::INTEGER, "a modulus").ok()?.content;
    let significant = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let leading = significant.first()?.leading_zeros();
    (significant.len() * 8).checked_sub(usize::try_from(leading).ok()?)
}
