//! How much of a log may wait for its disk, over all shards.
//!
//! Bound: `limits::LOG_BACKLOG_BYTES_MAX`.
use crate::limits;
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[expect(
    clippy::disallowed_types,
    reason = "held for an addition, once for each batch; who waits for room has asked to (`when_full: block`)"
)]
type Mutex<T> = std::sync::Mutex<T>;

/// The bytes that wait.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: usize,
    /// Nobody makes room any more.
    closed: bool,
}

impl State {
    fn has_room(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(bytes) <= limits::LOG_BACKLOG_BYTES_MAX
    }
}

impl Backlog {
    /// Takes room for so many bytes, if there is any now.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let mut state = self.state();
        let room = state.has_room(bytes);
        if room {
            state.bytes += bytes;
        }
        room
    }

    /// Takes room for so many bytes as soon as there is any, and says how long that took. There is none
    /// for more than the bound, and none once it is closed.
    pub(super) fn wait(&self, bytes: usize) -> (bool, Duration) {
        let mut state = self.state();
        let mut waited = Duration::ZERO;
        if !state.has_room(bytes) && bytes <= limits::LOG_BACKLOG_BYTES_MAX {
            let since = Instant::now();
            let full = |state: &mut State| !state.has_room(bytes) && !state.closed;
            state = self.room.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
            waited = since.elapsed();
        }
        let room = state.has_room(bytes);
        if room {
            state.bytes += bytes;
        }
        (room, waited)
    }

    /// Gives room back that was taken.
    pub(super) fn give_back(&self, bytes: usize) {
        self.state().bytes -= bytes;
        self.room.notify_all();
    }

    /// Lets everybody go who waits.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.room.notify_all();
    }

    /// The bytes that wait now.
    pub(super) fn bytes(&self) -> usize {
        self.state().bytes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A number and a flag are never half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
