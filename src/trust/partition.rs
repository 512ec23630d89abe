//! Which of its issuer's certificates a revocation list is about.
//!
//! A list says so in its issuingDistributionPoint; a certificate names the lists that are about it in its
//! cRLDistributionPoints. Only whether a list *vouches* for a certificate is judged by this: what any
//! list names is revoked.
//! Source: RFC 5280, sections 4.2.1.13, 5.2.5 and 6.3.3.
#![deny(clippy::indexing_slicing)]
use super::crl::Unusable;
use super::der::{self, Malformed, Reader, Value};
use super::issued::Issued;
use super::name;
use std::borrow::Cow;

/// The part of an issuer's certificates that a list is about; all of them by default.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Partition {
    /// The names of its distribution point. Without, it is about the certificates of every point.
    names: Option<Box<[PointName<'static>]>>,
    has_users: bool,
    has_cas: bool,
    reasons: Reasons,
}

/// The reasons for revoking that a list is about: the bits of a ReasonFlags, the first one highest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Reasons(u16);

/// A name of a distribution point.
#[derive(Clone, Debug, Eq, PartialEq)]
struct PointName<'a> {
    /// The tag of the GeneralName.
    tag: u8,
    /// Its content; that of a directory name without the SEQUENCE, as names stand everywhere here.
    content: Cow<'a, [u8]>,
}

/// A distribution point of a certificate.
struct Point<'a> {
    names: Vec<PointName<'a>>,
    reasons: Reasons,
}

const DIRECTORY_NAME: u8 = der::constructed(4);

impl Default for Partition {
    fn default() -> Self {
        Self { names: None, has_users: true, has_cas: true, reasons: Reasons::ALL }
    }
}

impl Partition {
    /// Reads the value of an issuingDistributionPoint in a list of `issuer`.
    ///
    /// # Errors
    /// What is malformed, or why such a list cannot be used at all.
    pub(super) fn read(value: &Value<'_>, issuer: &[u8]) -> Result<Self, Unusable> {
        const NAME: u8 = der::constructed(0);
        const ONLY_USERS: u8 = der::primitive(1);
        const ONLY_CAS: u8 = der::primitive(2);
        const ONLY_SOME_REASONS: u8 = der::primitive(3);
        const INDIRECT: u8 = der::primitive(4);
        const ONLY_ATTRIBUTE_CERTIFICATES: u8 = der::primitive(5);
        let mut outer = value.reader();
        let mut fields = outer.expect(der::SEQUENCE, "an issuing distribution point")?.reader();
        outer.finish("the end of the issuing distribution point")?;
        let mut partition = Self::default();
        while !fields.is_empty() {
            let field = fields.read("a field of an issuing distribution point")?;
            match field.tag {
                NAME => {
                    let names = read_names(&field, issuer)?;
                    partition.names = Some(names.into_iter().map(PointName::into_owned).collect());
                }
                ONLY_USERS => partition.has_cas &= !field.boolean()?,
                ONLY_CAS => partition.has_users &= !field.boolean()?,
                ONLY_SOME_REASONS => partition.reasons = Reasons::read(&field),
                INDIRECT if field.boolean()? => return Err(Unusable::Indirect),
                ONLY_ATTRIBUTE_CERTIFICATES if field.boolean()? => {
                    return Err(Unusable::AttributeCertificates);
                }
                INDIRECT | ONLY_ATTRIBUTE_CERTIFICATES => {}
                _ => {
                    return Err(field.malformed("a field of an issuing distribution point").into());
                }
            }
        }
        Ok(partition)
    }

    /// The reasons for which a list of this part can name the certificate, which its issuer signed.
    pub(super) fn reasons_for(&self, certificate: &Issued<'_>) -> Reasons {
        let is_in = if certificate.is_ca { self.has_cas } else { self.has_users };
        match &self.names {
            _ if !is_in => Reasons::NONE,
            None => self.reasons,
            Some(names) => self.reasons.and(reasons_at(names, certificate)),
        }
    }

    /// Whether lists of this part are about every certificate that those of `other` are about.
    pub(super) fn includes(&self, other: &Self) -> bool {
        (self.names.is_none() || self.names == other.names)
            && self.has_users >= other.has_users
            && self.has_cas >= other.has_cas
            && self.reasons.and(other.reasons) == other.reasons
    }
}

/// The reasons for which a certificate sends its readers to a distribution point of one of these names.
fn reasons_at(names: &[PointName<'_>], certificate: &Issued<'_>) -> Reasons {
    // RFC 5280, section 6.3.3: a list that no point of the certificate names counts as one whose point
    // is named as the issuer is.
    let is_issuer = |name: &PointName<'_>| {
        name.tag == DIRECTORY_NAME && *name.content == *certificate.issuer.name
    };
    if names.iter().any(is_issuer) {
        return Reasons::ALL;
    }
    // Reading the certificate has checked its points.
    let points = points(*certificate).unwrap_or_default();
    points
        .iter()
        .filter(|point| point.names.iter().any(|name| names.contains(name)))
        .fold(Reasons::NONE, |all, point| all.or(point.reasons))
}

impl Reasons {
    pub(super) const NONE: Self = Self(0);
    /// Every reason but the first bit, which is unused.
    pub(super) const ALL: Self = Self(0x7f80);

    /// Reads the bits of a BIT STRING; those that are not there are not set. A set without a single
    /// octet is malformed and taken for empty (RUSTSEC-2026-0104).
    fn read(value: &Value<'_>) -> Self {
        let octet = |index: usize| value.content.get(index).copied().unwrap_or(0);
        Self(u16::from_be_bytes([octet(1), octet(2)])).and(Self::ALL)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl PointName<'_> {
    fn into_owned(self) -> PointName<'static> {
        PointName { tag: self.tag, content: Cow::Owned(self.content.into_owned()) }
    }
}

/// Whether the value of a cRLDistributionPoints is well formed.
///
/// # Errors
/// What is malformed.
pub(super) fn check_points(value: &Value<'_>) -> Result<(), Malformed> {
    read_points(value.reader(), &[]).map(|_| ())
}

fn points<'a>(certificate: Issued<'a>) -> Option<Vec<Point<'a>>> {
    read_points(Reader::new(certificate.distribution_points?), certificate.issuer.name).ok()
}

/// The points at which the issuer itself publishes; others are for indirect lists.
fn read_points<'a>(mut outer: Reader<'a>, issuer: &[u8]) -> Result<Vec<Point<'a>>, Malformed> {
    const NAME: u8 = der::constructed(0);
    const REASONS: u8 = der::primitive(1);
    const ISSUER: u8 = der::constructed(2);
    let mut list = outer.expect(der::SEQUENCE, "distribution points")?.reader();
    outer.finish("the end of the distribution points")?;
    let mut points = Vec::new();
    while !list.is_empty() {
        let mut fields = list.expect(der::SEQUENCE, "a distribution point")?.reader();
        let name = fields.optional(NAME, "a distribution point's name")?;
        let reasons = fields.optional(REASONS, "a distribution point's reasons")?;
        let issuer_of_list = fields.optional(ISSUER, "a distribution point's issuer")?;
        fields.finish("the end of the distribution point")?;
        let names = name.map(|name| read_names(&name, issuer)).transpose()?.unwrap_or_default();
        if issuer_of_list.is_none() {
            let reasons = reasons.map_or(Reasons::ALL, |reasons| Reasons::read(&reasons));
            points.push(Point { names, reasons });
        }
    }
    Ok(points)
}

/// A DistributionPointName: whole names, or the last part of one that begins as the issuer's does.
fn read_names<'a>(value: &Value<'a>, issuer: &[u8]) -> Result<Vec<PointName<'a>>, Malformed> {
    const WHOLE: u8 = der::constructed(0);
    const RELATIVE: u8 = der::constructed(1);
    let mut inner = value.reader();
    let choice = inner.read("a distribution point's name")?;
    inner.finish("the end of the distribution point's name")?;
    match choice.tag {
        WHOLE => {
            let mut list = choice.reader();
            let mut names = Vec::new();
            while !list.is_empty() {
                names.push(read_name(&list.read("a general name")?)?);
            }
            Ok(names)
        }
        RELATIVE => {
            let content = [issuer, &name::part(choice.content)].concat();
            Ok(vec![PointName { tag: DIRECTORY_NAME, content: Cow::Owned(content) }])
        }
        _ => Err(choice.malformed("a whole or a relative name")),
    }
}

fn read_name<'a>(value: &Value<'a>) -> Result<PointName<'a>, Malformed> {
    let tag = value.tag;
    let content = match tag {
        DIRECTORY_NAME => {
            let mut inner = value.reader();
            let name = inner.expect(der::SEQUENCE, "a directory name")?;
            inner.finish("the end of the directory name")?;
            name.content
        }
        _ => value.content,
    };
    Ok(PointName { tag, content: Cow::Borrowed(content) })
}
