//! Lines of a log that a shard has written and not handed over yet.
//!
//! A shard has one batch for each log. It is handed over when it is large enough, and otherwise soon after
//! its first line (`shard::logging`), so that a busy shard wakes the writing thread once for hundreds of
//! lines. Bound: `limits::LOG_BATCH_BYTES` and a line.
use super::sink::Log;
use crate::limits;
use std::sync::Arc;

/// Lines of one log.
#[derive(Debug, Default)]
pub struct Batch {
    log: Option<Arc<Log>>,
    lines: Vec<u8>,
}

impl Batch {
    /// Adds a line, ended by LF. Answers whether it is the first, and somebody must hand over in time.
    pub fn add(&mut self, log: &Arc<Log>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        // A new generation may have moved the log, or changed its form.
        if !self.log.as_ref().is_some_and(|own| Arc::ptr_eq(own, log)) {
            self.hand_over();
            self.log = Some(Arc::clone(log));
        }
        let is_first = self.lines.is_empty();
        write(&mut self.lines);
        if self.lines.len() >= limits::LOG_BATCH_BYTES {
            self.hand_over();
        }
        is_first && !self.lines.is_empty()
    }

    /// Hands over what there is. Under `when_full: block` this may take as long as the disk does.
    pub fn hand_over(&mut self) {
        let Some(log) = self.log.take() else { return };
        if !self.lines.is_empty() {
            log.write(std::mem::take(&mut self.lines));
        }
    }
}

/// Lines that are left when a shard ends are not lost.
impl Drop for Batch {
    fn drop(&mut self) {
        self.hand_over();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scratch::Scratch;
    use crate::observe::sink::{Form, LogKind, Sink, WhenFull};
    use std::path::Path;

    fn log_to(path: &Path) -> Arc<Log> {
        Arc::new(Log {
            kind: LogKind::Access,
            sink: Sink::open(path).unwrap(),
            form: Form::Alb,
            elb: "app/edge/0".into(),
            when_full: WhenFull::Drop,
            rotation: None,
        })
    }

    fn line(number: usize) -> String {
        format!("{number:099}\n")
    }

    /// What the file holds once all that was handed over is there.
    fn written(log: &Log) -> String {
        log.sink.flush();
        std::fs::read_to_string(log.sink.path()).unwrap()
    }

    #[test]
    fn lines_go_when_they_are_many_or_when_they_are_told_to() {
        let scratch = Scratch::new();
        let log = log_to(&scratch.path("access.log"));
        let mut batch = Batch::default();
        let add = |batch: &mut Batch, number| {
            batch.add(&log, |out| out.extend_from_slice(line(number).as_bytes()))
        };
        assert!(add(&mut batch, 0), "somebody must hand over the first one");
        assert!(!add(&mut batch, 1), "and with it the second");
        assert_eq!(written(&log), "");
        batch.hand_over();
        assert_eq!(written(&log), line(0) + &line(1));
        let many = limits::LOG_BATCH_BYTES.div_ceil(line(0).len());
        for number in 0..many {
            add(&mut batch, number);
        }
        assert_eq!(written(&log).len(), (many + 2) * line(0).len());
        assert!(add(&mut batch, 0), "the next one is the first again");
        drop(batch);
        assert_eq!(written(&log).len(), (many + 3) * line(0).len());
    }

    #[test]
    fn lines_of_another_log_go_nowhere_else() {
        let scratch = Scratch::new();
        let [old, new] = ["old", "new"].map(|name| log_to(&scratch.path(name)));
        let mut batch = Batch::default();
        assert!(batch.add(&old, |out| out.extend_from_slice(b"old\n")));
        assert!(batch.add(&new, |out| out.extend_from_slice(b"new\n")));
        batch.hand_over();
        assert_eq!((written(&old), written(&new)), ("old\n".to_owned(), "new\n".to_owned()));
    }
}
