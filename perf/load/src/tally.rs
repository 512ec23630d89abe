//! What came of many attempts: latencies and failures, per thread and summed up.
use crate::failure::Failure;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Attempts that are over.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Of those that succeeded, in nanoseconds, with three digits.
    latencies: Histogram<u64>,
    failures: BTreeMap<Failure, u64>,
}

/// What a histogram can hold; longer counts as this long. The timeout is shorter.
pub(crate) const LATENCY_MAX: Duration = Duration::from_secs(1_000);

impl Tally {
    pub(crate) fn new() -> Self {
        let longest = u64::try_from(LATENCY_MAX.as_nanos()).expect("it is far below 2^64 ns");
        let latencies =
            Histogram::new_with_bounds(1_000, longest, 3).expect("the bounds are legal");
        Self { latencies, failures: BTreeMap::new() }
    }

    /// An attempt is over, so long after it began or should have begun.
    pub(crate) fn note(&mut self, outcome: Result<(), Failure>, latency: Duration) {
        match outcome {
            Ok(()) => {
                let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(nanoseconds);
            }
            Err(failure) => *self.failures.entry(failure).or_default() += 1,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies).expect("both have the same bounds");
        for (failure, count) in &other.failures {
            *self.failures.entry(*failure).or_default() += count;
        }
    }

    /// Attempts that succeeded.
    pub(crate) fn done(&self) -> u64 {
        self.latencies.len()
    }

    /// Attempts that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    pub(crate) fn failures(&self) -> &BTreeMap<Failure, u64> {
        &self.failures
    }

    /// The latency that this share of the attempts stayed below, in microseconds; 0 where there are none.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// In microseconds; 0 where there are none.
    pub(crate) fn mean_us(&self) -> f64 {
        self.latencies.mean() / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_every_latency_and_every_failure() {
        let (mut one, mut other) = (Tally::new(), Tally::new());
        for milliseconds in 1..=50 {
            one.note(Ok(()), Duration::from_millis(milliseconds));
            other.note(Ok(()), Duration::from_millis(50 + milliseconds));
        }
        one.note(Err(Failure::Reset), Duration::ZERO);
        other.note(Err(Failure::Reset), Duration::ZERO);
        other.note(Err(Failure::Status(503)), Duration::ZERO);
        one.add(&other);
        assert_eq!((one.done(), one.failed()), (100, 3));
        assert_eq!(one.failures()[&Failure::Reset], 2);
        let off = |quantile, expected: f64| (one.quantile_us(quantile) / expected - 1.0).abs();
        assert!(off(0.5, 50_000.0) < 0.002 && off(0.99, 99_000.0) < 0.002);
        assert!(off(1.0, 100_000.0) < 0.002);
    }

    #[test]
    fn a_failure_is_in_no_percentile() {
        let mut tally = Tally::new();
        tally.note(Err(Failure::Timeout), Duration::from_secs(10));
        assert_eq!((tally.done(), tally.failed()), (0, 1));
        assert!(tally.quantile_us(1.0) < 0.001);
    }
}
