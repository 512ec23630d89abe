//! A shard's side of the logs: lines are collected and handed over in batches.
use super::Shard;
use crate::limits;
use crate::observe::batch::Batch;
use crate::observe::sink::{Form, Log, LogKind};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::Notify;

/// Lines that wait to be handed over.
#[derive(Debug, Default)]
pub(super) struct Logging {
    /// By [`LogKind::index`].
    batches: [RefCell<Batch>; LogKind::ALL.len()],
    /// Woken by the first line of a batch.
    begun: Notify,
}

impl Logging {
    /// Adds a line, ended by LF. Never awaits; a log with `when_full: block` may hold the shard up.
    pub(super) fn add(&self, log: &Arc<Log>, write: impl FnOnce(Form, &mut Vec<u8>)) {
        let batch = &self.batches[log.kind.index()];
        if batch.borrow_mut().add(log, |out| write(log.form, out)) {
            self.begun.notify_one();
        }
    }

    /// Hands over what there is.
    pub(super) fn hand_over(&self) {
        self.batches.iter().for_each(|batch| batch.borrow_mut().hand_over());
    }
}

/// Hands lines over `limits::LOG_BATCH_AGE` after the first of them.
pub(super) async fn run(shard: Rc<Shard>) {
    loop {
        shard.logging.begun.notified().await;
        tokio::time::sleep(limits::LOG_BATCH_AGE).await;
        shard.logging.hand_over();
    }
}
