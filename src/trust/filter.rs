//! Conditions on identity: which of the clients that a trust store vouches for are let in.
//!
//! An allow-list on what the leaf says of itself. Compiled once, with the configuration; a verdict asks
//! it after the path and before revocation, which is the order of ALB's sibling, the NLB. No filter at
//! all lets everybody in; otherwise at least one must match. A filter names fields, and each field that
//! it names must have a value that one of its patterns covers; a field that the leaf lacks covers
//! nothing. Where a leaf has several values of a field, each counts: its CA vouched for all of them.
//!
//! Only well-formed values count ([`well_formed`]): no control characters, no broken text, no names that
//! two readers could read in two ways. What the patterns of each field look like is said at [`Field`].
//! Cost: hashes and a binary search for each value, however many patterns there are.
//! Bounds: `limits::IDENTITY_FILTERS_MAX`, `IDENTITY_PATTERNS_MAX`, `IDENTITY_NAMES_MAX`.
#![deny(clippy::indexing_slicing)]
use super::der::{self, Reader};
use super::hash::Fingerprint;
use super::name;
use super::x509::Certificate;
use crate::limits;
use aws_lc_rs::digest;
use rustls_pki_types::DnsName;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

/// The filters of one policy; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    filters: Arc<[Filter]>,
    fingerprint: Option<Fingerprint>,
}

/// One filter: every field that it names must match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    fields: Vec<(Field, Patterns)>,
}

/// What a filter may look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// A commonName of the subject. `text` is exact, `text*` a prefix; upper and lower case differ.
    SubjectCn,
    /// An organizationalUnitName of the subject; patterns as for [`Field::SubjectCn`].
    SubjectOu,
    /// A DNS name. `name` is exact, `*.parent` covers one label; case does not matter.
    SanDns,
    /// A URI, byte for byte. `uri` is exact, `uri*` a prefix that must reach past the host.
    SanUri,
    /// A mailbox. `local@host` is exact, `*@host` covers all of one host; case matters on the left only.
    SanEmail,
    /// The issuer as logs and headers write it (RFC 2253); patterns as for [`Field::SubjectCn`].
    Issuer,
    /// SHA-256 of the whole certificate: 64 hexadecimal digits, with or without colons.
    Sha256,
}

/// Why a pattern cannot be in a filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatternFault {
    /// Nothing there.
    #[error("an empty value matches nobody")]
    Empty,
    /// `*` alone.
    #[error("a lone * says nothing; leave the field out, or say what the value begins with")]
    Anything,
    /// `*` elsewhere in a text.
    #[error("a * may stand only at the end")]
    Asterisk,
    /// Control characters, or beyond ASCII where that cannot be.
    #[error("holds a character that no such value may hold")]
    Character,
    /// Not a DNS name, or a wildcard elsewhere than as the first label.
    #[error("expected a DNS name or *.parent")]
    Dns,
    /// Not a URI.
    #[error("expected a URI such as spiffe://example.org/orders, or one with * at its end")]
    Uri,
    /// A prefix that other hosts share.
    #[error("the * stands inside the host, so that other hosts match too; put it behind a /")]
    Host,
    /// Not a mailbox.
    #[error("expected local@host or *@host")]
    Email,
    /// Not a hash.
    #[error("expected the SHA-256 of a certificate: 64 hexadecimal digits")]
    Hash,
}

/// The patterns of one field, in the form in which they are looked up.
#[derive(Clone, Debug, Default)]
struct Patterns {
    /// Whole values; of DNS names and mailboxes also `*.parent` and `*@host`.
    exact: HashSet<Box<str>>,
    /// Sorted, and none begins with another, so that at most one can cover a value: the one that sorts
    /// last before it.
    prefixes: Vec<Box<str>>,
}

impl Filters {
    /// Those filters; without any, everybody is let in.
    pub fn new(filters: Vec<Filter>) -> Self {
        let filters = Self { filters: filters.into(), fingerprint: None };
        let all: Vec<_> = filters.describe().map(|fields| fingerprint(&fields)).collect();
        let whole = Fingerprint::of(all.iter().map(|filter| &filter.0[..]));
        Self { fingerprint: (!all.is_empty()).then_some(whole), ..filters }
    }

    /// Of all that they say; none without filters.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.filters.len()
    }

    /// Each filter as fields and their patterns, sorted, for people.
    pub fn describe(&self) -> impl Iterator<Item = Vec<(Field, Vec<String>)>> {
        self.filters.iter().map(|filter| {
            filter.fields.iter().map(|(field, patterns)| (*field, patterns.describe())).collect()
        })
    }

    /// Whether they let this leaf in.
    pub(super) fn allow(&self, leaf: &Certificate<'_>) -> bool {
        self.filters.is_empty() || self.matching(leaf).is_some()
    }

    /// The first filter that matches this leaf.
    pub(super) fn matching(&self, leaf: &Certificate<'_>) -> Option<usize> {
        let identity = LeafValues::of(leaf);
        self.filters.iter().position(|filter| filter.matches(&identity))
    }
}

impl Filter {
    /// Lets in what this pattern covers, beside what the field's other patterns do.
    ///
    /// # Errors
    /// [`PatternFault`].
    pub fn add(&mut self, field: Field, pattern: &str) -> Result<(), PatternFault> {
        let key = field.key_of(pattern)?;
        let patterns = match self.fields.iter().position(|(known, _)| *known == field) {
            Some(position) => self.fields.get_mut(position),
            None => {
                self.fields.push((field, Patterns::default()));
                self.fields.last_mut()
            }
        };
        if let Some((_, patterns)) = patterns {
            patterns.add(key);
        }
        Ok(())
    }

    /// Whether it names no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// A filter without fields matches nobody.
    fn matches(&self, identity: &LeafValues<'_>) -> bool {
        !self.fields.is_empty()
            && self.fields.iter().all(|(field, patterns)| {
                identity.values(*field).iter().any(|value| field.is_covered(value, patterns))
            })
    }
}

impl Patterns {
    fn add(&mut self, key: Pattern) {
        match key {
            Pattern::Exact(text) => _ = self.exact.insert(text),
            Pattern::Prefix(text) => {
                if self.prefix_of(&text).is_some() {
                    return;
                }
                self.prefixes.retain(|longer| !longer.starts_with(&*text));
                let position = self.prefixes.partition_point(|other| **other < *text);
                self.prefixes.insert(position, text);
            }
        }
    }

    /// The prefix that covers `value`. Whatever sorts between a prefix and a value that it covers begins
    /// with that prefix too, so the only candidate is the last one that does not sort after the value.
    fn prefix_of(&self, value: &str) -> Option<&str> {
        let after = self.prefixes.partition_point(|prefix| **prefix <= *value);
        let candidate = self.prefixes.get(after.checked_sub(1)?)?;
        value.starts_with(&**candidate).then_some(candidate)
    }

    fn describe(&self) -> Vec<String> {
        let exact = self.exact.iter().map(ToString::to_string);
        let mut all: Vec<_> =
            exact.chain(self.prefixes.iter().map(|prefix| format!("{prefix}*"))).collect();
        all.sort_unstable();
        all
    }
}

/// Of one filter, by what it says of each field.
fn fingerprint(fields: &[(Field, Vec<String>)]) -> Fingerprint {
    let fields: Vec<_> = fields
        .iter()
        .map(|(field, patterns)| {
            let patterns = patterns.iter().map(String::as_bytes);
            Fingerprint::of([field.key().as_bytes()].into_iter().chain(patterns))
        })
        .collect();
    Fingerprint::of(fields.iter().map(|field| &field.0[..]))
}

/// A pattern, read.
enum Pattern {
    Exact(Box<str>),
    Prefix(Box<str>),
}

impl Field {
    /// All of them, in the order of the configuration.
    pub const ALL: [Self; 7] = [
        Self::SubjectCn,
        Self::SubjectOu,
        Self::SanDns,
        Self::SanUri,
        Self::SanEmail,
        Self::Issuer,
        Self::Sha256,
    ];

    /// Its key in the configuration.
    pub const fn key(self) -> &'static str {
        match self {
            Self::SubjectCn => "subject_cn",
            Self::SubjectOu => "subject_ou",
            Self::SanDns => "san_dns",
            Self::SanUri => "san_uri",
            Self::SanEmail => "san_email",
            Self::Issuer => "issuer",
            Self::Sha256 => "sha256",
        }
    }

    /// A pattern in the form in which it is looked up.
    fn key_of(self, pattern: &str) -> Result<Pattern, PatternFault> {
        if pattern.is_empty() {
            return Err(PatternFault::Empty);
        }
        let exact = |text: Option<String>, fault: PatternFault| {
            text.map(|text| Pattern::Exact(text.into())).ok_or(fault)
        };
        match self {
            Self::SubjectCn | Self::SubjectOu => text_key(pattern, is_text),
            // The form in which issuers are compared has no other characters.
            Self::Issuer => {
                text_key(pattern, |text| text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)))
            }
            Self::SanUri => match text_key(pattern, is_uri_text)? {
                Pattern::Exact(text) if well_formed::uri(&text) => Ok(Pattern::Exact(text)),
                Pattern::Exact(_) => Err(PatternFault::Uri),
                Pattern::Prefix(text) => uri_prefix(&text).map(|()| Pattern::Prefix(text)),
            },
            Self::SanDns => exact(
                match pattern.strip_prefix("*.") {
                    Some(parent) => well_formed::dns(parent).map(|parent| format!("*.{parent}")),
                    None => well_formed::dns(pattern),
                },
                PatternFault::Dns,
            ),
            Self::SanEmail => exact(well_formed::email(pattern), PatternFault::Email),
            Self::Sha256 => exact(hash(pattern), PatternFault::Hash),
        }
    }

    fn is_covered(self, value: &str, patterns: &Patterns) -> bool {
        if patterns.exact.contains(value) {
            return true;
        }
        let wildcard = match self {
            Self::SanDns => value.split_once('.').map(|(_, parent)| format!("*.{parent}")),
            Self::SanEmail => value.rsplit_once('@').map(|(_, host)| format!("*@{host}")),
            Self::SubjectCn | Self::SubjectOu | Self::SanUri | Self::Issuer | Self::Sha256 => None,
        };
        wildcard.is_some_and(|wildcard| patterns.exact.contains(&*wildcard))
            || patterns.prefix_of(value).is_some()
    }

    /// The tag of its kind of subject alternative name (RFC 5280, section 4.2.1.6).
    const fn tag(self) -> Option<u8> {
        match self {
            Self::SanEmail => Some(der::primitive(1)),
            Self::SanDns => Some(der::primitive(2)),
            Self::SanUri => Some(der::primitive(6)),
            Self::SubjectCn | Self::SubjectOu | Self::Issuer | Self::Sha256 => None,
        }
    }
}

/// `text` or `text*`, of allowed characters.
fn text_key(pattern: &str, is_allowed: impl Fn(&str) -> bool) -> Result<Pattern, PatternFault> {
    let (text, is_prefix) = match pattern.strip_suffix('*') {
        Some("") => return Err(PatternFault::Anything),
        Some(text) => (text, true),
        None => (pattern, false),
    };
    if text.contains('*') {
        return Err(PatternFault::Asterisk);
    }
    if !is_allowed(text) {
        return Err(PatternFault::Character);
    }
    Ok(if is_prefix { Pattern::Prefix(text.into()) } else { Pattern::Exact(text.into()) })
}

/// A prefix must end behind the host: `https://example.org*` covers `https://example.org.evil.net/`.
fn uri_prefix(prefix: &str) -> Result<(), PatternFault> {
    let (scheme, rest) = prefix.split_once(':').ok_or(PatternFault::Uri)?;
    if !well_formed::is_scheme(scheme) || !well_formed::has_plain_segments(rest) {
        return Err(PatternFault::Uri);
    }
    match rest.strip_prefix("//") {
        Some(authority) if !authority.contains('/') => Err(PatternFault::Host),
        // One slash may become two.
        None if rest.is_empty() || rest == "/" => Err(PatternFault::Host),
        Some(_) | None => Ok(()),
    }
}

/// 64 hexadecimal digits, colons between octets allowed, as `openssl x509 -fingerprint` prints them.
fn hash(written: &str) -> Option<String> {
    let digits: String = written.split(':').collect::<String>().to_ascii_uppercase();
    let is_hash = digits.len() == 2 * digest::SHA256_OUTPUT_LEN
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_grouped = !written.contains(':') || written.split(':').all(|octet| octet.len() == 2);
    (is_hash && is_grouped).then_some(digits)
}

fn is_text(text: &str) -> bool {
    !text
        .chars()
        .any(|character| character.is_control() || character == char::REPLACEMENT_CHARACTER)
}

/// What may stand in a URI (RFC 3986, appendix A).
fn is_uri_text(text: &str) -> bool {
    let is_other = |byte: u8| b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_other(byte))
}

/// Which values count, and in what form they are compared. What is not well formed matches nothing.
mod well_formed {
    use super::{DnsName, is_text, is_uri_text};

    /// Not empty, without control characters.
    pub(super) fn text(value: String) -> Option<String> {
        (!value.is_empty() && is_text(&value)).then_some(value)
    }

    /// In lower case. No wildcard, no address, no trailing dot.
    pub(super) fn dns(value: &str) -> Option<String> {
        let is_name = DnsName::try_from(value).is_ok() && !value.ends_with('.');
        is_name.then(|| value.to_ascii_lowercase())
    }

    /// Of URI characters, with a scheme, and without `.` and `..` segments, which readers take away.
    pub(super) fn uri(value: &str) -> bool {
        let parts = value.split_once(':');
        is_uri_text(value)
            && parts.is_some_and(|(scheme, rest)| {
                is_scheme(scheme) && !rest.is_empty() && has_plain_segments(rest)
            })
    }

    /// RFC 3986, section 3.1.
    pub(super) fn is_scheme(scheme: &str) -> bool {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    }

    pub(super) fn has_plain_segments(rest: &str) -> bool {
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        path.split('/').all(|segment| {
            let decoded = segment.replace("%2e", ".").replace("%2E", ".");
            decoded != "." && decoded != ".."
        })
    }

    /// `local@host`, the host in lower case (RFC 5280, section 7.5). Without quotes: what stands in them
    /// may hold a second `@`.
    pub(super) fn email(value: &str) -> Option<String> {
        let (local, host) = value.split_once('@')?;
        let is_atom =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
        let is_local = !local.is_empty() && local.bytes().all(is_atom);
        let host = dns(host)?;
        is_local.then(|| format!("{local}@{host}"))
    }
}

/// What a leaf says of itself, each field read when it is first asked for.
struct LeafValues<'a> {
    leaf: &'a Certificate<'a>,
    values: [OnceCell<Vec<String>>; Field::ALL.len()],
}

impl<'a> LeafValues<'a> {
    fn of(leaf: &'a Certificate<'a>) -> Self {
        Self { leaf, values: Default::default() }
    }

    fn values(&self, field: Field) -> &[String] {
        match self.values.get(field as usize) {
            Some(cell) => cell.get_or_init(|| values(self.leaf, field)),
            None => &[],
        }
    }
}

/// The well-formed values of a field, in the form in which they are compared.
pub(super) fn values(leaf: &Certificate<'_>, field: Field) -> Vec<String> {
    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 4, 11];
    let of_subject = |oid| name::values(leaf.subject(), oid).filter_map(well_formed::text);
    match field {
        Field::SubjectCn => of_subject(COMMON_NAME).collect(),
        Field::SubjectOu => of_subject(ORGANIZATIONAL_UNIT).collect(),
        Field::SanDns => alternative_names(leaf, field, well_formed::dns),
        Field::SanEmail => alternative_names(leaf, field, well_formed::email),
        Field::SanUri => {
            alternative_names(leaf, field, |uri| well_formed::uri(uri).then(|| uri.to_owned()))
        }
        Field::Issuer => {
            let issuer = name::rfc2253(leaf.issuer()).ok();
            issuer
                .filter(|issuer| !issuer.is_empty() && !name::has_control(issuer))
                .into_iter()
                .collect()
        }
        Field::Sha256 => {
            vec![name::hex(digest::digest(&digest::SHA256, leaf.der()).as_ref())]
        }
    }
}

/// A leaf with more names than anybody needs has none.
fn alternative_names(
    leaf: &Certificate<'_>,
    field: Field,
    read: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut names = Reader::new(leaf.alternative_names());
    for _ in 0..limits::IDENTITY_NAMES_MAX {
        if names.is_empty() {
            return found;
        }
        let Ok(name) = names.read("a name") else { return Vec::new() };
        if Some(name.tag) == field.tag() {
            found.extend(str::from_utf8(name.content).ok().and_then(&read));
        }
    }
    if names.is_empty() { found } else { Vec::new() }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
