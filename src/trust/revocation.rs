//! The revocation index: the union of all revocation files of a trust store.
//!
//! Loaded on the control thread: each list is read once, and its signature verified once. A list covers
//! every certificate of its issuer's *name* under the anchors that its signer chains to, whichever key
//! of that name signed it, so that a CA's new key can revoke what its old key issued. Equal names under
//! different anchors stay apart, but for one thing: a key's own list covers what that key issued under
//! any anchor, so that a revoked client cannot step round a list by sending a cross-certificate.
//!
//! All lists of one issuer are one set, in any order: rustls-webpki takes the first that matches, and an
//! empty one hides the rest. What a list names is revoked, also when its nextUpdate has passed, its
//! thisUpdate lies ahead, or it is about another part of the issuer's certificates. Whether a certificate
//! that no list names is good is up to the store's [`Rules`]: by default it is.
//! Bound: `limits::REVOCATION_FILE_BYTES_MAX` for each file.
#![deny(clippy::indexing_slicing)]
use super::bundle::{Authority, Ca};
use super::crl::RevocationList;
use super::partition::{Partition, Reasons};
use super::serials::{Gathered, Reason, Serials};
use super::x509::{Certificate, KeyUsage};
use super::{Bundle, Refusal, der, name, pem};
use crate::limits;
use rustls_pki_types::UnixTime;
use std::collections::{HashMap, HashSet};

/// One revocation file, PEM (one or several blocks) or DER.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its name, for faults and status.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// What one loaded CRL says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// The file it came from.
    pub file: String,
    /// Which of the given files that is.
    pub file_index: usize,
    /// Issuer, RFC 2253.
    pub issuer: String,
    /// Revoked certificates in it.
    pub entries: usize,
    /// thisUpdate.
    pub this_update: UnixTime,
    /// nextUpdate, where it has one.
    pub next_update: Option<UnixTime>,
}

/// Why a revocation file is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Which of the given files.
    pub file_index: usize,
    /// What is wrong, in words.
    pub message: String,
}

/// What a trust store asks of its lists beyond what they name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// Of lists whose nextUpdate has passed.
    pub stale_revocations: StaleRevocations,
    /// Of certificates that no list is about.
    pub unlisted_issuers: UnlistedIssuers,
}

/// What becomes of clients once nextUpdate of a list has passed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StaleRevocations {
    /// The list goes on being enforced.
    #[default]
    Enforce,
    /// All certificates of its issuer are refused, unless a current list is about the same ones; nothing
    /// but current lists vouches for a certificate.
    Refuse,
}

/// What becomes of certificates that no list of their issuer is about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UnlistedIssuers {
    /// They are not checked.
    #[default]
    Allow,
    /// They are refused.
    Refuse,
}

impl StaleRevocations {
    /// As the configuration spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Refuse => "refuse",
        }
    }
}

impl UnlistedIssuers {
    /// As the configuration spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Refuse => "refuse",
        }
    }
}

/// The index.
#[derive(Debug, Default)]
pub struct Revocations {
    /// By the issuer's name, without its outer SEQUENCE.
    by_issuer: HashMap<Box<[u8]>, Vec<Scope<Serials>>>,
    status: Vec<Status>,
}

/// What the lists of one issuer cover, for one set of anchors.
#[derive(Debug)]
struct Scope<S> {
    anchors: Vec<Authority>,
    /// The keys that signed them.
    keys: Vec<Box<[u8]>>,
    parts: Vec<Part>,
    serials: S,
}

/// What one list is about, when it says so, and who signed it.
#[derive(Debug)]
struct Part {
    /// Its position in the status.
    list: usize,
    partition: Partition,
    has_deltas: bool,
    this_update: UnixTime,
    next_update: Option<UnixTime>,
    signers: Box<[Signer]>,
}

/// A CA of the bundle that signed a list.
#[derive(Debug)]
struct Signer {
    key: Box<[u8]>,
    not_before: UnixTime,
    not_after: UnixTime,
    is_revoked: bool,
}

/// What the lists are asked about: a certificate below its issuer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Issued<'a> {
    /// As the content of its INTEGER.
    pub(super) serial: &'a [u8],
    pub(super) is_ca: bool,
    /// The value of its cRLDistributionPoints, which is well formed.
    pub(super) distribution_points: Option<&'a [u8]>,
    pub(super) issuer: Issuer<'a>,
}

/// The CA that issued a certificate, as far as lists are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Issuer<'a> {
    /// Its subject, without the outer SEQUENCE.
    pub(super) name: &'a [u8],
    pub(super) key_info: &'a [u8],
    pub(super) signs_lists: bool,
}

/// Why the lists refuse a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hit {
    /// A list names the certificate at this position of the path.
    Revoked { position: usize, reason: Reason },
    /// The lists about it are not what the store's rules ask for.
    Unvouched { position: usize },
}

/// The index while files are added to it.
#[derive(Default)]
struct Loading {
    by_issuer: HashMap<Box<[u8]>, Vec<Scope<Gathered>>>,
    status: Vec<Status>,
}

impl Revocations {
    /// Reads, verifies and joins `files` under the CAs of `bundle`.
    ///
    /// Takes the memory of one decoded block at a time besides the index.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(files: &[File<'_>], bundle: &Bundle) -> Result<Self, Vec<Fault>> {
        let mut loading = Loading::default();
        let mut faults = Vec::new();
        for (file_index, file) in files.iter().enumerate() {
            let found = loading.add_file(file_index, file, bundle);
            faults.extend(found.into_iter().map(|message| Fault { file_index, message }));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let finish = |scopes: Vec<Scope<Gathered>>| scopes.into_iter().map(Scope::finish).collect();
        let by_issuer = loading
            .by_issuer
            .into_iter()
            .map(|(issuer, scopes)| (issuer, finish(scopes)))
            .collect();
        let mut revocations = Self { by_issuer, status: loading.status };
        revocations.note_revoked_signers(bundle);
        Ok(revocations)
    }

    /// Revoked certificates in all files.
    pub fn entries(&self) -> usize {
        self.status.iter().map(|list| list.entries).sum()
    }

    /// Each CRL, in the order of the files.
    pub fn status(&self) -> &[Status] {
        &self.status
    }

    /// Whether no certificate of a path to `anchor`, leaf first, is revoked, and the lists of every issuer
    /// are what the store's rules ask for.
    ///
    /// # Errors
    /// The first certificate that is not.
    pub(super) fn check<'a>(
        &self,
        path: impl Iterator<Item = Issued<'a>> + Clone,
        anchor: &Authority,
        rules: Rules,
        now: UnixTime,
    ) -> Result<(), Hit> {
        for (position, issued) in path.clone().enumerate() {
            if let Some(reason) = self.find(&issued, anchor) {
                return Err(Hit::Revoked { position, reason });
            }
        }
        for (position, issued) in path.enumerate() {
            if !self.is_vouched_for(&issued, anchor, rules, now) {
                return Err(Hit::Unvouched { position });
            }
        }
        Ok(())
    }

    /// The reason, where a certificate is revoked on a path to `anchor`.
    fn find(&self, issued: &Issued<'_>, anchor: &Authority) -> Option<Reason> {
        self.scopes(issued.issuer, anchor).find_map(|scope| scope.serials.find(issued.serial))
    }

    /// Whether the lists of the certificate's issuer are what the store's rules ask for.
    fn is_vouched_for(
        &self,
        issued: &Issued<'_>,
        anchor: &Authority,
        rules: Rules,
        now: UnixTime,
    ) -> bool {
        let parts = || self.scopes(issued.issuer, anchor).flat_map(|scope| &scope.parts);
        let is_good = |part: &&Part| {
            part.vouches(issued.issuer, now)
                && match rules.stale_revocations {
                    StaleRevocations::Enforce => true,
                    StaleRevocations::Refuse => part.is_current(now),
                }
        };
        let is_replaced = |part: &Part| {
            let mut current = parts().filter(|other| other.is_current(now));
            current.any(|other| other.partition.includes(&part.partition))
        };
        let is_stale = rules.stale_revocations == StaleRevocations::Refuse
            && parts().filter(|part| part.is_stale(now)).any(|part| !is_replaced(part));
        let is_unlisted = || {
            let reasons = parts().filter(is_good).map(|part| part.partition.reasons_for(issued));
            reasons.fold(Reasons::NONE, Reasons::or) != Reasons::ALL
        };
        let refuses_unlisted = rules.unlisted_issuers == UnlistedIssuers::Refuse;
        !(is_stale || refuses_unlisted && is_unlisted())
    }

    /// The last second, `until` at the latest, before time may change what the store's rules make of the
    /// lists about a path to `anchor`: one of them goes stale, or a signer expires that vouched.
    pub(super) fn hold_until<'a>(
        &self,
        until: UnixTime,
        path: impl Iterator<Item = Issued<'a>>,
        anchor: &Authority,
        rules: Rules,
        now: UnixTime,
    ) -> UnixTime {
        let leans_on_lists = rules.stale_revocations == StaleRevocations::Refuse;
        let leans_on_signers = rules.unlisted_issuers == UnlistedIssuers::Refuse;
        if !leans_on_lists && !leans_on_signers {
            return until;
        }
        let scopes = path.flat_map(|issued| self.scopes(issued.issuer, anchor));
        let ends = scopes.flat_map(|scope| &scope.parts).flat_map(|part| {
            let list = part.next_update.filter(|_| leans_on_lists);
            let signers = part.signers.iter().filter(|_| leans_on_signers);
            signers.map(|signer| signer.not_after).chain(list)
        });
        // What has passed already has no say any more.
        ends.filter(|end| now <= *end).fold(until, UnixTime::min)
    }

    /// The lists of an issuer that count on a path to `anchor`.
    pub(super) fn lists(
        &self,
        issuer: Issuer<'_>,
        anchor: &Authority,
    ) -> impl Iterator<Item = &Status> {
        let parts = self.scopes(issuer, anchor).flat_map(|scope| &scope.parts);
        parts.filter_map(|part| self.status.get(part.list))
    }

    /// What time can change about these lists: each pair is a first and a last second.
    pub(super) fn validities(
        &self,
        issuer: Issuer<'_>,
        anchor: &Authority,
    ) -> impl Iterator<Item = (UnixTime, Option<UnixTime>)> {
        let parts = self.scopes(issuer, anchor).flat_map(|scope| &scope.parts);
        parts.flat_map(|part| {
            let signers = part.signers.iter();
            let signers = signers.map(|signer| (signer.not_before, Some(signer.not_after)));
            signers.chain([(part.this_update, part.next_update)])
        })
    }

    /// Looks every signer up in the index that is whole only now.
    fn note_revoked_signers(&mut self, bundle: &Bundle) {
        let revoked: HashSet<Box<[u8]>> = bundle
            .cas()
            .filter(|ca| ca.anchor.is_none())
            .filter(|ca| {
                let named = self.by_issuer.get(ca.certificate.issuer()).into_iter().flatten();
                named
                    .filter(|scope| scope.anchors.iter().any(|over| ca.chains_to.contains(over)))
                    .any(|scope| scope.serials.find(ca.certificate.serial()).is_some())
            })
            .map(|ca| ca.certificate.key_info().into())
            .collect();
        for scope in self.by_issuer.values_mut().flatten() {
            for signer in scope.parts.iter_mut().flat_map(|part| &mut part.signers) {
                signer.is_revoked = revoked.contains(&signer.key);
            }
        }
    }

    /// What the lists of the issuer's name say, as far as they count on a path to `anchor`.
    fn scopes(
        &self,
        issuer: Issuer<'_>,
        anchor: &Authority,
    ) -> impl Iterator<Item = &Scope<Serials>> {
        let named = self.by_issuer.get(issuer.name).into_iter().flatten();
        named.filter(move |scope| {
            scope.anchors.contains(anchor) || scope.keys.iter().any(|key| **key == *issuer.key_info)
        })
    }
}

impl<'a> Issued<'a> {
    pub(super) fn of(certificate: &'a Certificate<'_>, issuer: Issuer<'a>) -> Self {
        Self {
            serial: certificate.serial(),
            is_ca: certificate.extensions.is_ca,
            distribution_points: certificate.distribution_points(),
            issuer,
        }
    }
}

impl<'a> Issuer<'a> {
    pub(super) fn of(certificate: &'a Certificate<'_>) -> Self {
        Self {
            name: certificate.subject(),
            key_info: certificate.key_info(),
            signs_lists: certificate.extensions.allows(KeyUsage::CrlSign),
        }
    }
}

impl Hit {
    pub(super) const fn refusal(self) -> Refusal {
        match self {
            Self::Revoked { .. } => Refusal::CrlHit,
            Self::Unvouched { .. } => Refusal::CrlProcessingError,
        }
    }
}

impl Part {
    /// Whether a certificate of this issuer's that the list does not name is not revoked.
    ///
    /// Not where delta lists may name it. Nor where a key signed that is not trusted for lists: the path's
    /// own key is judged with the path, another one here (RFC 5280, section 6.3.3, step f).
    fn vouches(&self, issuer: Issuer<'_>, now: UnixTime) -> bool {
        let is_good = |signer: &Signer| {
            if *signer.key == *issuer.key_info {
                return issuer.signs_lists;
            }
            !signer.is_revoked && (signer.not_before..=signer.not_after).contains(&now)
        };
        !self.has_deltas && self.signers.iter().any(is_good)
    }

    fn is_stale(&self, now: UnixTime) -> bool {
        self.next_update.is_some_and(|next_update| next_update < now)
    }

    fn is_current(&self, now: UnixTime) -> bool {
        self.this_update <= now && !self.is_stale(now)
    }
}

impl Signer {
    fn of(certificate: &Certificate<'_>) -> Self {
        let (not_before, not_after) = (certificate.not_before, certificate.not_after);
        Self { key: certificate.key_info().into(), not_before, not_after, is_revoked: false }
    }
}

impl Scope<Gathered> {
    fn finish(self) -> Scope<Serials> {
        let Self { anchors, keys, parts, serials } = self;
        Scope { anchors, keys, parts, serials: serials.finish() }
    }
}

impl Loading {
    /// Adds every list of a file; the answer is what is wrong with it.
    fn add_file(&mut self, file_index: usize, file: &File<'_>, bundle: &Bundle) -> Vec<String> {
        let from = (file_index, file.name);
        let max = limits::REVOCATION_FILE_BYTES_MAX;
        match file.bytes {
            [] => return vec!["the file is empty".to_owned()],
            bytes if bytes.len() > max => {
                return vec![format!("the file has {} bytes; {max} are allowed", bytes.len())];
            }
            bytes if der::is_long(bytes) => {
                return self.add_list(from, bytes, bundle).err().into_iter().collect();
            }
            _ => {}
        }
        let mut faults = Vec::new();
        let mut blocks = 0;
        for block in pem::blocks(file.bytes) {
            blocks += 1;
            if let Err(fault) = self.add_block(from, block, bundle) {
                faults.push(format!("block {blocks}, {fault}"));
            }
            // A file has room for millions of blocks; nobody is told of more faults than these.
            if faults.len() > limits::FAULTS_MAX {
                break;
            }
        }
        if blocks == 0 {
            faults.push("the file holds no revocation list, neither PEM nor DER".to_owned());
        }
        faults
    }

    fn add_block(
        &mut self,
        from: (usize, &str),
        block: Result<pem::Block<'_>, pem::Broken>,
        bundle: &Bundle,
    ) -> Result<(), String> {
        let block = block.map_err(|broken| broken.to_string())?;
        let line = block.line;
        if block.label != b"X509 CRL" {
            return Err(format!("line {line}: {}, not an X509 CRL", block.label.escape_ascii()));
        }
        let der = block.decode().map_err(|broken| broken.to_string())?;
        self.add_list(from, &der, bundle).map_err(|fault| format!("line {line}: {fault}"))
    }

    fn add_list(
        &mut self,
        (file_index, file): (usize, &str),
        der: &[u8],
        bundle: &Bundle,
    ) -> Result<(), String> {
        let list = RevocationList::read(der).map_err(|unusable| unusable.to_string())?;
        let issuer = name::rfc2253(list.issuer).map_err(|malformed| malformed.to_string())?;
        let named = |why: String| format!("the list of {issuer}: {why}");
        let signers = signers(&list, bundle).map_err(|why| named(why.to_owned()))?;
        let entries = list.count().map_err(|unusable| named(unusable.to_string()))?;

        let position = self.status.len();
        let scope = self.scope(list.issuer, &signers);
        scope.serials.reserve(entries);
        for entry in list.entries() {
            let entry = entry.map_err(|unusable| named(unusable.to_string()))?;
            scope.serials.add(entry.serial, entry.reason);
        }
        let (this_update, next_update) = (list.this_update, list.next_update);
        let (partition, has_deltas) = (list.partition, list.has_deltas);
        let signers = signers.iter().map(|ca| Signer::of(&ca.certificate)).collect();
        let part =
            Part { list: position, partition, has_deltas, this_update, next_update, signers };
        scope.parts.push(part);
        self.status.push(Status {
            file: file.to_owned(),
            file_index,
            issuer,
            entries,
            this_update,
            next_update,
        });
        Ok(())
    }

    /// Where lists of this issuer by these signers gather.
    fn scope(&mut self, issuer: &[u8], signers: &[&Ca]) -> &mut Scope<Gathered> {
        let mut anchors: Vec<_> =
            signers.iter().flat_map(|ca| ca.chains_to.iter().copied()).collect();
        anchors.sort_unstable();
        anchors.dedup();
        let scopes = self.by_issuer.entry(issuer.into()).or_default();
        let position = scopes.iter().position(|scope| scope.anchors == anchors);
        let position = position.unwrap_or_else(|| {
            let (keys, parts, serials) = (Vec::new(), Vec::new(), Gathered::default());
            scopes.push(Scope { anchors, keys, parts, serials });
            scopes.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed above")]
        let scope = &mut scopes[position];
        for ca in signers {
            if !scope.keys.iter().any(|key| **key == *ca.certificate.key_info()) {
                scope.keys.push(ca.certificate.key_info().into());
            }
        }
        scope
    }
}

/// Shows each list of a file that was loaded before, in DER.
pub(super) fn each_list(file: &[u8], mut show: impl FnMut(&[u8])) {
    if der::is_long(file) {
        return show(file);
    }
    for block in pem::blocks(file).filter_map(Result::ok) {
        if let Ok(der) = block.decode() {
            show(&der);
        }
    }
}

/// The CAs that signed the list: usually one, several where a CA's certificate was renewed.
fn signers<'a>(list: &RevocationList<'_>, bundle: &'a Bundle) -> Result<Vec<&'a Ca>, &'static str> {
    if !list.signed.is_supported() {
        return Err(
            "its signature algorithm is not supported (SHA-256, SHA-384 or SHA-512 with RSA \
                    or ECDSA are)",
        );
    }
    let mut named = bundle.named(list.issuer).peekable();
    if named.peek().is_none() {
        return Err("its issuer is not in the CA bundle");
    }
    let signed: Vec<_> = named.filter(|ca| list.signed.is_by(&ca.certificate.key())).collect();
    if signed.is_empty() {
        return Err("its signature is wrong, or by a key that is not in the CA bundle");
    }
    let may_sign = |ca: &&Ca| ca.certificate.extensions.allows(KeyUsage::CrlSign);
    let signers: Vec<_> = signed.into_iter().filter(may_sign).collect();
    if signers.is_empty() {
        return Err("its signer may not sign revocation lists (keyUsage without cRLSign)");
    }
    Ok(signers)
}

#[cfg(test)]
mod rule_tests;
#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
