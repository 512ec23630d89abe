//! The files that a configuration is made of: read once for each load, and remembered by their content.
//!
//! Bounds: each kind of file has its limit in `limits`; a file over it is never held in memory.
use super::faults::{Faults, OrNote};
use crate::limits;
use crate::observe::load::Reason;
use aws_lc_rs::digest::{self, SHA256};
use bytes::Bytes;
use rustls_pki_types::UnixTime;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Take, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// SHA-256 of a file's content, or of anything else that two loads compare.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut context = digest::Context::new(&SHA256);
        context.update(bytes);
        Self::finish(context)
    }

    /// Of several parts; where one ends and the next begins counts.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut context = digest::Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Self::finish(context)
    }

    fn finish(context: digest::Context) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Every file that a load looked at, and what it held; `None` where it could not be read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Inputs(pub BTreeMap<PathBuf, Input>);

/// One file that a load looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Input {
    /// What it held; `None` where it could not be read.
    pub digest: Option<Digest>,
    /// The limit of its size.
    pub bytes_max: usize,
}

impl Inputs {
    /// The same files as they are now.
    pub fn now(&self) -> Self {
        let look = |(path, input): (&PathBuf, &Input)| {
            (path.clone(), Input { digest: digest_now(path, input.bytes_max), ..*input })
        };
        Self(self.0.iter().map(look).collect())
    }
}

/// A file's content.
#[derive(Clone, Debug)]
pub(super) struct Content {
    /// Where it was read.
    pub(super) path: PathBuf,
    /// All of it.
    pub(super) bytes: Bytes,
    /// Its hash.
    pub(super) digest: Digest,
}

/// For how long a file is watched.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Follow {
    /// Until a load has made something of it.
    UntilLoaded,
    /// As long as the configuration names it.
    Always,
}

/// The files of one load. Each is read once, however often it is named, so that all who name it see the
/// same content.
#[derive(Debug)]
pub(super) struct Files {
    base: PathBuf,
    read: BTreeMap<PathBuf, Looked>,
}

/// One file of a load.
#[derive(Debug)]
struct Looked {
    bytes_max: usize,
    follow: Follow,
    outcome: Result<Content, String>,
}

impl Files {
    /// Relative paths are relative to `base`.
    pub(super) fn new(base: PathBuf) -> Self {
        Self { base, read: BTreeMap::new() }
    }

    /// Where a path that is written in the configuration leads.
    pub(super) fn resolve(&self, written: impl AsRef<Path>) -> PathBuf {
        self.base.join(written)
    }

    /// Reads the file that is written at `key`; what stands in the way is a fault of that key.
    pub(super) fn read(
        &mut self,
        written: &str,
        bytes_max: usize,
        faults: &mut Faults,
        key: &str,
    ) -> Option<Content> {
        let content = self.open(written, bytes_max);
        faults.because(Reason::UnreadableFile, |faults| content.or_note(faults, key))
    }

    /// Reads a file that is watched from then on.
    ///
    /// # Errors
    /// A sentence that names it.
    pub(super) fn open(
        &mut self,
        written: impl AsRef<Path>,
        bytes_max: usize,
    ) -> Result<Content, String> {
        self.open_as(written, bytes_max, Follow::Always)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A sentence that names it.
    pub(super) fn open_as(
        &mut self,
        written: impl AsRef<Path>,
        bytes_max: usize,
        follow: Follow,
    ) -> Result<Content, String> {
        let written = written.as_ref();
        if written.as_os_str().is_empty() {
            return Err("expected a path, found nothing".to_owned());
        }
        let path = self.resolve(written);
        let read = self.read.entry(path).or_insert_with_key(|path| {
            let content = read(path, bytes_max).map(|bytes| Content {
                path: path.clone(),
                digest: Digest::of(&bytes),
                bytes: bytes.into(),
            });
            let outcome = content.map_err(|error| format!("{}: {error}", path.display()));
            Looked { bytes_max, follow, outcome }
        });
        read.follow = read.follow.max(follow);
        read.outcome.clone()
    }

    /// What was looked at, and is followed for so long at least.
    pub(super) fn inputs(&self, follow: Follow) -> Inputs {
        let input = |(path, read): (&PathBuf, &Looked)| {
            let digest = read.outcome.as_ref().ok().map(|content| content.digest);
            (path.clone(), Input { digest, bytes_max: read.bytes_max })
        };
        Inputs(self.read.iter().filter(|(_, read)| read.follow >= follow).map(input).collect())
    }
}

/// Reads a file whole, or says why not.
pub(super) fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut file = open(path, bytes_max)?;
    // Room for the whole file at once: a list of 128 MiB that grows by doubling would take twice that.
    let mut bytes = Vec::new();
    let size = file.get_ref().metadata().map_or(0, |metadata| metadata.len()).min(file.limit());
    bytes.reserve_exact(usize::try_from(size).unwrap_or(0));
    // In pieces: a kernel without preemption gives its CPU to nobody while one read copies, 10 ms for 16 MiB.
    let mut piece = || file.by_ref().take(limits::READ_BYTES_MAX).read_to_end(&mut bytes);
    while piece().map_err(|error| error.to_string())? > 0 {}
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    if bytes.len() > bytes_max {
        // It has grown since it was opened, and may go on.
        let now = file.get_ref().metadata().map_or(0, |metadata| metadata.len());
        return Err(over(now.max(bytes.len() as u64), bytes_max));
    }
    Ok(bytes)
}

/// When a file was last written, by the clock of its disk, in whole seconds.
pub(super) fn changed_at(path: &Path) -> Option<UnixTime> {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    Some(UnixTime::since_unix_epoch(modified.duration_since(UNIX_EPOCH).ok()?))
}

/// The digest of what [`read`] would read, without holding it.
pub(super) fn digest_now(path: &Path, bytes_max: usize) -> Option<Digest> {
    let mut file = open(path, bytes_max).ok()?;
    let mut hash = Hash(digest::Context::new(&SHA256));
    let size = io::copy(&mut file, &mut hash).ok()?;
    (1..=bytes_max as u64).contains(&size).then(|| Digest::finish(hash.0))
}

/// Takes what is written to it into a hash.
struct Hash(digest::Context);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Only regular files: anything else may never end or never begin. Ends one byte after the limit, so that
/// a longer file shows, also one that grows meanwhile.
fn open(path: &Path, bytes_max: usize) -> Result<Take<File>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        return Err("this is a directory".to_owned());
    }
    if !metadata.is_file() {
        return Err("this is not a regular file".to_owned());
    }
    if metadata.len() > bytes_max as u64 {
        return Err(over(metadata.len(), bytes_max));
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    Ok(file.take(bytes_max as u64 + 1))
}

/// What is said of a file that is too long.
pub fn over(bytes: u64, bytes_max: usize) -> String {
    format!("the file has {bytes} bytes, and the limit is {bytes_max}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scratch::Scratch;

    #[test]
    fn what_cannot_be_read_is_named() {
        let scratch = Scratch::new();
        scratch.write("empty", "");
        scratch.write("long", "12345");
        scratch.write("whole", "1234");
        let mut files = Files::new(scratch.path("."));
        let mut open = |name: &str| files.open(name, 4).map(|content| content.bytes.to_vec());
        assert_eq!(open("whole").unwrap(), b"1234");
        let said = open("long").unwrap_err();
        assert!(said.ends_with("/long: the file has 5 bytes, and the limit is 4"), "{said}");
        assert!(open("empty").unwrap_err().ends_with("/empty: the file is empty"));
        assert!(open(".").unwrap_err().ends_with("this is a directory"));
        assert!(open("missing").unwrap_err().contains("/missing: No such file"));
        assert_eq!(open("").unwrap_err(), "expected a path, found nothing");
        assert!(open("/dev/zero").unwrap_err().ends_with("this is not a regular file"));
    }

    #[test]
    fn a_file_is_read_once_for_each_load() {
        let scratch = Scratch::new();
        scratch.write("a", "one");
        let mut files = Files::new(scratch.path("."));
        files.open("a", 10).unwrap();
        scratch.write("a", "two");
        assert_eq!(&*files.open("a", 10).unwrap().bytes, b"one");
        let inputs = files.inputs(Follow::Always);
        assert_ne!(inputs, inputs.now());
        scratch.write("a", "one");
        assert_eq!(inputs, inputs.now());
    }

    #[test]
    fn a_file_is_followed_for_as_long_as_anybody_asks() {
        let scratch = Scratch::new();
        for name in ["a", "b"] {
            scratch.write(name, name);
        }
        let mut files = Files::new(scratch.path("."));
        files.open_as("a", 10, Follow::UntilLoaded).unwrap();
        files.open_as("b", 10, Follow::UntilLoaded).unwrap();
        files.open("b", 10).unwrap();
        files.open_as("b", 10, Follow::UntilLoaded).unwrap();
        assert_eq!(files.inputs(Follow::UntilLoaded).0.len(), 2);
        let always = files.inputs(Follow::Always);
        assert_eq!(always.0.keys().collect::<Vec<_>>(), [&scratch.path("./b")]);
    }

    #[test]
    fn a_digest_of_parts_tells_where_they_end() {
        assert_ne!(Digest::of_parts([&b"ab"[..], b"c"]), Digest::of_parts([&b"a"[..], b"bc"]));
    }
}
