//! Where log lines go: a file or standard output, written off the shards, with a bounded backlog.
//!
//! Shards hand over whole lines and never wait; one thread for each sink writes them, as many at a time
//! as there are, in one write, so that several processes may append to one file. A line is written whole
//! or not at all: where a full disk cuts one, its rest goes first once there is room again.
//! Bounds: `limits::LOG_BACKLOG_BYTES_MAX` wait for the disk, more are dropped and counted.
use crate::limits;
use rustix::fs::{Access, OFlags, access, fcntl_getfl, fcntl_setfl};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

/// A log's way to its file. Cheap to clone; shards share it. The writing thread ends with the last clone.
#[derive(Clone, Debug)]
pub struct Sink {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    backlog_bytes: AtomicUsize,
    dropped: AtomicU64,
}

enum Job {
    Write(Vec<u8>),
    Reopen,
    Flush(Sender<()>),
}

impl Sink {
    /// Opens `path` for appending (`-` is standard output) and starts the writing thread, which takes
    /// priority and CPUs over from the calling one.
    ///
    /// # Errors
    /// When the file cannot be opened (a missing directory is not made), or no thread started.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        let (jobs, received) = mpsc::channel();
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            backlog_bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        });
        let reports = Reports { last: None, dropped: 0 };
        let writer = Writer { file, rest: Vec::new(), shared: shared.clone(), reports };
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&received))?;
        Ok(Self { jobs, shared })
    }

    /// Tells whether [`Sink::open`] would work, and makes nothing.
    ///
    /// # Errors
    /// What stands in its way.
    pub fn check(path: &Path) -> io::Result<()> {
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

    /// Hands over whole lines, each ended by LF. Never waits: over
    /// `limits::LOG_BACKLOG_BYTES_MAX` they are dropped and counted.
    pub fn write(&self, lines: Vec<u8>) {
        let size_bytes = lines.len();
        let waiting = self.shared.backlog_bytes.fetch_add(size_bytes, Relaxed);
        if waiting.saturating_add(size_bytes) > limits::LOG_BACKLOG_BYTES_MAX {
            self.shared.backlog_bytes.fetch_sub(size_bytes, Relaxed);
            self.shared.drop_lines(&lines);
        } else if let Err(mpsc::SendError(Job::Write(lines))) = self.jobs.send(Job::Write(lines)) {
            self.shared.drop_lines(&lines);
        }
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }

    /// Opens the path anew, after what was handed over so far is written: for whoever has moved the file
    /// away. When that fails the old file is kept and the log of the process says so.
    pub fn reopen(&self) {
        let _ = self.jobs.send(Job::Reopen);
    }

    /// Waits until everything handed over is written, at most `limits::LOG_FLUSH`; for the end of the
    /// process.
    pub fn flush(&self) {
        let (done, written) = mpsc::channel();
        if self.jobs.send(Job::Flush(done)).is_ok() {
            let _ = written.recv_timeout(limits::LOG_FLUSH);
        }
    }
}

impl Shared {
    fn drop_lines(&self, lines: &[u8]) {
        self.dropped.fetch_add(count_lines(lines), Relaxed);
    }
}

/// The thread's side.
struct Writer {
    file: File,
    /// The rest of a line whose beginning is in the file.
    rest: Vec<u8>,
    shared: Arc<Shared>,
    reports: Reports,
}

impl Writer {
    /// Writes until the last [`Sink`] is gone.
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut batch = Vec::new();
        while let Ok(first) = jobs.recv() {
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Write(lines) => batch.extend_from_slice(&lines),
                    Job::Reopen => {
                        self.write(&mut batch);
                        self.reopen();
                    }
                    Job::Flush(done) => {
                        self.write(&mut batch);
                        let _ = done.send(());
                    }
                }
                if batch.len() >= limits::LOG_WRITE_BYTES {
                    self.write(&mut batch);
                }
                next = jobs.try_recv().ok();
            }
            self.write(&mut batch);
        }
    }

    /// Writes the batch and empties it; counts the lines that the file did not take.
    fn write(&mut self, batch: &mut Vec<u8>) {
        let (taken, outcome) = match self.write_rest() {
            Ok(()) => write_most(&mut self.file, batch),
            Err(error) => (0, Err(error)),
        };
        let (begun, dropped) = batch.split_at(line_end(batch, taken));
        self.rest.extend_from_slice(begun.get(taken..).unwrap_or_default());
        self.shared.drop_lines(dropped);
        self.reports.report(&self.shared, outcome.err());
        self.shared.backlog_bytes.fetch_sub(batch.len(), Relaxed);
        batch.clear();
        batch.shrink_to(limits::LOG_WRITE_BYTES);
    }

    fn write_rest(&mut self) -> io::Result<()> {
        let (taken, outcome) = write_most(&mut self.file, &self.rest);
        self.rest.drain(..taken);
        outcome
    }

    fn reopen(&mut self) {
        match open(&self.shared.path) {
            Ok(file) => {
                self.file = file;
                // Its beginning is in the other file.
                self.shared.drop_lines(&self.rest);
                self.rest.clear();
            }
            Err(error) => {
                tracing::warn!(path = %self.shared.path.display(), %error, "log not opened anew");
            }
        }
    }
}

/// Tells the log of the process that lines are lost, at most once in `limits::LOG_REPORT_EVERY`.
struct Reports {
    last: Option<Instant>,
    dropped: u64,
}

impl Reports {
    fn report(&mut self, shared: &Shared, error: Option<io::Error>) {
        let dropped = shared.dropped.load(Relaxed);
        let too_soon = self.last.is_some_and(|last| last.elapsed() < limits::LOG_REPORT_EVERY);
        if too_soon || (error.is_none() && dropped == self.dropped) {
            return;
        }
        let path = shared.path.display();
        match error {
            Some(error) => tracing::warn!(%path, dropped, %error, "log lines lost"),
            None => tracing::warn!(%path, dropped, "log lines lost: the disk is too slow"),
        }
        *self = Self { last: Some(Instant::now()), dropped };
    }
}

fn open(path: &Path) -> io::Result<File> {
    if path == Path::new("-") {
        return Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    }
    let file = append().create(true).open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// To a pipe that nobody reads from, opening is an error rather than a wait.
fn append() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).mode(0o640).custom_flags(libc::O_NONBLOCK);
    options
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

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

/// A sink and the form of its lines.
#[derive(Clone, Debug)]
pub struct ConnectionLog {
    /// Where.
    pub sink: Sink,
    /// In which form.
    pub form: Form,
    /// `app/<name>/<id>`, the `elb` field.
    pub elb: Arc<str>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Form {
    /// ALB's fields.
    #[default]
    Alb,
    /// One JSON object a line, with the same fields by name and some more.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, mkfifoat};
    use std::fs;
    use std::process;

    /// A path of this test's own, gone at the end.
    struct TempFile(PathBuf);

    impl TempFile {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("portcullis-sink-{}-{name}", process::id())))
        }
    }

    impl Drop for TempFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

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

    #[test]
    fn lines_of_one_writer_keep_their_order_and_flush_waits_for_them() {
        let path = TempFile::new("order");
        let sink = Sink::open(&path.0).unwrap();
        for number in 0..10_000 {
            sink.write(format!("{number}\n").into_bytes());
        }
        sink.flush();
        let expected: String = (0..10_000).map(|number| format!("{number}\n")).collect();
        assert_eq!(fs::read_to_string(&path.0).unwrap(), expected);
        assert_eq!(sink.dropped(), 0);
        assert_eq!(sink.shared.backlog_bytes.load(Relaxed), 0);
    }

    #[test]
    fn a_full_disk_drops_and_counts_and_stops_nobody() {
        let sink = Sink::open(Path::new("/dev/full")).unwrap();
        for _ in 0..100 {
            sink.write(b"one\ntwo\n".to_vec());
        }
        sink.flush();
        assert_eq!(sink.dropped(), 200);
        assert_eq!(sink.shared.backlog_bytes.load(Relaxed), 0);
    }

    #[test]
    fn lines_over_the_backlog_are_dropped_and_counted() {
        let path = TempFile::new("backlog");
        let sink = Sink::open(&path.0).unwrap();
        let mut line = vec![b'x'; limits::LOG_BACKLOG_BYTES_MAX];
        line.push(b'\n');
        sink.write(line);
        assert_eq!(sink.dropped(), 1);
        sink.write(b"fits\n".to_vec());
        sink.flush();
        assert_eq!(fs::read_to_string(&path.0).unwrap(), "fits\n");
    }

    #[test]
    fn reopening_writes_to_the_new_file() {
        let (path, moved) = (TempFile::new("reopen"), TempFile::new("moved"));
        let sink = Sink::open(&path.0).unwrap();
        sink.write(b"before\n".to_vec());
        sink.flush();
        fs::rename(&path.0, &moved.0).unwrap();
        sink.write(b"still before\n".to_vec());
        sink.reopen();
        sink.write(b"after\n".to_vec());
        sink.flush();
        assert_eq!(fs::read_to_string(&moved.0).unwrap(), "before\nstill before\n");
        assert_eq!(fs::read_to_string(&path.0).unwrap(), "after\n");
    }

    #[test]
    fn a_missing_directory_is_an_error_and_is_not_made() {
        let path = TempFile::new("missing").0.join("connection.log");
        assert_eq!(Sink::check(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(Sink::open(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_check_finds_what_opening_would_and_makes_nothing() {
        let path = TempFile::new("check");
        Sink::check(&path.0).unwrap();
        assert!(!path.0.exists());
        Sink::check(Path::new("-")).unwrap();
        Sink::check(Path::new("/dev/full")).unwrap();
        let directory = Sink::check(&std::env::temp_dir()).unwrap_err();
        assert_eq!(directory.kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_pipe_without_a_reader_is_an_error_and_holds_nobody_up() {
        let path = TempFile::new("pipe");
        mkfifoat(CWD, &path.0, Mode::RUSR | Mode::WUSR).unwrap();
        let no_reader = Some(libc::ENXIO);
        assert_eq!(Sink::check(&path.0).unwrap_err().raw_os_error(), no_reader);
        assert_eq!(Sink::open(&path.0).unwrap_err().raw_os_error(), no_reader);
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
}
