//! How slowly a client may bring the content of a stream.
//!
//! The windows of a connection are shared: while a target is slow to take what one stream brought, no stream
//! of that connection can bring more, and none is too slow.
use crate::config::snapshot::Floor;
use crate::shard::pace::{Pace, TooSlow};
use std::cell::Cell;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The pace of one stream's content.
pub(super) struct Paced<'a> {
    /// What the client must bring.
    floor: Option<Floor>,
    pace: Pace,
    /// Streams of its connection whose targets are slow to take content.
    stalled: &'a Cell<usize>,
}

impl<'a> Paced<'a> {
    pub(super) fn new(floor: Option<Floor>, stalled: &'a Cell<usize>) -> Self {
        Self { floor, pace: Pace::default(), stalled }
    }

    /// Waits for the client's next content. `bytes` says how much has come, none at its end.
    ///
    /// # Errors
    /// It comes too slowly; what was waited for is still pending.
    pub(super) async fn wait<F: Future>(
        &mut self,
        mut next: Pin<&mut F>,
        bytes: impl Fn(&F::Output) -> Option<usize>,
    ) -> Result<F::Output, TooSlow> {
        loop {
            let floor = self.floor();
            let patience = floor.map_or(Duration::MAX, |floor| self.pace.patience(floor));
            let began = Instant::now();
            let came = timeout(patience, next.as_mut()).await.ok();
            let bytes = came.as_ref().map_or(Some(0), &bytes);
            // Only what was slow without a stalled stream counts.
            if let (Some(floor), Some(bytes)) = (floor.and(self.floor()), bytes) {
                self.pace.note(floor, began.elapsed(), bytes as u64)?;
            }
            if let Some(came) = came {
                return Ok(came);
            }
        }
    }

    fn floor(&self) -> Option<Floor> {
        self.floor.filter(|_| self.stalled.get() == 0)
    }
}

/// A target is slow to take content, for as long as this lives.
pub(super) struct Stalled<'a>(&'a Cell<usize>);

impl<'a> Stalled<'a> {
    pub(super) fn begin(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
