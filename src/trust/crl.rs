//! One revocation list: its header, its signature, its entries one at a time.
//!
//! Read on the control thread. Entries are walked and never collected, so a list of 128 MiB costs its
//! own bytes and no more. What would be enforced wrongly is refused with its reason: delta and indirect
//! lists, lists of attribute certificates, critical extensions that are not understood. Partitioned lists
//! (an issuingDistributionPoint with a name, for users or CAs only, for some reasons only) are complete
//! for their part, and what they name is revoked.
//! Source: RFC 5280, section 5.
#![deny(clippy::indexing_slicing)]
use super::der::{self, Malformed, Reader, Value};
use super::partition::Partition;
use super::serials::Reason;
use super::signature::Signed;
use super::x509::{Extension, oid};
use super::{name, time};
use rustls_pki_types::UnixTime;

/// A revocation list, borrowed from its DER.
#[derive(Clone, Debug)]
pub(super) struct RevocationList<'a> {
    version: Version,
    /// The issuer, without its outer SEQUENCE.
    pub(super) issuer: &'a [u8],
    pub(super) this_update: UnixTime,
    pub(super) next_update: Option<UnixTime>,
    /// Which of the issuer's certificates it is about.
    pub(super) partition: Partition,
    /// It sends its readers on to delta lists (freshestCRL), which may name more certificates.
    pub(super) has_deltas: bool,
    pub(super) signed: Signed<'a>,
    /// The value of cRLNumber, unread.
    number: Option<Value<'a>>,
    entries: Reader<'a>,
}

/// Version 1 has no extensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    One,
    Two,
}

/// What a list's extensions say.
#[derive(Default)]
struct Extensions<'a> {
    partition: Partition,
    has_deltas: bool,
    number: Option<Value<'a>>,
}

/// One revoked certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// The content of the INTEGER.
    pub(super) serial: &'a [u8],
    pub(super) reason: Reason,
    /// The revocationDate, a `Time` by its tag.
    pub(super) date: Value<'a>,
}

/// Why a list cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("a delta list; give the complete one")]
    Delta,
    #[error("an indirect list, which names certificates of other issuers")]
    Indirect,
    #[error("a list of attribute certificates, which clients do not present")]
    AttributeCertificates,
    #[error("the critical extension {oid} at byte {offset} is not supported")]
    Critical { oid: String, offset: usize },
    #[error("the entry at byte {offset} says removeFromCRL, which belongs into a delta list")]
    RemoveFromCrl { offset: usize },
}

/// The reason code that takes an entry back (RFC 5280, section 5.3.1).
const REMOVE_FROM_CRL: Reason = 8;

impl<'a> RevocationList<'a> {
    /// Reads the header; the entries are judged as they are walked.
    ///
    /// # Errors
    /// What is malformed, or why the list cannot be used as a whole.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, Unusable> {
        let mut input = Reader::new(der);
        let list = input.expect(der::SEQUENCE, "a revocation list")?;
        input.finish("the end of the revocation list")?;

        let mut outer = list.reader();
        let tbs = outer.expect(der::SEQUENCE, "the signed part of a revocation list")?;
        let algorithm = outer.expect(der::SEQUENCE, "a signature algorithm")?.content;
        let signature = outer.expect(der::BIT_STRING, "a signature")?;
        let signature = signature.octets_of_bits("a signature of whole octets")?;
        outer.finish("the end of the revocation list")?;
        let message = der.get(tbs.range()).unwrap_or_default();

        let mut fields = tbs.reader();
        let version = match fields.optional(der::INTEGER, "a version")? {
            None => Version::One,
            Some(number) if number.content == [1] => Version::Two,
            Some(number) => return Err(number.malformed("version 1 or 2").into()),
        };
        let inner_algorithm = fields.expect(der::SEQUENCE, "a signature algorithm")?;
        if inner_algorithm.content != algorithm {
            return Err(inner_algorithm
                .malformed("the same signature algorithm inside and out")
                .into());
        }
        let issuer = fields.expect(der::SEQUENCE, "an issuer")?;
        name::check(issuer.reader())?;
        let this_update = time::read(&mut fields, "thisUpdate")?;
        let next_update = time::read_optional(&mut fields, "nextUpdate")?;
        let entries = match fields.optional(der::SEQUENCE, "revoked certificates")? {
            Some(entries) => entries.reader(),
            None => Reader::new(&[]),
        };
        let Extensions { partition, has_deltas, number } =
            match fields.optional(der::constructed(0), "extensions")? {
                Some(extensions) => read_extensions(&extensions, version, issuer.content)?,
                None => Extensions::default(),
            };
        fields.finish("the end of the signed part")?;
        Ok(Self {
            version,
            issuer: issuer.content,
            this_update,
            next_update,
            partition,
            has_deltas,
            signed: Signed { message, algorithm, signature },
            number,
            entries,
        })
    }

    /// How many entries there are, by their outer form.
    pub(super) fn count(&self) -> Result<usize, Unusable> {
        let mut entries = self.entries;
        let mut count = 0;
        while !entries.is_empty() {
            entries.expect(der::SEQUENCE, "a revoked certificate")?;
            count += 1;
        }
        Ok(count)
    }

    /// The content of the INTEGER in cRLNumber; none where there is none, or something else.
    pub(super) fn number(&self) -> Option<&'a [u8]> {
        let number = self.number?.reader().expect(der::INTEGER, "a number").ok()?;
        Some(number.content)
    }

    /// Walks the entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = Result<Entry<'a>, Unusable>> {
        let (mut entries, version) = (self.entries, self.version);
        std::iter::from_fn(move || (!entries.is_empty()).then(|| read_entry(&mut entries, version)))
    }
}

fn read_entry<'a>(entries: &mut Reader<'a>, version: Version) -> Result<Entry<'a>, Unusable> {
    let entry = entries.expect(der::SEQUENCE, "a revoked certificate")?;
    let mut fields = entry.reader();
    let serial = fields.expect(der::INTEGER, "a serial number")?;
    if serial.content.is_empty() {
        return Err(serial.malformed("a serial number").into());
    }
    let date = fields.read("a revocation date")?;
    if !time::is_time(&date) {
        return Err(date.malformed("a revocation date").into());
    }
    let reason = match fields.optional(der::SEQUENCE, "entry extensions")? {
        Some(extensions) => read_entry_extensions(&extensions, &entry, version)?,
        None => 0,
    };
    fields.finish("the end of the revoked certificate")?;
    Ok(Entry { serial: serial.content, reason, date })
}

fn read_entry_extensions(
    extensions: &Value<'_>,
    entry: &Value<'_>,
    version: Version,
) -> Result<Reason, Unusable> {
    if version == Version::One {
        return Err(extensions.malformed("no extensions in a version 1 list").into());
    }
    let mut list = extensions.reader();
    let mut reason = 0;
    while !list.is_empty() {
        let extension = Extension::read(&mut list)?;
        match extension.oid {
            oid::REASON_CODE => reason = read_reason(&extension.value)?,
            oid::CERTIFICATE_ISSUER => return Err(Unusable::Indirect),
            oid::INVALIDITY_DATE | oid::HOLD_INSTRUCTION => {}
            _ => refuse_critical(&extension)?,
        }
    }
    if reason == REMOVE_FROM_CRL {
        return Err(Unusable::RemoveFromCrl { offset: entry.offset });
    }
    Ok(reason)
}

fn read_reason(value: &Value<'_>) -> Result<Reason, Malformed> {
    let mut inner = value.reader();
    let reason = inner.expect(der::ENUMERATED, "a reason code")?;
    inner.finish("the end of the reason code")?;
    match reason.content {
        [code] => Ok(*code),
        _ => Err(reason.malformed("a reason code")),
    }
}

fn read_extensions<'a>(
    tagged: &Value<'a>,
    version: Version,
    issuer: &[u8],
) -> Result<Extensions<'a>, Unusable> {
    if version == Version::One {
        return Err(tagged.malformed("no extensions in a version 1 list").into());
    }
    let mut outer = tagged.reader();
    let mut list = outer.expect(der::SEQUENCE, "extensions")?.reader();
    outer.finish("the end of the extensions")?;
    let (mut partition, mut has_deltas, mut number) = (None, false, None);
    while !list.is_empty() {
        let extension = Extension::read(&mut list)?;
        match extension.oid {
            oid::DELTA_CRL_INDICATOR => return Err(Unusable::Delta),
            oid::ISSUING_DISTRIBUTION_POINT => {
                let read = Partition::read(&extension.value, issuer)?;
                if partition.replace(read).is_some() {
                    return Err(extension.value.malformed("an extension once").into());
                }
            }
            oid::FRESHEST_CRL => {
                refuse_critical(&extension)?;
                has_deltas = true;
            }
            oid::CRL_NUMBER => number = Some(extension.value),
            oid::AUTHORITY_KEY_IDENTIFIER | oid::ISSUER_ALT_NAME => {}
            _ => refuse_critical(&extension)?,
        }
    }
    Ok(Extensions { partition: partition.unwrap_or_default(), has_deltas, number })
}

fn refuse_critical(extension: &Extension<'_>) -> Result<(), Unusable> {
    if !extension.is_critical {
        return Ok(());
    }
    let (oid, offset) = (name::dotted(extension.oid), extension.value.offset);
    Err(Unusable::Critical { oid, offset })
}
