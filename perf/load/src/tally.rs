//! What came of many attempts: latencies and failures, per thread and summed up.
//!
//! Pure: a moment is the time since the start.
use crate::events::Events;
use crate::failure::Failure;
use crate::timeline::{LATENCY_MAX, Timeline};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Attempts that are over.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Of those that succeeded.
    latencies: Latencies,
    failures: BTreeMap<Failure, u64>,
    timeline: Timeline,
    /// Time from connect to the end of the handshake, of each connection.
    opening: Latencies,
    handshakes: Handshakes,
    /// Content of answers.
    received_bytes: u64,
    events: Events,
}

/// Handshakes that came to their end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub(crate) struct Handshakes {
    pub(crate) full: u64,
    pub(crate) resumed: u64,
}

/// Whether a handshake built on an earlier one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Handshake {
    Full,
    Resumed,
}

/// Times, with three digits.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            latencies: Latencies::new(),
            failures: BTreeMap::new(),
            timeline: Timeline::new(),
            opening: Latencies::new(),
            handshakes: Handshakes::default(),
            received_bytes: 0,
            events: Events::default(),
        }
    }

    /// An attempt has succeeded at this moment, so long after it began or should have begun.
    pub(crate) fn done_at(&mut self, at: Duration, latency: Duration) {
        self.latencies.record(latency);
        self.timeline.note(at, Ok(()), nanoseconds(latency));
    }

    /// An attempt has failed at this moment.
    pub(crate) fn failed_at(&mut self, at: Duration, failure: Failure) {
        *self.failures.entry(failure).or_default() += 1;
        self.timeline.note(at, Err(failure), 0);
    }

    /// A connection was opened.
    pub(crate) fn opened(&mut self, handshake: Handshake, took: Duration) {
        self.opening.record(took);
        match handshake {
            Handshake::Full => self.handshakes.full += 1,
            Handshake::Resumed => self.handshakes.resumed += 1,
        }
    }

    /// So much content came.
    pub(crate) fn received(&mut self, bytes: u64) {
        self.received_bytes += bytes;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        for (failure, count) in &other.failures {
            *self.failures.entry(*failure).or_default() += count;
        }
        self.timeline.add(&other.timeline);
        self.opening.add(&other.opening);
        self.handshakes.full += other.handshakes.full;
        self.handshakes.resumed += other.handshakes.resumed;
        self.received_bytes += other.received_bytes;
        self.events.add(&other.events);
    }

    /// Attempts that succeeded.
    pub(crate) fn done(&self) -> u64 {
        self.latencies.count()
    }

    /// Attempts that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    pub(crate) fn failures(&self) -> &BTreeMap<Failure, u64> {
        &self.failures
    }

    pub(crate) fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    pub(crate) fn opening(&self) -> &Latencies {
        &self.opening
    }

    pub(crate) fn handshakes(&self) -> Handshakes {
        self.handshakes
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) fn events_mut(&mut self) -> &mut Events {
        &mut self.events
    }

    /// All that did not go well: what failed, what was lost, changes that could not be made.
    pub(crate) fn faults(&self) -> u64 {
        let lost: u64 =
            self.events.lost().values().chain(self.events.kept_refused().values()).sum();
        self.failed() + lost + self.events.failed_changes() as u64
    }

    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes
    }
}

impl Latencies {
    fn new() -> Self {
        let longest = nanoseconds(LATENCY_MAX);
        Self(Histogram::new_with_bounds(1_000, longest, 3).expect("the bounds are legal"))
    }

    fn record(&mut self, latency: Duration) {
        self.0.saturating_record(nanoseconds(latency));
    }

    fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that this share stayed below, in microseconds; 0 where there are none.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// In microseconds; 0 where there are none.
    pub(crate) fn mean_us(&self) -> f64 {
        self.0.mean() / 1_000.0
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::from_secs(1);

    #[test]
    fn sums_keep_every_latency_and_every_failure() {
        let (mut one, mut other) = (Tally::new(), Tally::new());
        for milliseconds in 1..=50 {
            one.done_at(AT, Duration::from_millis(milliseconds));
            other.done_at(AT, Duration::from_millis(50 + milliseconds));
        }
        one.failed_at(AT, Failure::Reset);
        other.failed_at(AT, Failure::Reset);
        other.failed_at(AT, Failure::Status(503));
        other.opened(Handshake::Resumed, AT);
        other.received(7);
        one.add(&other);
        assert_eq!((one.done(), one.failed()), (100, 3));
        assert_eq!(one.failures()[&Failure::Reset], 2);
        assert_eq!(one.handshakes(), Handshakes { full: 0, resumed: 1 });
        assert_eq!((one.received_bytes(), one.opening().count()), (7, 1));
        let off = |quantile, expected: f64| {
            (one.latencies().quantile_us(quantile) / expected - 1.0).abs()
        };
        assert!(off(0.5, 50_000.0) < 0.002 && off(0.99, 99_000.0) < 0.002);
        assert!(off(1.0, 100_000.0) < 0.002);
    }

    #[test]
    fn the_timeline_holds_what_the_sums_hold() {
        let mut tally = Tally::new();
        for second in 0..700 {
            tally.done_at(Duration::from_secs(second), AT);
            tally.failed_at(Duration::from_secs(second), Failure::Timeout);
        }
        let slots = tally.timeline().slots();
        assert_eq!(slots.iter().map(|slot| slot.done()).sum::<u64>(), tally.done());
        assert_eq!(slots.iter().map(|slot| slot.failed()).sum::<u64>(), tally.failed());
    }

    #[test]
    fn a_failure_is_in_no_percentile() {
        let mut tally = Tally::new();
        tally.failed_at(AT, Failure::Timeout);
        assert_eq!((tally.done(), tally.failed()), (0, 1));
        assert!(tally.latencies().quantile_us(1.0) < 0.001);
    }
}
