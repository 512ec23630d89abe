//! How a run went over time: what was done and what failed in each slot of it.
//!
//! Pure. A run of an hour takes as much room as one of a minute: once all slots are used, each two become
//! one, and slots are twice as wide from then on.
use crate::failure::Failure;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a histogram can hold; longer counts as this long. The timeout is shorter.
pub(crate) const LATENCY_MAX: Duration = Duration::from_secs(1_000);

/// Slots at most; half as many at least, in a run that was long enough.
const SLOTS_MAX: usize = 600;

/// How wide slots are at first: so the first minute fits.
const WIDTH: Duration = Duration::from_millis(100);

/// Slots of a picture: at most; at least, if there are as many; and how much should have ended in each.
const PICTURED_MAX: usize = 300;
const PICTURED_MIN: usize = 20;
const ENDED_MIN: u64 = 10;

/// What came of a run, slot by slot.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    width: Duration,
    slots: Vec<Slot>,
}

/// What came to its end in one stretch of time.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// Latencies of what succeeded, in nanoseconds, with one digit: a picture needs no more.
    pub(crate) latencies: Histogram<u32>,
    pub(crate) failures: BTreeMap<Failure, u64>,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        Self { width: WIDTH, slots: Vec::new() }
    }

    pub(crate) fn width(&self) -> Duration {
        self.width
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Something ended so long after the start.
    pub(crate) fn note(&mut self, at: Duration, outcome: Result<(), Failure>, nanoseconds: u64) {
        let slot = self.slot(at);
        match outcome {
            Ok(()) => slot.latencies.saturating_record(nanoseconds),
            Err(failure) => *slot.failures.entry(failure).or_default() += 1,
        }
    }

    /// Sums up with another of the same run.
    pub(crate) fn add(&mut self, other: &Self) {
        while self.width < other.width {
            self.widen();
        }
        for (index, slot) in (0..).zip(&other.slots) {
            self.slot(other.width * index).add(slot);
        }
    }

    /// The same with slots that make a picture of a run that lasted so long: not too many, and with enough in each
    /// that chance does not draw it.
    pub(crate) fn for_picture(&self, elapsed: Duration) -> Self {
        let mut timeline = self.clone();
        let ended: u64 = self.slots.iter().map(|slot| slot.done() + slot.failed()).sum();
        let are_thin = |slots: usize| slots > PICTURED_MIN && ended < ENDED_MIN * slots as u64;
        let mut last = timeline.index(elapsed);
        while last >= PICTURED_MAX || are_thin(last + 1) {
            timeline.widen();
            last = timeline.index(elapsed);
        }
        // A run may end long after the last thing that happened in it.
        if timeline.slots.len() <= last {
            timeline.slots.resize(last + 1, Slot::new());
        }
        timeline
    }

    fn slot(&mut self, at: Duration) -> &mut Slot {
        let mut index = self.index(at);
        while index >= SLOTS_MAX {
            self.widen();
            index = self.index(at);
        }
        if index >= self.slots.len() {
            self.slots.resize(index + 1, Slot::new());
        }
        &mut self.slots[index]
    }

    fn index(&self, at: Duration) -> usize {
        usize::try_from(at.as_nanos() / self.width.as_nanos()).unwrap_or(usize::MAX)
    }

    fn widen(&mut self) {
        self.width *= 2;
        let halves = std::mem::take(&mut self.slots);
        for two in halves.chunks(2) {
            let mut one = Slot::new();
            two.iter().for_each(|half| one.add(half));
            self.slots.push(one);
        }
    }
}

impl Slot {
    fn new() -> Self {
        let longest = u64::try_from(LATENCY_MAX.as_nanos()).expect("it is far below 2^64 ns");
        let latencies =
            Histogram::new_with_bounds(1_000, longest, 1).expect("the bounds are legal");
        Self { latencies, failures: BTreeMap::new() }
    }

    fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies).expect("both have the same bounds");
        for (failure, count) in &other.failures {
            *self.failures.entry(*failure).or_default() += count;
        }
    }

    /// What succeeded.
    pub(crate) fn done(&self) -> u64 {
        self.latencies.len()
    }

    /// What failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// The latency that this share stayed below, in microseconds; none where nothing succeeded.
    pub(crate) fn quantile_us(&self, quantile: f64) -> Option<f64> {
        (self.done() > 0).then(|| self.latencies.value_at_quantile(quantile) as f64 / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(timeline: &Timeline) -> (u64, u64) {
        let slots = timeline.slots().iter();
        slots.fold((0, 0), |(done, failed), slot| (done + slot.done(), failed + slot.failed()))
    }

    #[test]
    fn an_hour_fits_into_the_slots_and_loses_nothing() {
        let mut timeline = Timeline::new();
        for second in 0..3_600 {
            timeline.note(Duration::from_secs(second), Ok(()), 1_000_000);
            timeline.note(Duration::from_secs(second), Err(Failure::Reset), 0);
        }
        assert_eq!(counts(&timeline), (3_600, 3_600));
        assert_eq!(timeline.width(), Duration::from_millis(6_400));
        assert_eq!(timeline.slots().len(), 3_600_000 / 6_400 + 1);
        // 6.4 s hold six or seven whole seconds.
        assert!(timeline.slots()[..500].iter().all(|slot| (6..=7).contains(&slot.done())));
    }

    #[test]
    fn a_sum_has_the_wider_slots_whichever_side_has_them() {
        let at = |seconds| {
            let mut timeline = Timeline::new();
            timeline.note(Duration::from_secs(seconds), Ok(()), 5_000);
            timeline
        };
        for (mut one, other) in [(at(1), at(100)), (at(100), at(1))] {
            one.add(&other);
            assert_eq!(one.width(), Duration::from_millis(200));
            assert_eq!(counts(&one), (2, 0));
            assert_eq!((one.slots()[5].done(), one.slots()[500].done()), (1, 1));
        }
    }

    #[test]
    fn a_picture_has_fewer_slots_and_all_that_ended() {
        let mut timeline = Timeline::new();
        for second in 0..60 {
            timeline.note(Duration::from_secs(second), Ok(()), 1_000_000);
        }
        let picture = timeline.for_picture(Duration::from_secs(60));
        assert_eq!(counts(&picture), (60, 0));
        assert!((PICTURED_MIN / 2..=PICTURED_MIN).contains(&picture.slots().len()));
    }

    #[test]
    fn a_picture_goes_to_the_end_of_a_run_in_which_nothing_happened_any_more() {
        let mut timeline = Timeline::new();
        for _ in 0..100_000 {
            timeline.note(Duration::from_millis(10), Ok(()), 1_000_000);
        }
        let picture = timeline.for_picture(Duration::from_secs(3_599));
        assert!(picture.slots().len() > PICTURED_MAX / 2);
        assert!(
            picture.width() * u32::try_from(picture.slots().len()).unwrap()
                >= Duration::from_secs(3_599)
        );
        assert_eq!(counts(&picture), (100_000, 0));
        assert_eq!(picture.slots()[1].done(), 0);
    }

    #[test]
    fn a_slot_without_success_has_no_latency() {
        let mut timeline = Timeline::new();
        timeline.note(Duration::ZERO, Err(Failure::Timeout), 0);
        assert_eq!(timeline.slots()[0].quantile_us(0.5), None);
    }
}
