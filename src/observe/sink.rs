//! Where log lines go: a file or standard output, written off the shards, with a bounded backlog.
#![expect(clippy::todo, reason = "interface only")]
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A log's way to its file. Cheap to clone; shards share it.
#[derive(Clone, Debug)]
pub struct Sink(());

impl Sink {
    /// Opens `path` for appending (`-` is standard output) and starts the writing thread.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let _ = path;
        todo!()
    }
    /// Hands over whole lines, each ended by LF. Never waits: over
    /// `limits::LOG_BACKLOG_BYTES_MAX` they are dropped and counted.
    pub fn write(&self, lines: Vec<u8>) {
        let _ = lines;
        todo!()
    }
    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        todo!()
    }
    /// Waits until everything handed over is written; for the end of the process.
    pub fn flush(&self) {
        todo!()
    }
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
