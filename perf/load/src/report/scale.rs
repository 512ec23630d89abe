//! Scales of charts: where a value is, and where to write which numbers.
//!
//! Pure.

/// From the lowest to the highest value of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
}

/// A number at an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) text: String,
}

/// Steps of a time axis, in seconds.
const TIME_STEPS: [f64; 22] = [
    0.001, 0.01, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0,
    1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0, 864_000.0,
];

/// The lowest value of a logarithmic scale.
const LOG_MIN: f64 = 1e-3;

/// Numbers at a horizontal axis.
const TICKS_MAX: f64 = 9.0;

impl Scale {
    /// From 0; `high` is moved up to a round number.
    pub(super) fn from_zero(high: f64) -> Self {
        let step = round_step(high / 4.0);
        Self { low: 0.0, high: (high / step).ceil().max(1.0) * step, is_log: false }
    }

    /// Exactly from 0 to there.
    pub(super) fn to(high: f64) -> Self {
        Self { low: 0.0, high: high.max(f64::MIN_POSITIVE), is_log: false }
    }

    /// Logarithmic, with both ends moved to a round number; no less than a power of ten.
    pub(super) fn log(low: f64, high: f64) -> Self {
        let (low, high) = (low.max(LOG_MIN), high.max(LOG_MIN));
        let power = |value: f64| 10_f64.powf(value.log10().floor());
        let below = [5.0, 2.0, 1.0].map(|factor| factor * power(low));
        let above = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power(high));
        let low = below.into_iter().find(|round| *round <= low).unwrap_or(low);
        let high = above.into_iter().find(|round| *round >= high).unwrap_or(high);
        Self { low, high: high.max(low * 10.0), is_log: true }
    }

    /// How far up a value is: 0 at the lower end, 1 at the upper one.
    pub(super) fn at(&self, value: f64) -> f64 {
        let far = if self.is_log {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        far.clamp(0.0, 1.0)
    }

    /// Counts, in round steps.
    pub(super) fn counts(&self) -> Vec<Tick> {
        let step = round_step(self.high / 4.0);
        let tick = |value: f64| Tick { value, text: count(value) };
        steps(step, self.high).into_iter().map(tick).collect()
    }

    /// Seconds since the start.
    pub(super) fn times(&self) -> Vec<Tick> {
        let fits = |step: &&f64| self.high / **step <= TICKS_MAX;
        let step = TIME_STEPS.iter().find(fits).copied().unwrap_or(self.high);
        let (unit, name) = match step {
            step if step >= 3_600.0 => (3_600.0, "h"),
            step if step >= 60.0 => (60.0, "min"),
            _ => (1.0, "s"),
        };
        let tick = |value: f64| Tick { value, text: format!("{} {name}", decimal(value / unit)) };
        steps(step, self.high).into_iter().map(tick).collect()
    }

    /// Microseconds of a logarithmic scale: the powers of ten, and 2 and 5 where there are few.
    pub(super) fn latencies(&self) -> Vec<Tick> {
        let decades = (self.high / self.low).log10();
        let factors: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let mut ticks = Vec::new();
        let mut power = 10_f64.powf(self.low.log10().floor());
        while power <= self.high {
            for value in factors.iter().map(|factor| factor * power) {
                // What was rounded to an end may miss it by a bit.
                if value >= self.low * 0.999 && value <= self.high * 1.001 {
                    ticks.push(Tick { value, text: duration(value) });
                }
            }
            power *= 10.0;
        }
        ticks
    }
}

/// 1, 2 or 5 of a power of ten, at least as much.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-9).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().find(|step| *step >= least * 0.999).unwrap_or(power * 10.0)
}

fn steps(step: f64, high: f64) -> Vec<f64> {
    let mut all = Vec::new();
    let mut value = 0.0;
    while value <= high * 1.000_001 {
        all.push(value);
        value = step * all.len() as f64;
    }
    all
}

/// A count, shortly: 1.5k, 20k, 3M.
pub(super) fn count(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", decimal(value / 1e6)),
        value if value >= 1e4 => format!("{}k", decimal(value / 1e3)),
        _ => decimal(value),
    }
}

/// Microseconds, in the unit that makes a short number.
pub(super) fn duration(microseconds: f64) -> String {
    match microseconds {
        us if us >= 999_500.0 => format!("{} s", decimal(us / 1e6)),
        us if us >= 999.5 => format!("{} ms", decimal(us / 1e3)),
        us => format!("{} µs", decimal(us)),
    }
}

/// Three digits, without zeros behind the point.
fn decimal(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        value if value >= 0.0995 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: Vec<Tick>) -> Vec<String> {
        ticks.into_iter().map(|tick| tick.text).collect()
    }

    #[test]
    fn times_have_the_unit_of_their_steps() {
        assert_eq!(
            texts(Scale::to(1.0).times()),
            ["0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1 s"]
        );
        let hour = texts(Scale::to(3_600.0).times());
        assert_eq!((hour[0].as_str(), hour[1].as_str()), ("0 min", "10 min"));
        assert_eq!(texts(Scale::to(30_000.0).times())[1], "1 h");
    }

    #[test]
    fn counts_end_at_a_round_number_above_all() {
        let scale = Scale::from_zero(4_321.0);
        assert_eq!(texts(scale.counts()), ["0", "2000", "4000", "6000"]);
        assert!((scale.at(3_000.0) - 0.5).abs() < 1e-9);
        assert_eq!(texts(Scale::from_zero(0.0).counts()).len(), 2);
    }

    #[test]
    fn a_logarithmic_scale_holds_both_ends_and_at_least_a_power_of_ten() {
        for (low, high) in [(0.7, 0.9), (95.0, 101.0), (1.0, 1_000.0), (3.0, 4e6), (5.0, 5.0)] {
            let scale = Scale::log(low, high);
            assert!(scale.low <= low && scale.high >= high, "{low} {high} {scale:?}");
            assert!(scale.high / scale.low >= 9.99, "{scale:?}");
            let ticks = scale.latencies();
            assert!((2..=11).contains(&ticks.len()), "{low} {high} {ticks:?}");
        }
        assert_eq!(texts(Scale::log(900.0, 30_000.0).latencies())[0], "500 µs");
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.25, 7.0, 12.34, 999.9, 1_500.0, 20_000.0, 3.2e6].map(count);
        assert_eq!(all, ["0", "0.25", "7", "12.3", "1000", "1500", "20k", "3.2M"]);
        let all = [0.5, 999.9, 1_234.0, 2.5e6].map(duration);
        assert_eq!(all, ["0.5 µs", "1 ms", "1.23 ms", "2.5 s"]);
    }
}
