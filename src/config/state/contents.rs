//! The contents of one trust store: its bundle, its revocation files with their ids, the next id.
//!
//! Pure. Revocation ids only grow and are never used again, as ALB's.
//! The encoded form is `MAGIC`, then [parts](super::super::parts): name of the trust store, next id,
//! name and content of the bundle, and for each revocation file its id, name and content; at its end a
//! SHA-256 over everything before. It is written and hashed piece by piece and read in place. To hash
//! hundreds of MiB takes its time, so that is done once for each [`Sealed`], which knows its checksum.
//! Bounds: `limits::REVOCATION_FILES_MAX` files, `limits::TRUST_STORE_BYTES_MAX` bytes in all, and those of each
//! file.
#![deny(clippy::indexing_slicing)]
use crate::config::files;
use crate::config::parts::{self, Cut, Parts};
use crate::limits;
use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// A file as somebody gave it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// How they called it.
    pub name: String,
    /// What it held.
    pub bytes: Bytes,
}

/// What a trust store holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contents {
    next_id: u64,
    bundle: File,
    revocations: BTreeMap<u64, File>,
}

/// What a command asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Another bundle; with `revocations` these are all that there are, without the present ones stay.
    Replace {
        /// PEM.
        bundle: File,
        /// PEM or DER.
        revocations: Option<Vec<File>>,
    },
    /// More revocation files.
    AddRevocations(Vec<File>),
    /// Fewer.
    RemoveRevocations(Vec<u64>),
}

impl Change {
    /// What is done, for logs.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Replace { .. } => "replacement",
            Self::AddRevocations(_) => "added revocations",
            Self::RemoveRevocations(_) => "removed revocations",
        }
    }
}

/// Why a command cannot be followed, before anything was read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// Of a revocation file that is not there.
    #[error("there is no revocation with the id {0}")]
    UnknownId(u64),
    /// A number that people would not reach.
    #[error("it would hold {0} revocation files; {max} are allowed", max = limits::REVOCATION_FILES_MAX)]
    TooManyFiles(usize),
    /// One of its files is too long.
    #[error("{name}: {}", files::over(*.bytes as u64, *.bytes_max))]
    FileTooLong {
        /// How the file is called.
        name: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// Its encoded form would be too long.
    #[error("it would have {0} bytes; {max} are allowed", max = limits::TRUST_STORE_BYTES_MAX)]
    TooLong(usize),
}

/// Why bytes are not the encoded form.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Broken {
    /// Something else altogether, or less than the beginning.
    #[error("this is not the state of a trust store")]
    Foreign,
    /// Of a version that this build does not know.
    #[error("this is the state of a trust store in a form of another version of portcullis")]
    OtherVersion,
    /// Some of it is missing or has changed.
    #[error("it is damaged: its checksum is wrong")]
    Checksum,
    /// Of another trust store, renamed.
    #[error("it is the state of another trust store")]
    OtherStore,
    /// What the checksum vouches for makes no sense; a bug of whoever wrote it.
    #[error("it is damaged: its parts do not fit together")]
    Parts,
}

impl From<Cut> for Broken {
    fn from(_: Cut) -> Self {
        Self::Parts
    }
}

const MAGIC: &[u8] = b"portcullis trust store, version ";
const VERSION: &[u8] = b"0001\n";

/// The checksum at the end of an encoded form.
pub type Checksum = [u8; SHA256_OUTPUT_LEN];

impl Contents {
    /// What a new trust store holds. Ids begin at 1.
    ///
    /// # Errors
    /// [`Refused`] where a bound is passed.
    pub fn new(bundle: File, revocations: Vec<File>) -> Result<Self, Refused> {
        let mut contents = Self { next_id: 1, bundle, revocations: BTreeMap::new() };
        contents.add(revocations);
        contents.bounded()
    }

    /// The CA bundle.
    pub fn bundle(&self) -> &File {
        &self.bundle
    }

    /// The revocation files by id, oldest first.
    pub fn revocations(&self) -> &BTreeMap<u64, File> {
        &self.revocations
    }

    /// The id that the next revocation file gets.
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// What it holds after a change.
    ///
    /// # Errors
    /// Everything that stands in the way.
    pub fn changed(&self, change: Change) -> Result<Self, Vec<Refused>> {
        let mut changed = self.clone();
        match change {
            Change::Replace { bundle, revocations } => {
                changed.bundle = bundle;
                if let Some(revocations) = revocations {
                    changed.revocations.clear();
                    changed.add(revocations);
                }
            }
            Change::AddRevocations(files) => changed.add(files),
            Change::RemoveRevocations(ids) => {
                let is_unknown = |id: &&u64| !self.revocations.contains_key(id);
                let unknown: Vec<_> =
                    ids.iter().filter(is_unknown).copied().map(Refused::UnknownId).collect();
                if !unknown.is_empty() {
                    return Err(unknown);
                }
                changed.revocations.retain(|id, _| !ids.contains(id));
            }
        }
        changed.bounded().map_err(|refused| vec![refused])
    }

    fn add(&mut self, files: Vec<File>) {
        let first = self.next_id;
        self.next_id += files.len() as u64;
        self.revocations.extend((first..).zip(files));
    }

    fn bounded(self) -> Result<Self, Refused> {
        let files = self.revocations.len();
        if files > limits::REVOCATION_FILES_MAX {
            return Err(Refused::TooManyFiles(files));
        }
        let lists = self.revocations.values();
        let lists = lists.map(|list| (list, limits::REVOCATION_FILE_BYTES_MAX));
        let mut all = std::iter::once((&self.bundle, limits::BUNDLE_BYTES_MAX)).chain(lists);
        if let Some((file, bytes_max)) = all.find(|(file, bytes_max)| file.bytes.len() > *bytes_max)
        {
            let (name, bytes) = (file.name.clone(), file.bytes.len());
            return Err(Refused::FileTooLong { name, bytes, bytes_max });
        }
        let all = std::iter::once(&self.bundle).chain(self.revocations.values());
        let bytes: usize = all.map(|file| FILE_OVERHEAD + file.name.len() + file.bytes.len()).sum();
        if bytes > limits::TRUST_STORE_BYTES_MAX {
            return Err(Refused::TooLong(bytes));
        }
        Ok(self)
    }

    /// Made to be kept, as those of a trust store.
    pub fn sealed(self, trust_store: &str) -> Sealed {
        let mut hash = Hash(Context::new(&SHA256));
        // A hash takes everything.
        let _ = self.encode(trust_store, &mut hash);
        let mut checksum = Checksum::default();
        checksum.copy_from_slice(hash.0.finish().as_ref());
        Sealed { trust_store: trust_store.to_owned(), contents: self, checksum }
    }

    /// Writes the encoded form but for its checksum.
    fn encode(&self, trust_store: &str, out: &mut impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(VERSION)?;
        parts::write(out, trust_store.as_bytes())?;
        parts::write(out, &self.next_id.to_be_bytes())?;
        parts::write(out, self.bundle.name.as_bytes())?;
        parts::write(out, &self.bundle.bytes)?;
        for (id, file) in &self.revocations {
            parts::write(out, &id.to_be_bytes())?;
            parts::write(out, file.name.as_bytes())?;
            parts::write(out, &file.bytes)?;
        }
        Ok(())
    }
}

/// The contents of a trust store of this name, with their checksum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    trust_store: String,
    contents: Contents,
    checksum: Checksum,
}

impl Sealed {
    /// Whose they are.
    pub fn trust_store(&self) -> &str {
        &self.trust_store
    }

    /// The contents.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The contents, to be changed.
    pub fn into_contents(self) -> Contents {
        self.contents
    }

    /// That at the end of their encoded form.
    pub fn checksum(&self) -> &Checksum {
        &self.checksum
    }

    /// Writes the encoded form.
    ///
    /// # Errors
    /// What the writer says.
    pub fn encode(&self, out: &mut impl Write) -> io::Result<()> {
        self.contents.encode(&self.trust_store, out)?;
        out.write_all(&self.checksum)
    }

    /// Reads an encoded form, without copying what it holds.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn decode(trust_store: &str, bytes: &Bytes) -> Result<Self, Broken> {
        let versioned = bytes.strip_prefix(MAGIC).ok_or(Broken::Foreign)?;
        // Whatever comes after another version's number may mean anything.
        if versioned.len() >= VERSION.len() && !versioned.starts_with(VERSION) {
            return Err(Broken::OtherVersion);
        }
        let (rest, checksum) = versioned.split_last_chunk().ok_or(Broken::Checksum)?;
        let checksum: &Checksum = checksum;
        let signed = bytes.get(..bytes.len() - checksum.len()).ok_or(Broken::Checksum)?;
        if digest(&SHA256, signed).as_ref() != checksum {
            return Err(Broken::Checksum);
        }
        let parts = rest.strip_prefix(VERSION).ok_or(Broken::Parts)?;
        let mut parts = Parts::new(bytes.slice_ref(parts));
        if parts.take()? != trust_store {
            return Err(Broken::OtherStore);
        }
        let next_id = number(&mut parts)?;
        let bundle = file(&mut parts)?;
        let mut revocations = BTreeMap::new();
        while !parts.is_empty() {
            let id = number(&mut parts)?;
            let is_next = revocations.last_key_value().is_none_or(|(last, _)| *last < id);
            if !is_next || id >= next_id {
                return Err(Broken::Parts);
            }
            revocations.insert(id, file(&mut parts)?);
        }
        let contents = Contents { next_id, bundle, revocations };
        Ok(Self { trust_store: trust_store.to_owned(), contents, checksum: *checksum })
    }
}

fn number(parts: &mut Parts) -> Result<u64, Broken> {
    let bytes = parts.take()?;
    let bytes = bytes.as_ref().try_into().map_err(|_| Broken::Parts)?;
    Ok(u64::from_be_bytes(bytes))
}

fn file(parts: &mut Parts) -> Result<File, Broken> {
    Ok(File { name: parts.take_text()?, bytes: parts.take()? })
}

/// Three lengths and an id.
const FILE_OVERHEAD: usize = 4 * 8;

/// Takes what is written to it into a hash.
struct Hash(Context);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "contents_tests.rs"]
mod tests;
