//! What one thread notes while it works.
use super::Shared;
use crate::events::Events;
use crate::failure::Failure;
use crate::tally::{Handshake, Tally};
use rustix::process::Pid;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A thread's tally, with what everybody may see at once.
#[derive(Debug)]
pub(crate) struct Notes {
    shared: Arc<Shared>,
    tally: RefCell<Tally>,
}

impl Notes {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, tally: RefCell::new(Tally::new()) }
    }

    /// An attempt that began then has succeeded now.
    pub(crate) fn done(&self, began: Instant) {
        self.shared.done.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let latency = now.saturating_duration_since(began);
        self.tally.borrow_mut().done_at(self.shared.since_start(now), latency);
    }

    /// An attempt has failed now.
    pub(crate) fn failed(&self, failure: Failure) {
        self.shared.failed.fetch_add(1, Ordering::Relaxed);
        self.tally.borrow_mut().failed_at(self.since_start(), failure);
    }

    /// A connection could not be opened before the clock started: an attempt of its own.
    pub(crate) fn not_opened(&self, failure: Failure) {
        self.shared.attempted.fetch_add(1, Ordering::Relaxed);
        self.failed(failure);
    }

    /// A connection was opened.
    pub(crate) fn opened(&self, handshake: Handshake, took: Duration) {
        self.tally.borrow_mut().opened(handshake, took);
    }

    /// So much content came.
    pub(crate) fn received(&self, bytes: u64) {
        self.tally.borrow_mut().received(bytes);
    }

    /// Something that is told one by one happens now.
    pub(crate) fn tell(&self, tell: impl FnOnce(&mut Events, Duration)) {
        tell(self.tally.borrow_mut().events_mut(), self.since_start());
    }

    /// How long the run has lasted.
    pub(crate) fn since_start(&self) -> Duration {
        self.shared.since_start(Instant::now())
    }

    /// Waits until somebody wants to see what there is.
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as `shared` does.
        let _ = self.shared.stop.subscribe().wait_for(|stopped| *stopped).await;
    }

    /// Has this group of processes killed, where a second Ctrl-C ends this one before they are over.
    pub(crate) fn take_along(&self, group: Option<Pid>) {
        self.shared.group.store(Pid::as_raw(group), Ordering::Relaxed);
    }

    pub(super) fn take(&self) -> Tally {
        self.tally.replace(Tally::new())
    }
}
