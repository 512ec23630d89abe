//! Whose turn it is: when each attempt begins.
//!
//! A closed loop gives a turn to whoever asks, until it is enough. An open loop makes turns at their time,
//! whatever has become of the earlier ones, and counts latency from that time: a server that stalls cannot
//! hide it by slowing the load down. Turns wait in a queue for someone who is free; once as many as the bound
//! allows are waiting or under way, those that are due are not begun, and counted as such.
use super::timer::Timer;
use super::{Notes, Pace, Shared};
use crate::failure::Failure;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

/// Turns that are made before others may work.
const TURNS_IN_A_ROW: u32 = 32;

/// The turns of one thread.
#[derive(Debug)]
pub(crate) struct Turns {
    shared: Arc<Shared>,
    /// Of an open loop.
    queue: Option<Mutex<UnboundedReceiver<Turn>>>,
}

/// One attempt to be made.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Which one of the run it is.
    pub(crate) index: u64,
    /// When an open loop had it begin.
    due: Option<Instant>,
    /// Until it is over.
    _place: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// From when latency counts: now, or when the turn was due.
    pub(crate) fn begin(&self) -> Instant {
        self.due.unwrap_or_else(Instant::now)
    }
}

/// Makes the turns of an open loop.
#[derive(Debug)]
pub(super) struct Schedule {
    shared: Arc<Shared>,
    notes: Rc<Notes>,
    turns: UnboundedSender<Turn>,
    timer: Timer,
    rate: f64,
    /// Turns that may wait or be under way at once.
    places: Arc<Semaphore>,
}

impl Turns {
    pub(super) fn closed(shared: Arc<Shared>) -> Self {
        Self { shared, queue: None }
    }

    /// `outstanding_max`: turns of this thread that may wait or be under way at once.
    pub(super) fn open(
        shared: Arc<Shared>,
        rate: f64,
        outstanding_max: usize,
        timer: Timer,
        notes: Rc<Notes>,
    ) -> (Self, Schedule) {
        let (turns, queue) = unbounded_channel();
        let places = Arc::new(Semaphore::new(outstanding_max));
        let schedule = Schedule { shared: Arc::clone(&shared), notes, turns, timer, rate, places };
        (Self { shared, queue: Some(Mutex::new(queue)) }, schedule)
    }

    /// Waits until the clock has started.
    pub(super) async fn started(&self) {
        self.shared.start.wait().await;
    }

    /// The next turn, at its time; none once it is enough.
    pub(crate) async fn next(&self) -> Option<Turn> {
        match &self.queue {
            Some(queue) => queue.lock().await.recv().await,
            None => {
                let index = self.shared.asked.fetch_add(1, Ordering::Relaxed);
                if self.shared.is_enough(index, Instant::now()) {
                    return None;
                }
                self.shared.attempted.fetch_add(1, Ordering::Relaxed);
                Some(Turn { index, due: None, _place: None })
            }
        }
    }
}

impl Schedule {
    /// Makes this thread's share of the turns, each at its time, until it is enough.
    pub(super) async fn keep(self, thread: usize) {
        let start = *self.shared.start.wait().await;
        for (index, turn) in
            (thread as u64..).step_by(self.shared.threads).zip((0..TURNS_IN_A_ROW).cycle())
        {
            // Where nothing is waited for any more, those whose turn it is should get to it all the same.
            if turn == 0 {
                tokio::task::yield_now().await;
            }
            let due = start + Duration::from_secs_f64(index as f64 / self.rate);
            if self.shared.is_enough(index, due) || self.timer.until(due).await.is_err() {
                return;
            }
            self.shared.attempted.fetch_add(1, Ordering::Relaxed);
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                self.notes.failed(Failure::NotBegun);
                continue;
            };
            // Who takes turns does so until there are none, which is when this ends.
            let _ = self.turns.send(Turn { index, due: Some(due), _place: Some(place) });
        }
    }
}

impl Pace {
    /// Lanes of a run in which each makes one attempt at a time.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Self::Concurrency(concurrency) => concurrency,
            Self::Rate { outstanding_max, .. } => outstanding_max,
        }
    }
}
