//! Counters of the shards: plain memory with one writer each, read by the scrape.
//!
//! One writer for each value: `add` is a load and a store, no locked instruction.
use crate::close::Reason;
use crate::http::desync::ClassReason;
use crate::http::forward::InvalidNames;
use crate::http::h2::flood::Flood;
use crate::http::head::Malformed;
use crate::tls::tickets::Declined;
use crate::trust::Refusal;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

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

/// The longest of several times, written by one thread.
#[derive(Debug, Default)]
pub struct Longest(AtomicU64);

impl Longest {
    /// Notes one on the writing thread.
    pub fn note(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.store(self.0.load(Relaxed).max(nanoseconds), Relaxed);
    }
    /// Reads it on any thread.
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
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

/// What came of the ticket that a client brought to resume its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resumption {
    /// The session was resumed.
    Resumed,
    /// The client shakes hands in full.
    Declined(Declined),
}

impl Resumption {
    /// Number of outcomes.
    pub const COUNT: usize = 1 + Declined::ALL.len();
    /// Position in an array of counters.
    pub const fn index(self) -> usize {
        match self {
            Self::Resumed => 0,
            Self::Declined(declined) => 1 + declined.index(),
        }
    }
    /// The value of the `outcome` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Resumed => "resumed",
            Self::Declined(declined) => declined.word(),
        }
    }
    /// All outcomes in the order of `index`.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Resumed].into_iter().chain(Declined::ALL.into_iter().map(Self::Declined))
    }
}

/// What was done to connections because the node was over its memory budget.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Relief {
    /// One that would have been kept alive was ended with its answer.
    Ended,
    /// One was not accepted.
    Shed,
    /// One was reset.
    Reset,
}

impl Relief {
    /// All of them, in the order of `index`.
    pub const ALL: [Self; 3] = [Self::Ended, Self::Shed, Self::Reset];
    /// Position in `ALL`.
    pub const fn index(self) -> usize {
        self as usize
    }
    /// The value of the `action` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Shed => "shed",
            Self::Reset => "reset",
        }
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
    /// Tickets that clients brought, by [`Resumption::index`].
    pub resumptions: [Count; Resumption::COUNT],
    /// Seconds of finished handshakes.
    pub handshake_seconds: Histogram,
    /// Answers given, by hundreds of the status (index 0 is 1xx, 4 is 5xx), whoever made them.
    pub responses: [Count; 5],
    /// Requests that the node answered itself because of a bad head or body, by `Malformed::index`.
    pub malformed: Counts<{ Malformed::ALL.len() }>,
    /// Requests that have a class of desync mitigation, let in or not, by `ClassReason::index`.
    pub classified: Counts<{ ClassReason::ALL.len() }>,
    /// Requests with header names that ALB calls invalid, by `InvalidNames::index`.
    pub invalid_names: [Count; InvalidNames::ALL.len()],
    /// HTTP/2 connections ended because of a flood of frames, by [`Flood::index`].
    pub http2_floods: [Count; Flood::ALL.len()],
    /// HTTP/2 streams refused, to be tried again.
    pub http2_streams_refused: Count,
    /// Live connections ended because their client was no longer accepted, by [`Refusal::index`].
    pub ended_by_trust: [Count; Refusal::ALL.len()],
    /// Connections that ended early, by [`Reason::index`].
    pub closed: [Count; Reason::ALL.len()],
    /// Requests that were not served to their end, by [`Reason::index`].
    pub failed: [Count; Reason::ALL.len()],
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
    /// Connections that the memory budget cost, by [`Relief::index`].
    pub overload: [Count; Relief::ALL.len()],
    /// Failed accepts (no more files, aborted).
    pub accept_errors: Count,
    /// Connections closed at once because the node is at a limit.
    pub shed: Count,
    /// Panics in a connection's task: bugs.
    pub panics: Count,
    /// Connections open now, over all listeners.
    pub open: Level,
    /// Memory that clients hold, about.
    pub held_bytes: Level,
    /// Handshakes in flight.
    pub handshakes_in_flight: Level,
    /// Live connections judged again by lookups alone.
    pub judged_by_path: Count,
    /// Live connections judged again by their whole chain.
    pub judged_whole: Count,
    /// Slices in which that was done.
    pub sweep_slices: Count,
    /// The longest of them.
    pub sweep_slice_max: Longest,
}

/// How long something took, counted by size: written by one thread, read by the scrape.
///
/// Counting at once, rather than keeping samples for the scrape, loses nothing under any load and
/// takes the same memory whether somebody scrapes or not.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [Count; HISTOGRAM_SECONDS.len() + 1],
    sum_seconds: AtomicU64,
}

/// Upper bounds of a histogram's buckets, in seconds, ascending. A full handshake is about a
/// millisecond of work and one to three round trips; the deadline is 10 s by default. A swap is done in
/// a few milliseconds, and in seconds with a million revocations.
pub const HISTOGRAM_SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Histogram {
    /// Notes one, in seconds, on the writing thread.
    pub fn note(&self, seconds: f64) {
        let bucket = HISTOGRAM_SECONDS.iter().take_while(|&&bound| seconds > bound).count();
        if let Some(count) = self.counts.get(bucket) {
            count.add(1);
        }
        let sum = f64::from_bits(self.sum_seconds.load(Relaxed)) + seconds;
        self.sum_seconds.store(sum.to_bits(), Relaxed);
    }
    /// How many fell into each bucket (the last has no upper bound), on any thread.
    pub fn counts(&self) -> [u64; HISTOGRAM_SECONDS.len() + 1] {
        std::array::from_fn(|bucket| self.counts[bucket].get())
    }
    /// The sum of all, on any thread.
    pub fn sum_seconds(&self) -> f64 {
        f64::from_bits(self.sum_seconds.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_have_distinct_words_and_follow_their_indexes() {
        let all: Vec<_> = Handshake::all().collect();
        assert_eq!(all.len(), Handshake::COUNT);
        for (index, outcome) in all.iter().enumerate() {
            assert_eq!(outcome.index(), index, "{outcome:?}");
            assert!(all[..index].iter().all(|other| other.word() != outcome.word()));
        }
        let all: Vec<_> = Resumption::all().collect();
        assert_eq!(all.len(), Resumption::COUNT);
        for (index, outcome) in all.iter().enumerate() {
            assert_eq!(outcome.index(), index, "{outcome:?}");
            assert!(all[..index].iter().all(|other| other.word() != outcome.word()));
        }
    }

    #[test]
    fn a_bucket_includes_its_upper_bound_and_the_last_has_none() {
        let histogram = Histogram::default();
        for seconds in [0.0, 0.001, 0.0011, 10.0, 10.1, 1e9] {
            histogram.note(seconds);
        }
        let counts = histogram.counts();
        assert_eq!((counts[0], counts[1], counts[12], counts[13]), (2, 1, 1, 2));
        assert!((histogram.sum_seconds() - 1_000_000_020.102_1).abs() < 1e-3);
    }
}
