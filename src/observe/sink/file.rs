//! The file of a log: opening, whole lines, making way by size.
//!
//! The writing thread alone calls it. `access.log` that is full becomes `access.log.1`, what was that
//! becomes `access.log.2`, and so on up to [`Rotation::keep`]; the oldest goes. Only a file that still
//! stands at its path makes way: whoever has moved it away has rotated it already.
use super::count_lines;
use rustix::fs::{Access, OFlags, access, fcntl_getfl, fcntl_setfl};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// When a file makes way for another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rotation {
    /// The size that it does not grow beyond.
    pub bytes_max: u64,
    /// How many that have made way are kept, at least one.
    pub keep: u32,
}

impl Rotation {
    /// Whether `path`, making way, could take the place of `other`.
    pub fn takes(self, path: &Path, other: &Path) -> bool {
        (1..=self.keep).any(|number| numbered(path, number) == other)
    }
}

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// None where a pipe's reader left, and nobody has come since.
    file: Option<File>,
    /// Its size; none for what is no regular file and never makes way.
    size: Option<u64>,
    /// The rest of a line whose beginning is in the file.
    rest: Vec<u8>,
    /// How long that beginning is.
    begun: u64,
}

impl LogFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (file, size) = open(path)?;
        Ok(Self { path: path.to_owned(), file: Some(file), size, rest: Vec::new(), begun: 0 })
    }

    /// Opens the path anew. Answers how many lines that cut short: one whose beginning is in the old
    /// file, and is taken out of it where that can be done.
    pub(super) fn reopen(&mut self) -> io::Result<u64> {
        let (file, size) = open(&self.path)?;
        // Room may have been made since.
        if self.write_rest().is_err() {
            self.take_back_begun();
        }
        (self.file, self.size) = (Some(file), size);
        Ok(self.drop_rest())
    }

    /// Cuts the beginning of a line off the file, unless somebody else writes to it, too.
    fn take_back_begun(&self) {
        if let (Some(file), Some(size)) = (&self.file, self.size)
            && file.metadata().is_ok_and(|metadata| metadata.len() == size)
            && let Err(error) = file.set_len(size.saturating_sub(self.begun))
        {
            tracing::warn!(path = %self.path.display(), %error, "a log ends in half a line");
        }
    }

    /// Appends whole lines. Answers how many of them the file did not take, and why.
    pub(super) fn append(&mut self, lines: &[u8]) -> (u64, io::Result<()>) {
        if self.file.is_none()
            && let Err(error) = self.reopen()
        {
            return (count_lines(lines), Err(error));
        }
        let (taken, outcome) = match self.write_rest() {
            Ok(()) => self.write(lines),
            Err(error) => (0, Err(error)),
        };
        let (begun, dropped) = lines.split_at(line_end(lines, taken));
        let (written, rest) = begun.split_at(taken);
        if !rest.is_empty() {
            let whole = written.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            self.begun = (taken - whole) as u64;
            self.rest.extend_from_slice(rest);
        }
        let mut dropped = count_lines(dropped);
        if matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            // The next reader of a pipe must not begin in the middle of a line, neither with our rest
            // nor with what the kernel holds for as long as somebody has the pipe open.
            dropped += self.drop_rest();
            self.file = None;
        }
        (dropped, outcome)
    }

    /// Makes way when the file would grow beyond its size.
    pub(super) fn make_room(&mut self, bytes: usize, rotation: Rotation) -> io::Result<()> {
        let Some(size) = self.size else { return Ok(()) };
        // The rest of a line belongs to its beginning.
        let has_room = size.saturating_add(bytes as u64) <= rotation.bytes_max;
        if has_room || size == 0 || bytes == 0 || !self.rest.is_empty() {
            return Ok(());
        }
        if self.stands_at_its_path()? {
            for number in (1..rotation.keep).rev() {
                rename(&numbered(&self.path, number), &numbered(&self.path, number + 1))?;
            }
            rename(&self.path, &numbered(&self.path, 1))?;
        }
        self.reopen().map(drop)
    }

    fn stands_at_its_path(&self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        let own = file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(other) => Ok((own.dev(), own.ino()) == (other.dev(), other.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write_rest(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        let (taken, outcome) = self.write(&rest);
        self.begun += taken as u64;
        self.rest.extend_from_slice(rest.get(taken..).unwrap_or_default());
        outcome
    }

    fn write(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        let Some(file) = &mut self.file else { return (0, Ok(())) };
        let (taken, outcome) = write_most(file, bytes);
        self.size = self.size.map(|size| size + taken as u64);
        (taken, outcome)
    }

    /// Gives up the rest of a line; answers how many lines that is.
    fn drop_rest(&mut self) -> u64 {
        let dropped = count_lines(&self.rest);
        self.rest.clear();
        dropped
    }
}

/// Tells whether a file could be opened, and makes none.
pub(super) fn check(path: &Path) -> io::Result<()> {
    if path == Path::new("-") {
        return Ok(());
    }
    match append().open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = path.parent().unwrap_or(path);
            Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
        }
        opened => opened.map(drop),
    }
}

fn open(path: &Path) -> io::Result<(File, Option<u64>)> {
    let file = if path == Path::new("-") {
        File::from(io::stdout().as_fd().try_clone_to_owned()?)
    } else {
        let file = append().create(true).open(path)?;
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
        file
    };
    let metadata = file.metadata()?;
    let size = metadata.is_file().then_some(metadata.len());
    Ok((file, size))
}

/// To a pipe that nobody reads from, opening is an error rather than a wait.
fn append() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).mode(0o640).custom_flags(libc::O_NONBLOCK);
    options
}

/// The name of a file that has made way.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// Renames what is there.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

/// Writes until the end or the first error; says how many bytes the file took.
fn write_most(file: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut taken = 0;
    while let Some(left) = bytes.get(taken..).filter(|left| !left.is_empty()) {
        match file.write(left) {
            Ok(0) => return (taken, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => taken += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (taken, Err(error)),
        }
    }
    (taken, Ok(()))
}

/// Where the line ends of which the last of the `taken` bytes is part.
fn line_end(lines: &[u8], taken: usize) -> usize {
    let Some(last) = taken.checked_sub(1) else { return 0 };
    let rest = lines.get(last..).unwrap_or_default();
    rest.iter().position(|&byte| byte == b'\n').map_or(lines.len(), |length| last + length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scratch::Scratch;

    /// A file that takes so many bytes before its disk is full.
    struct Disk {
        room: usize,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Goal: no torn line. Method: a disk that fills up after every possible number of bytes, and then
    /// has room again.
    #[test]
    fn a_line_cut_by_a_full_disk_goes_on_where_it_stopped() {
        let batch = b"first\nsecond\nthird\n";
        for room in 0..=batch.len() {
            let mut disk = Disk { room, written: Vec::new() };
            let (taken, outcome) = write_most(&mut disk, batch);
            assert_eq!((taken, outcome.is_ok()), (room, room == batch.len()));
            let end = line_end(batch, taken);
            disk.room = 100;
            assert_eq!(write_most(&mut disk, &batch[taken..end]).0, end - taken);
            assert_eq!(disk.written, &batch[..end], "room for {room} bytes");
            assert!(matches!(end, 0 | 6 | 13 | 19), "room for {room} bytes");
            assert_eq!(count_lines(&batch[..end]) + count_lines(&batch[end..]), 3);
        }
    }

    /// Goal: a file that is left ends with a whole line. Method: half a line in it, and room for the rest; no
    /// room; no room, and somebody else's line behind it.
    #[test]
    fn a_file_that_is_left_ends_with_a_whole_line() {
        let scratch = Scratch::new();
        let path = scratch.path("access.log");
        let half_written = || {
            fs::write(&path, "").unwrap();
            let mut log = LogFile::open(&path).unwrap();
            log.append(b"first\nsec").1.unwrap();
            (log.begun, log.rest) = (3, b"ond\n".to_vec());
            log
        };
        assert_eq!(half_written().reopen().unwrap(), 0);
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\nsecond\n");
        half_written().take_back_begun();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
        let log = half_written();
        append().open(&path).unwrap().write_all(b"other\n").unwrap();
        log.take_back_begun();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\nsecother\n");
    }
}
