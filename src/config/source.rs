//! Who changes a trust store, and where what it was made of stands: for questions about what is live.
//!
//! Files may have changed since they were loaded, so each is remembered with its hash, and what is read
//! again is what was loaded or nothing.
use super::files::{self, Digest};
use super::state::{Checksum, Directory};
use crate::limits;
use bytes::Bytes;
use std::path::PathBuf;

/// Who changes a trust store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// Whoever writes its files.
    Files {
        /// Its revocation files, in their order.
        revocations: Vec<Origin>,
    },
    /// Commands.
    Api {
        /// Of its revocation files, in their order.
        revocation_ids: Vec<u64>,
        /// Of what `state_dir` held of it when it was made.
        checksum: Checksum,
    },
}

/// A file that was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// Where.
    pub path: PathBuf,
    /// What it held.
    pub digest: Digest,
}

impl Source {
    /// Its word in the configuration.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Files { .. } => "files",
            Self::Api { .. } => "api",
        }
    }

    /// The id of the revocation file at `index`, where commands change the trust store.
    pub fn revocation_id(&self, index: usize) -> Option<u64> {
        match self {
            Self::Files { .. } => None,
            Self::Api { revocation_ids, .. } => revocation_ids.get(index).copied(),
        }
    }

    /// The revocation file at `index`, as it was when the trust store was loaded.
    ///
    /// # Errors
    /// Why it is not to be had any more, in a sentence.
    pub fn revocation_file(
        &self,
        trust_store: &str,
        index: usize,
        state: Option<&Directory>,
    ) -> Result<Bytes, String> {
        match self {
            Self::Files { revocations } => {
                let Some(Origin { path, digest }) = revocations.get(index) else {
                    return Err(format!("{trust_store} was loaded without its files"));
                };
                let name = path.display();
                let bytes = files::read(path, limits::REVOCATION_FILE_BYTES_MAX)
                    .map_err(|error| format!("{name}: {error}"))?;
                if Digest::of(&bytes) != *digest {
                    return Err(format!("{name} has changed since it was loaded"));
                }
                Ok(bytes.into())
            }
            Self::Api { revocation_ids, checksum } => {
                let Some(state) = state else { return Err("there is no state_dir".to_owned()) };
                let name = state.file(trust_store).display().to_string();
                let contents = state.read(trust_store)?.ok_or(format!("{name} is gone"))?;
                let id = revocation_ids.get(index);
                let file = id.and_then(|id| contents.revocations().get(id));
                match file {
                    Some(file) if contents.checksum(trust_store) == *checksum => {
                        Ok(file.bytes.clone())
                    }
                    Some(_) | None => Err(format!("{name} has changed since it was loaded")),
                }
            }
        }
    }
}
