//! What a certificate's extensions say, as far as a verdict asks.
//!
//! Source: RFC 5280, section 4.2.
#![deny(clippy::indexing_slicing)]
use crate::trust::der::{self, Malformed, Reader, Value};
use crate::trust::partition;
use crate::trust::policy::Policies;
use std::ops::Range;

/// What the extensions say.
#[derive(Clone, Debug, Default)]
pub(in crate::trust) struct Extensions {
    /// basicConstraints: whether it is a CA.
    pub(in crate::trust) is_ca: bool,
    /// basicConstraints: how many CAs may follow below it.
    pub(in crate::trust) path_length_max: Option<usize>,
    key_usage: Option<u8>,
    pub(super) subject_key_id: Option<Range<usize>>,
    pub(super) authority_key_id: Option<Range<usize>>,
    pub(super) distribution_points: Option<Range<usize>>,
    extended_key_usage: Option<Purposes>,
    pub(in crate::trust) policies: Policies,
    /// The names, without their outer SEQUENCE.
    pub(super) alternative_names: Option<Range<usize>>,
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
pub(in crate::trust) enum KeyUsage {
    DigitalSignature = 0x80,
    KeyAgreement = 0x08,
    CertificateSign = 0x04,
    CrlSign = 0x02,
}

impl Extensions {
    pub(super) fn read(tagged: &Value<'_>) -> Result<Self, Malformed> {
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
    pub(in crate::trust) fn allows(&self, usage: KeyUsage) -> bool {
        self.key_usage.is_none_or(|bits| bits & usage as u8 != 0)
    }

    /// Whether extendedKeyUsage allows client authentication; without the extension it does.
    pub(in crate::trust) fn allows_client_authentication(&self) -> bool {
        self.extended_key_usage != Some(Purposes::Others)
    }

    /// The OID of a critical extension that webpki does not know, so that no path can hold it.
    pub(in crate::trust) fn unsupported(&self) -> Option<&[u8]> {
        self.unsupported.as_deref()
    }
}

/// One extension of a certificate, a revocation list or one of its entries.
pub(in crate::trust) struct Extension<'a> {
    pub(in crate::trust) oid: &'a [u8],
    pub(in crate::trust) is_critical: bool,
    /// The OCTET STRING around the extension's own value.
    pub(in crate::trust) value: Value<'a>,
}

impl<'a> Extension<'a> {
    pub(in crate::trust) fn read(list: &mut Reader<'a>) -> Result<Self, Malformed> {
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
pub(in crate::trust) mod oid {
    pub(in crate::trust) const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 14];
    pub(in crate::trust) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
    pub(in crate::trust) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
    pub(in crate::trust) const ISSUER_ALT_NAME: &[u8] = &[0x55, 0x1d, 18];
    pub(in crate::trust) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
    pub(in crate::trust) const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
    pub(in crate::trust) const REASON_CODE: &[u8] = &[0x55, 0x1d, 21];
    pub(in crate::trust) const HOLD_INSTRUCTION: &[u8] = &[0x55, 0x1d, 23];
    pub(in crate::trust) const INVALIDITY_DATE: &[u8] = &[0x55, 0x1d, 24];
    pub(in crate::trust) const DELTA_CRL_INDICATOR: &[u8] = &[0x55, 0x1d, 27];
    pub(in crate::trust) const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
    pub(in crate::trust) const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 29];
    pub(in crate::trust) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
    pub(in crate::trust) const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 31];
    pub(in crate::trust) const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 32];
    pub(in crate::trust) const ANY_POLICY: &[u8] = &[0x55, 0x1d, 32, 0];
    pub(in crate::trust) const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 35];
    pub(in crate::trust) const POLICY_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 36];
    pub(in crate::trust) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
    pub(in crate::trust) const ANY_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37, 0];
    pub(in crate::trust) const FRESHEST_CRL: &[u8] = &[0x55, 0x1d, 46];
    pub(in crate::trust) const INHIBIT_ANY_POLICY: &[u8] = &[0x55, 0x1d, 54];
    /// id-kp-clientAuth, 1.3.6.1.5.5.7.3.2.
    pub(in crate::trust) const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
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
