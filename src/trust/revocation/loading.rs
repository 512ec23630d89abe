//! Loading revocation files: each list is read once, its signature verified once, and its entries join those
//! of its issuer.
#![deny(clippy::indexing_slicing)]
use super::part::{Part, Signer};
use super::{Revocations, Scope, Status};
use crate::limits;
use crate::trust::bundle::{Bundle, Ca};
use crate::trust::crl::RevocationList;
use crate::trust::serials::{Gathered, Serials};
use crate::trust::x509::KeyUsage;
use crate::trust::{der, name, pem};
use std::collections::{HashMap, HashSet};

/// One revocation file, PEM (one or several blocks) or DER.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its name, for faults and status.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// Why a revocation file is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Which of the given files.
    pub file_index: usize,
    /// What is wrong, in words.
    pub message: String,
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
pub(in crate::trust) fn each_list(file: &[u8], mut show: impl FnMut(&[u8])) {
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
