//! Who changes a trust store, and where what it was made of stands: for questions about what is live.
//!
//! Files may have changed since they were loaded, so each is remembered with its hash, and what is read
//! again is what was loaded or nothing.
use super::files::{self, Digest};
use super::state::{Checksum, Contents, Directory};
use crate::limits;
use bytes::Bytes;
use std::path::{Path, PathBuf};

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

    /// Its revocation files as they were when the trust store was loaded, for one question.
    pub fn revocation_files<'a>(
        &'a self,
        trust_store: &'a str,
        state: Option<&'a Directory>,
    ) -> RevocationFiles<'a> {
        RevocationFiles { source: self, trust_store, state, kept: None }
    }
}

/// Gives the revocation files of a trust store once more. What `state_dir` holds of it is read with the
/// first of them, and not again.
#[derive(Debug)]
pub struct RevocationFiles<'a> {
    source: &'a Source,
    trust_store: &'a str,
    state: Option<&'a Directory>,
    kept: Option<Result<Contents, String>>,
}

impl RevocationFiles<'_> {
    /// The one at `index`.
    ///
    /// # Errors
    /// Why it is not to be had any more, in a sentence.
    pub fn read(&mut self, index: usize) -> Result<Bytes, String> {
        match self.source {
            Source::Files { revocations } => {
                let Some(Origin { path, digest }) = revocations.get(index) else {
                    return Err(format!("{} was loaded without its files", self.trust_store));
                };
                let name = path.display();
                let bytes = files::read(path, limits::REVOCATION_FILE_BYTES_MAX)
                    .map_err(|error| format!("{name}: {error}"))?;
                if Digest::of(&bytes) != *digest {
                    return Err(changed(path));
                }
                Ok(bytes.into())
            }
            Source::Api { revocation_ids, checksum } => {
                let Some(state) = self.state else {
                    return Err("there is no state_dir".to_owned());
                };
                let read = || kept(state, self.trust_store, checksum);
                let kept = self.kept.get_or_insert_with(read).as_ref().map_err(String::clone)?;
                let id = revocation_ids.get(index);
                let file = id.and_then(|id| kept.revocations().get(id));
                // The checksum is right, so this is only so for an index that there never was.
                file.map(|file| file.bytes.clone())
                    .ok_or_else(|| changed(&state.file(self.trust_store)))
            }
        }
    }
}

/// What is kept of a trust store, if it is what was loaded.
fn kept(state: &Directory, trust_store: &str, checksum: &Checksum) -> Result<Contents, String> {
    let file = state.file(trust_store);
    let sealed = state.read(trust_store)?.ok_or(format!("{} is gone", file.display()))?;
    if sealed.checksum() != checksum {
        return Err(changed(&file));
    }
    Ok(sealed.into_contents())
}

fn changed(file: &Path) -> String {
    format!("{} has changed since it was loaded", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scratch::Scratch;
    use crate::config::state::{Change, File};

    fn list(name: &str) -> File {
        File { name: name.to_owned(), bytes: name.as_bytes().to_vec().into() }
    }

    /// Goal: one question reads the state once, and every question what was loaded. Method: the state is
    /// another one after the first file.
    #[test]
    fn a_question_reads_what_was_loaded_once() {
        let scratch = Scratch::new();
        let state = Directory::open(&scratch.path("state"), "edge-1").unwrap();
        let contents = Contents::new(list("bundle"), vec![list("a"), list("b")]).unwrap();
        let sealed = contents.clone().sealed("partners");
        let keep = |sealed| state.stage(sealed).unwrap().commit().unwrap();
        keep(&sealed);
        let source = Source::Api { revocation_ids: vec![1, 2], checksum: *sealed.checksum() };
        let files = || source.revocation_files("partners", Some(&state));

        let mut one = files();
        assert_eq!(one.read(0).unwrap(), &b"a"[..]);
        let fewer = contents.changed(Change::RemoveRevocations(vec![1])).unwrap();
        keep(&fewer.sealed("partners"));
        assert_eq!(one.read(1).unwrap(), &b"b"[..]);
        let mut other = files();
        for _ in 0..2 {
            let said = other.read(1).unwrap_err();
            assert!(said.ends_with("partners.state has changed since it was loaded"), "{said}");
        }
    }
}
