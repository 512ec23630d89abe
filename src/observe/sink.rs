//! Where log lines go: a file or standard output, written off the shards, with a bounded backlog.
//!
//! Shards hand over batches of whole lines ([`super::batch`]); one thread for each sink writes them, as
//! many at a time as there are, in one write, so that several processes may append to one file. A line is
//! written whole or not at all: where a full disk cuts one, its rest goes first once there is room again.
//! Bounds: `limits::LOG_BACKLOG_BYTES_MAX` wait for the disk. Beyond that a log drops lines and counts
//! them, or holds up the shard that writes them ([`WhenFull`]).
mod backlog;
mod file;

pub use file::Rotation;

use crate::limits;
use backlog::Backlog;
use file::LogFile;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// A log: where its lines go, and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// What it is about.
    pub kind: LogKind,
    /// Where.
    pub sink: Sink,
    /// In which form.
    pub form: Form,
    /// `app/<name>/<id>`, the `elb` field.
    pub elb: Arc<str>,
    /// What happens to lines for which there is no room.
    pub when_full: WhenFull,
    /// When the file makes way for another.
    pub rotation: Option<Rotation>,
}

/// What a log is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogKind {
    /// Attempts to connect.
    Connection,
    /// Requests.
    Access,
}

impl LogKind {
    /// Both, in the order of [`LogKind::index`].
    pub const ALL: [Self; 2] = [Self::Connection, Self::Access];

    /// Position in [`LogKind::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its key in the section `logs`, and the `log` label of metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Access => "access",
        }
    }
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

/// What happens to lines for which the backlog has no room.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WhenFull {
    /// They are dropped and counted.
    #[default]
    Drop,
    /// The shard that writes them stands still until there is.
    Block,
}

impl Log {
    /// Hands over whole lines, each ended by LF.
    pub fn write(&self, bytes: Vec<u8>) {
        self.sink.write(Lines { kind: self.kind, rotation: self.rotation, bytes }, self.when_full);
    }

    /// Its lines that were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.tally().dropped.load(Relaxed)
    }

    /// For how long shards stood still for it so far.
    pub fn blocked(&self) -> Duration {
        Duration::from_nanos(self.tally().blocked_nanos.load(Relaxed))
    }

    /// Bytes that wait for its file.
    pub fn backlog_bytes(&self) -> usize {
        self.sink.shared.backlog.bytes()
    }

    fn tally(&self) -> &Tally {
        self.sink.shared.tally(self.kind)
    }
}

/// A file's writing thread, and the way to it. Cheap to clone; shards share it, and logs that go to one
/// file do. The thread ends with the last clone.
#[derive(Clone, Debug)]
pub struct Sink {
    jobs: Sender<Job>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    backlog: Backlog,
    /// By [`LogKind::index`].
    tallies: [Tally; LogKind::ALL.len()],
}

/// What became of the lines of one log.
#[derive(Debug, Default)]
struct Tally {
    dropped: AtomicU64,
    blocked_nanos: AtomicU64,
}

#[derive(Debug)]
enum Job {
    Write(Lines),
    Reopen,
    Flush(Sender<()>),
}

/// Whole lines of one log.
#[derive(Debug)]
struct Lines {
    kind: LogKind,
    rotation: Option<Rotation>,
    bytes: Vec<u8>,
}

impl Sink {
    /// Opens `path` for appending (`-` is standard output) and starts the writing thread, which takes
    /// priority and CPUs over from the calling one.
    ///
    /// # Errors
    /// When the file cannot be opened (a missing directory is not made), or no thread started.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = LogFile::open(path)?;
        let (jobs, received) = mpsc::channel();
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            backlog: Backlog::default(),
            tallies: Default::default(),
        });
        let writer = Writer::new(file, shared.clone());
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&received))?;
        Ok(Self { jobs, shared })
    }

    /// Tells whether [`Sink::open`] would work, and makes nothing.
    ///
    /// # Errors
    /// What stands in its way.
    pub fn check(path: &Path) -> io::Result<()> {
        file::check(path)
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    fn write(&self, lines: Lines, when_full: WhenFull) {
        let tally = self.shared.tally(lines.kind);
        let room = match when_full {
            WhenFull::Drop => self.shared.backlog.take(lines.bytes.len()),
            WhenFull::Block => {
                let (room, waited) = self.shared.backlog.wait(lines.bytes.len());
                tally
                    .blocked_nanos
                    .fetch_add(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Relaxed);
                room
            }
        };
        if !room {
            tally.drop_lines(count_lines(&lines.bytes));
        } else if let Err(mpsc::SendError(Job::Write(lines))) = self.jobs.send(Job::Write(lines)) {
            self.shared.backlog.give_back(lines.bytes.len());
            tally.drop_lines(count_lines(&lines.bytes));
        }
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
    fn tally(&self, kind: LogKind) -> &Tally {
        &self.tallies[kind.index()]
    }

    fn dropped(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.dropped.load(Relaxed)).sum()
    }
}

impl Tally {
    fn drop_lines(&self, count: u64) {
        self.dropped.fetch_add(count, Relaxed);
    }
}

/// The thread's side.
struct Writer {
    file: LogFile,
    /// What is written next, in one write.
    batch: Lines,
    shared: Arc<Shared>,
    reports: Reports,
}

impl Writer {
    fn new(file: LogFile, shared: Arc<Shared>) -> Self {
        let batch = Lines { kind: LogKind::Connection, rotation: None, bytes: Vec::new() };
        Self { file, batch, shared, reports: Reports::default() }
    }

    /// Writes until the last [`Sink`] is gone.
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            self.take(job);
            while let Ok(job) = jobs.try_recv() {
                self.take(job);
            }
            self.write();
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Write(lines) => {
                if lines.kind != self.batch.kind {
                    self.write();
                }
                self.batch.join(&lines);
                if self.batch.bytes.len() >= limits::LOG_WRITE_BYTES {
                    self.write();
                }
            }
            Job::Reopen => {
                self.write();
                self.reopen();
            }
            Job::Flush(done) => {
                self.write();
                let _ = done.send(());
            }
        }
    }

    /// Writes the batch and empties it; counts the lines that the file did not take.
    fn write(&mut self) {
        let Lines { kind, rotation, bytes } = &mut self.batch;
        let rotated =
            rotation.map_or(Ok(()), |rotation| self.file.make_room(bytes.len(), rotation));
        let (dropped, written) = self.file.append(bytes);
        self.shared.tally(*kind).drop_lines(dropped);
        self.shared.backlog.give_back(bytes.len());
        bytes.clear();
        bytes.shrink_to(limits::LOG_WRITE_BYTES);
        self.reports.report(&self.shared, rotated.err(), written.err());
    }

    fn reopen(&mut self) {
        match self.file.reopen() {
            Ok(dropped) => self.shared.tally(self.batch.kind).drop_lines(dropped),
            Err(error) => {
                tracing::warn!(path = %self.shared.path.display(), %error, "log not opened anew");
            }
        }
    }
}

/// Whoever waits for room waits no longer for a thread that is gone.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.backlog.close();
    }
}

impl Lines {
    /// Puts `more` of the same log behind them; what holds for its file now is said there.
    fn join(&mut self, more: &Self) {
        (self.kind, self.rotation) = (more.kind, more.rotation);
        self.bytes.extend_from_slice(&more.bytes);
    }
}

/// Tells the log of the process what is wrong with a file, at most once in `limits::LOG_REPORT_EVERY`.
#[derive(Default)]
struct Reports {
    last: Option<Instant>,
    dropped: u64,
}

impl Reports {
    fn report(&mut self, shared: &Shared, rotated: Option<io::Error>, written: Option<io::Error>) {
        let dropped = shared.dropped();
        let too_soon = self.last.is_some_and(|last| last.elapsed() < limits::LOG_REPORT_EVERY);
        let is_well = rotated.is_none() && written.is_none() && dropped == self.dropped;
        if too_soon || is_well {
            return;
        }
        let path = shared.path.display();
        if let Some(error) = rotated {
            tracing::warn!(%path, %error, "log not rotated, it grows on");
        }
        match written {
            Some(error) => tracing::warn!(%path, dropped, %error, "log lines lost"),
            None if dropped == self.dropped => {}
            None => tracing::warn!(%path, dropped, "log lines lost: the disk is too slow"),
        }
        *self = Self { last: Some(Instant::now()), dropped };
    }
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

#[cfg(test)]
mod tests;
