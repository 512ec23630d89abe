//! The node's directory of state: which process has it, and the file of each trust store in it.
//!
//! ```text
//! state_dir/lock                          held by the node that runs
//! state_dir/trust_stores/NAME.state       what a trust store holds
//! state_dir/trust_stores/NAME.state.new   what it will hold; a leftover is removed at start
//! ```
//!
//! A file is replaced whole: the new one is written beside it and synced ([`Directory::stage`]), renamed
//! over the old one ([`Staged::commit`]), and the directory synced ([`Directory::sync`]). Whoever is
//! killed in between restarts with the old one or with the new one. What cannot be read is never
//! overwritten.
use super::contents::{Checksum, Sealed};
use crate::config::{Faults, files};
use crate::limits;
use crate::observe::load::Reason;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A directory of state.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Held as long as this is open; none for whoever only looks.
    _lock: Option<Lock>,
}

impl Directory {
    /// Makes the directory where it is missing, and has it for this process alone. `owner` is what
    /// another node is told.
    ///
    /// # Errors
    /// A sentence that names the path.
    pub fn open(path: &Path, owner: &str) -> Result<Self, String> {
        make_directory(path)?;
        let lock = lock(&path.join("lock"), owner)?;
        let directory = Self { path: path.to_owned(), _lock: Some(lock) };
        let trust_stores = directory.trust_stores();
        make_directory(&trust_stores)?;
        fs::set_permissions(&trust_stores, Permissions::from_mode(0o700))
            .and_then(|()| remove_leftovers(&trust_stores))
            .map_err(naming(&trust_stores))?;
        sync(path)?;
        Ok(directory)
    }

    /// Looks at a directory that another process may have. Nothing is made or changed.
    pub fn look(path: &Path) -> Self {
        Self { path: path.to_owned(), _lock: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of a trust store, whether there is one or not.
    pub fn file(&self, trust_store: &str) -> PathBuf {
        self.trust_stores().join(format!("{trust_store}.{EXTENSION}"))
    }

    /// What a trust store holds; nothing where it has no file yet.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn read(&self, trust_store: &str) -> Result<Option<Sealed>, String> {
        let file = self.file(trust_store);
        if is_missing(&file) {
            return Ok(None);
        }
        let said = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let bytes = files::read(&file, FILE_BYTES_MAX).map_err(|error| said(&error))?;
        let sealed = Sealed::decode(trust_store, &bytes.into());
        sealed.map(Some).map_err(|broken| {
            let restored = "restore it from a backup, or move it away and restart the node to \
                            begin with the files of the configuration again";
            format!("{}; {restored}", said(&broken))
        })
    }

    /// What is said of a trust store whose file is missing while the node runs.
    pub fn gone(&self, trust_store: &str) -> String {
        let file = self.file(trust_store);
        let restored = "restore it from a backup, or restart the node to begin with the files of \
                        the configuration again";
        format!("{} is gone: {restored}", file.display())
    }

    /// The checksum in a trust store's file, which changes whenever the contents do; nothing where there
    /// is none.
    pub fn checksum(&self, trust_store: &str) -> Option<Checksum> {
        let mut checksum = Checksum::default();
        let mut file = fs::File::open(self.file(trust_store)).ok()?;
        file.seek(SeekFrom::End(-i64::try_from(checksum.len()).ok()?)).ok()?;
        file.read_exact(&mut checksum).ok()?;
        Some(checksum)
    }

    /// Writes what a trust store is to hold, and has the disk confirm it. The present file stays until
    /// [`Staged::commit`].
    ///
    /// # Errors
    /// A sentence that names the file. Nothing is left behind then.
    pub fn stage(&self, sealed: &Sealed) -> Result<Staged, String> {
        let file = self.file(sealed.trust_store());
        let staged = Staged { new: file.with_extension(NEW_EXTENSION), file, is_committed: false };
        let written = || {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600);
            let mut out = BufWriter::new(file.open(&staged.new)?);
            sealed.encode(&mut out)?;
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        };
        written().map_err(naming(&staged.new))?;
        Ok(staged)
    }

    /// Has the disk confirm what was committed.
    ///
    /// # Errors
    /// A sentence that names the directory: a power cut may bring the old files back.
    pub fn sync(&self) -> Result<(), String> {
        sync(&self.trust_stores())
    }

    fn trust_stores(&self) -> PathBuf {
        self.path.join("trust_stores")
    }
}

/// A file that is written and waits for its name. Dropped without [`Staged::commit`], it goes.
#[derive(Debug)]
#[must_use]
pub struct Staged {
    new: PathBuf,
    file: PathBuf,
    is_committed: bool,
}

impl Staged {
    /// Puts it in the place of the present file.
    ///
    /// # Errors
    /// A sentence that names the file. The present one stays then.
    pub fn commit(mut self) -> Result<(), String> {
        fs::rename(&self.new, &self.file).map_err(naming(&self.file))?;
        self.is_committed = true;
        Ok(())
    }
}

/// Commits all of them or none: several are the seeds of trust stores that have nothing yet, and go again
/// when one of them cannot be committed. They would win over files that somebody mends before the next
/// attempt. Whoever is killed in between finds some of them, made of the files that seed the others.
///
/// # Errors
/// What the disk said of the first that could not be.
pub fn commit(staged: Vec<Staged>) -> Result<(), Faults> {
    let mut seeded = Vec::new();
    for staged in staged {
        // What a command changes has a file, comes alone, and needs no way back.
        let file = is_missing(&staged.file).then(|| staged.file.clone());
        if let Err(fault) = staged.commit() {
            let stays = remove(&seeded).err().map(|stays| format!("; and {stays}"));
            let fault = format!("{fault}{}", stays.unwrap_or_default());
            return Err(Faults::one(Reason::State, fault));
        }
        seeded.extend(file);
    }
    Ok(())
}

/// Removes files for good.
fn remove(files: &[PathBuf]) -> Result<(), String> {
    for file in files {
        fs::remove_file(file).map_err(naming(file))?;
    }
    files.first().and_then(|file| file.parent()).map_or(Ok(()), sync)
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_committed {
            // What stays is removed at the next start, or overwritten.
            let _ = fs::remove_file(&self.new);
        }
    }
}

const EXTENSION: &str = "state";
const NEW_EXTENSION: &str = "state.new";

/// The longest encoded form: what it holds, and its beginning and end.
const FILE_BYTES_MAX: usize = limits::TRUST_STORE_BYTES_MAX + 1024;

/// Makes a directory where it is missing, and those above it; what is made is still there after a
/// power cut.
fn make_directory(path: &Path) -> Result<(), String> {
    let parents = parents_of_missing(path);
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(naming(path))?;
    parents.into_iter().try_for_each(sync)
}

/// The directories that get an entry when `path` is made, the nearest first.
fn parents_of_missing(path: &Path) -> Vec<&Path> {
    let missing = path.ancestors().take_while(|path| is_missing(path));
    missing.filter_map(Path::parent).collect()
}

/// Has the disk confirm the entries of a directory.
fn sync(path: &Path) -> Result<(), String> {
    fs::File::open(path).and_then(|directory| directory.sync_all()).map_err(naming(path))
}

/// Takes the lock, which ends with the process, however that ends.
fn lock(path: &Path, owner: &str) -> Result<Lock, String> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path).map_err(naming(path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
            let mut other = String::new();
            // Whoever it is, the lock is theirs.
            let _ = file.take(LOCK_BYTES_MAX).read_to_string(&mut other);
            return Err(format!("{} is held by {}", path.display(), other.trim()));
        }
        Err(error) => return Err(naming(path)(error.into())),
    }
    let wrote = file.set_len(0).and_then(|()| writeln!(file, "{owner}"));
    wrote.map(|()| Lock(file)).map_err(naming(path))
}

/// The lock is given back by name: a child that another thread has forked, and that has not yet
/// become its program, has the file open as well, and would keep the lock until it does.
#[derive(Debug)]
struct Lock(fs::File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is what is left.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

const LOCK_BYTES_MAX: u64 = 1024;

fn remove_leftovers(trust_stores: &Path) -> io::Result<()> {
    for entry in fs::read_dir(trust_stores)? {
        let path = entry?.path();
        if path.to_str().is_some_and(|path| path.ends_with(&format!(".{NEW_EXTENSION}"))) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Names the path beside the kernel's answer.
fn naming(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
