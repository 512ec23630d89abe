//! The revocation index: the union of all revocation files of a trust store.
//!
//! Loaded on the control thread: each list is read once, and its signature verified once. A list covers
//! every certificate of its issuer's *name* under the anchors that its signer chains to, whichever key
//! of that name signed it, so that a CA's new key can revoke what its old key issued. Equal names under
//! different anchors stay apart, but for one thing: a key's own list covers what that key issued under
//! any anchor, so that a revoked client cannot step round a list by sending a cross-certificate.
//!
//! All lists of one issuer are one set, in any order: rustls-webpki takes the first that matches, and an
//! empty one hides the rest. A list whose nextUpdate has passed, or whose thisUpdate lies ahead, keeps
//! being enforced; a CA without a list is not checked.
//! Bound: `limits::REVOCATION_FILE_BYTES_MAX` for each file.
#![deny(clippy::indexing_slicing)]
use super::bundle::{Authority, Ca};
use super::crl::RevocationList;
use super::serials::{Gathered, Reason, Serials};
use super::x509::{Certificate, KeyUsage};
use super::{Bundle, name, pem};
use crate::limits;
use rustls_pki_types::UnixTime;
use std::collections::HashMap;

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
    /// Their positions in the status.
    lists: Vec<usize>,
    serials: S,
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
            let found = loading.add_file(file, bundle);
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
        Ok(Self { by_issuer, status: loading.status })
    }

    /// Revoked certificates in all files.
    pub fn entries(&self) -> usize {
        self.status.iter().map(|list| list.entries).sum()
    }

    /// Each CRL, in the order of the files.
    pub fn status(&self) -> &[Status] {
        &self.status
    }

    /// The lists of an issuer that count on a path to `anchor`.
    pub(super) fn lists(
        &self,
        issuer: &Certificate<'_>,
        anchor: &Authority,
    ) -> impl Iterator<Item = &Status> {
        let scopes = self.by_issuer.get(issuer.subject()).into_iter().flatten();
        let scopes = scopes.filter(|scope| scope.counts(issuer, anchor));
        scopes.flat_map(|scope| &scope.lists).filter_map(|&position| self.status.get(position))
    }

    /// The reason, where `certificate`, issued by `issuer` on a path to `anchor`, is revoked.
    pub(super) fn find(
        &self,
        certificate: &Certificate<'_>,
        issuer: &Certificate<'_>,
        anchor: &Authority,
    ) -> Option<Reason> {
        let scopes = self.by_issuer.get(certificate.issuer())?;
        scopes
            .iter()
            .filter(|scope| scope.counts(issuer, anchor))
            .find_map(|scope| scope.serials.find(certificate.serial()))
    }
}

impl Scope<Serials> {
    /// Whether it is about what `issuer` issued on a path to `anchor`.
    fn counts(&self, issuer: &Certificate<'_>, anchor: &Authority) -> bool {
        self.anchors.contains(anchor) || self.keys.iter().any(|key| **key == *issuer.key_info())
    }
}

impl Scope<Gathered> {
    fn finish(self) -> Scope<Serials> {
        let Self { anchors, keys, lists, serials } = self;
        Scope { anchors, keys, lists, serials: serials.finish() }
    }
}

impl Loading {
    /// Adds every list of a file; the answer is what is wrong with it.
    fn add_file(&mut self, file: &File<'_>, bundle: &Bundle) -> Vec<String> {
        let max = limits::REVOCATION_FILE_BYTES_MAX;
        match file.bytes {
            [] => return vec!["the file is empty".to_owned()],
            bytes if bytes.len() > max => {
                return vec![format!("the file has {} bytes; {max} are allowed", bytes.len())];
            }
            // A list in DER is longer than 127 bytes; text never goes on like this.
            [0x30, 0x81..=0x84, ..] => {
                return self.add_list(file.name, file.bytes, bundle).err().into_iter().collect();
            }
            _ => {}
        }
        let mut faults = Vec::new();
        let mut blocks = 0;
        for block in pem::blocks(file.bytes) {
            blocks += 1;
            if let Err(fault) = self.add_block(file.name, block, bundle) {
                faults.push(format!("block {blocks}, {fault}"));
            }
        }
        if blocks == 0 {
            faults.push("the file holds no revocation list, neither PEM nor DER".to_owned());
        }
        faults
    }

    fn add_block(
        &mut self,
        file: &str,
        block: Result<pem::Block<'_>, pem::Broken>,
        bundle: &Bundle,
    ) -> Result<(), String> {
        let block = block.map_err(|broken| broken.to_string())?;
        let line = block.line;
        if block.label != b"X509 CRL" {
            return Err(format!("line {line}: {}, not an X509 CRL", block.label.escape_ascii()));
        }
        let der = block.decode().map_err(|broken| broken.to_string())?;
        self.add_list(file, &der, bundle).map_err(|fault| format!("line {line}: {fault}"))
    }

    fn add_list(&mut self, file: &str, der: &[u8], bundle: &Bundle) -> Result<(), String> {
        let list = RevocationList::read(der).map_err(|unusable| unusable.to_string())?;
        let issuer = name::rfc2253(list.issuer).map_err(|malformed| malformed.to_string())?;
        let named = |why: String| format!("the list of {issuer}: {why}");
        let signers = signers(&list, bundle).map_err(|why| named(why.to_owned()))?;
        let entries = list.count().map_err(|unusable| named(unusable.to_string()))?;

        let position = self.status.len();
        let scope = self.scope(list.issuer, &signers);
        scope.lists.push(position);
        scope.serials.reserve(entries);
        for entry in list.entries() {
            let entry = entry.map_err(|unusable| named(unusable.to_string()))?;
            scope.serials.add(entry.serial, entry.reason);
        }
        let (this_update, next_update) = (list.this_update, list.next_update);
        self.status.push(Status {
            file: file.to_owned(),
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
            let (keys, lists, serials) = (Vec::new(), Vec::new(), Gathered::default());
            scopes.push(Scope { anchors, keys, lists, serials });
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
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
