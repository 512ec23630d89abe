//! What is told at the end: a table for people, JSON for programs, a page to look at and to pass on.
mod chart;
mod happenings;
mod page;
mod scale;
mod table;

use crate::events::Whose;
use crate::probe::{Negotiated, Protocol};
use crate::run::{Outcome, Pace, Plan};
use crate::tally::{Handshakes, Latencies};
use crate::timeline::{Slot, Timeline};
use happenings::{Happenings, Refusal};
use serde::Serialize;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What was asked for, and what a server has made of it.
#[derive(Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) work: &'static str,
    pub(crate) connect: String,
    /// Where connections went instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) connect_to: Vec<String>,
    pub(crate) server_name: String,
    /// Local addresses, from the first to the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// Nobody looked at the server's certificate.
    pub(crate) insecure: bool,
    /// Different clients; 0 where none shows a certificate.
    pub(crate) clients: usize,
    /// Of a hundred connections, how many were to resume.
    pub(crate) resume_percent: u32,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// Of each request.
    pub(crate) content_bytes: usize,
    pub(crate) protocol: Protocol,
    pub(crate) negotiated: Negotiated,
    /// Connections that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<u64>,
    /// Requests at a time on each of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) streams: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests_per_connection: Option<u32>,
}

impl Setting {
    /// How many clients there are, in words.
    fn clients(&self) -> String {
        match self.clients {
            0 => "no client certificate".to_owned(),
            1 => "one client certificate".to_owned(),
            several => format!("{several} client certificates"),
        }
    }
}

/// The result of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    version: &'static str,
    /// When it was over.
    at: String,
    #[serde(flatten)]
    setting: Setting,
    /// The bounds of the run: whichever came first.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    threads: usize,
    pace: Pace,
    /// How long opening the connections has taken, where that is no part of `seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    opening_seconds: Option<f64>,
    seconds: f64,
    /// Begun, or due to.
    attempted: u64,
    done: u64,
    done_per_second: f64,
    failed: u64,
    /// By kind.
    failures: BTreeMap<String, u64>,
    /// Of those that are done; none without any.
    latency_us: Option<Latency>,
    handshakes: Handshakes,
    /// Kept connections that the server has ended between two requests; none where happenings tell it, and
    /// by HTTP/2, where nobody counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<u64>,
    /// From connect to the end of the handshake; none without any.
    handshake_us: Option<Latency>,
    /// Content of answers.
    received_bytes: u64,
    /// CPU time of the load itself, and what share of its threads' time that is.
    load_cpu_seconds: f64,
    load_busy: f64,
    #[serde(flatten)]
    happenings: Option<Happenings>,
    timeline: Slots,
    percentiles: Vec<Percentile>,
    /// The timeline as it is drawn.
    #[serde(skip)]
    picture: Slots,
}

/// From the moment an attempt began (in an open loop: should have begun) to the end of its last answer.
#[derive(Debug, Serialize)]
struct Latency {
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// The latency that all but one in so many stayed below.
#[derive(Debug, Serialize)]
struct Percentile {
    one_in: f64,
    us: f64,
}

/// How it went over time: one entry for each slot.
#[derive(Debug, Serialize)]
struct Slots {
    slot_seconds: f64,
    done: Vec<u64>,
    failed: Vec<u64>,
    /// Nothing where nothing was done.
    p50_us: Vec<Option<f64>>,
    p99_us: Vec<Option<f64>>,
}

impl Report {
    pub(crate) fn new(setting: Setting, plan: &Plan, outcome: &Outcome) -> Self {
        let Outcome { tally, attempted, opening, elapsed, cpu } = outcome;
        let failures = tally.failures().iter().map(|(kind, count)| (kind.to_string(), *count));
        let (seconds, threads) = (elapsed.as_secs_f64(), plan.threads.count());
        let load_cpu_seconds = cpu.as_secs_f64();
        let happenings =
            matches!(setting.work, "idle" | "swap").then(|| Happenings::of(tally.events()));
        let counts_ended = setting.work == "requests" && setting.protocol == Protocol::Http1;
        let mut picture = Slots::of(&tally.timeline().for_picture(*elapsed));
        picture.add_losses(happenings.iter().flat_map(|all| &all.refusals));
        picture.end_at(seconds);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            at: now(),
            count: plan.bounds.count,
            duration_seconds: plan.bounds.duration.map(|duration| duration.as_secs_f64()),
            threads,
            pace: plan.pace,
            opening_seconds: opening.map(|opening| opening.as_secs_f64()),
            seconds,
            attempted: *attempted,
            done: tally.done(),
            done_per_second: tally.done() as f64 / seconds,
            failed: tally.failed(),
            failures: failures.collect(),
            latency_us: Latency::of(tally.latencies()),
            handshakes: tally.handshakes(),
            ended: counts_ended.then(|| tally.events().ended()),
            handshake_us: Latency::of(tally.opening()),
            received_bytes: tally.received_bytes(),
            load_cpu_seconds,
            load_busy: load_cpu_seconds / (seconds * threads as f64),
            happenings,
            timeline: Slots::of(tally.timeline()),
            percentiles: percentiles(tally.latencies()),
            picture,
            setting,
        }
    }

    /// What failed, and what was lost or could not be opened anew.
    fn errors(&self) -> BTreeMap<String, u64> {
        let mut errors = self.failures.clone();
        if let Some(happenings) = &self.happenings {
            let named = |name: &'static str| move |kind: &String| format!("{name}: {kind}");
            let (lost, anew) = (named("lost"), named("kept, anew"));
            errors.extend(happenings.lost.iter().map(|(kind, count)| (lost(kind), *count)));
            errors.extend(happenings.kept_refused.iter().map(|(kind, count)| (anew(kind), *count)));
        }
        errors
    }
}

impl Slots {
    fn of(timeline: &Timeline) -> Self {
        let slots = timeline.slots();
        Self {
            slot_seconds: timeline.width().as_secs_f64(),
            done: slots.iter().map(Slot::done).collect(),
            failed: slots.iter().map(Slot::failed).collect(),
            p50_us: slots.iter().map(|slot| slot.quantile_us(0.5)).collect(),
            p99_us: slots.iter().map(|slot| slot.quantile_us(0.99)).collect(),
        }
    }

    /// Counts connections that were lost as what failed, at their time.
    fn add_losses<'a>(&mut self, refusals: impl Iterator<Item = &'a Refusal>) {
        for refusal in refusals.filter(|refusal| refusal.connection != Whose::New) {
            let ends = (1_u32..).map(|index| f64::from(index) * self.slot_seconds);
            let mut slots = self.failed.iter_mut().zip(ends);
            if let Some((failed, _)) = slots.find(|(_, end)| *end > refusal.at_seconds) {
                *failed += 1;
            }
        }
    }

    /// A rest of a slot in which the run ended says little: it goes to the slot before.
    fn end_at(&mut self, seconds: f64) {
        let rest = seconds - self.done.len().saturating_sub(1) as f64 * self.slot_seconds;
        if self.done.len() > 1 && rest < self.slot_seconds / 2.0 {
            for counts in [&mut self.done, &mut self.failed] {
                let last = counts.pop().unwrap_or_default();
                counts.iter_mut().last().into_iter().for_each(|before| *before += last);
            }
            self.p50_us.pop();
            self.p99_us.pop();
        }
    }
}

/// The time of day, to the second.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default()
}

impl Latency {
    fn of(latencies: &Latencies) -> Option<Self> {
        (latencies.count() > 0).then(|| Self {
            mean: latencies.mean_us(),
            p50: latencies.quantile_us(0.5),
            p90: latencies.quantile_us(0.9),
            p99: latencies.quantile_us(0.99),
            p999: latencies.quantile_us(0.999),
            max: latencies.quantile_us(1.0),
        })
    }

    fn rows(&self) -> [(&'static str, f64); 6] {
        let Self { mean, p50, p90, p99, p999, max } = self;
        [
            ("mean", *mean),
            ("50 %", *p50),
            ("90 %", *p90),
            ("99 %", *p99),
            ("99.9 %", *p999),
            ("most", *max),
        ]
    }
}

/// Ten for each power of ten, as far as there are latencies to tell them apart.
fn percentiles(latencies: &Latencies) -> Vec<Percentile> {
    if latencies.count() == 0 {
        return Vec::new();
    }
    let count = latencies.count() as f64;
    let tenths = (0..).map(|tenth: i32| 10_f64.powf(f64::from(tenth) / 10.0));
    let steps = tenths.take_while(|one_in| *one_in < count).chain([count]);
    let at = |one_in| Percentile { one_in, us: latencies.quantile_us(1.0 - 1.0 / one_in) };
    let mut all: Vec<_> = steps.map(at).collect();
    if let Some(last) = all.last_mut() {
        last.us = latencies.quantile_us(1.0);
    }
    all
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::run::{Bounds, Threads};
    use crate::tally::Tally;
    use std::time::Duration;

    /// The report of a run in which that came to its end.
    pub(super) fn report(tally: Tally, elapsed: Duration) -> Report {
        let setting = Setting {
            work: "handshake",
            connect: "127.0.0.1:8443".to_owned(),
            connect_to: Vec::new(),
            server_name: "localhost".to_owned(),
            source: None,
            insecure: false,
            clients: 1,
            resume_percent: 0,
            method: "GET",
            path: "/".to_owned(),
            content_bytes: 0,
            protocol: Protocol::Http1,
            negotiated: Negotiated::default(),
            connections: None,
            streams: None,
            requests_per_connection: Some(1),
        };
        let plan = Plan {
            pace: Pace::Concurrency(16),
            bounds: Bounds { count: None, duration: Some(elapsed) },
            threads: Threads::Anywhere(2),
            lanes: 16,
            opens_first: false,
        };
        let attempted = tally.done() + tally.failed();
        let cpu = elapsed / 2;
        Report::new(setting, &plan, &Outcome { tally, attempted, opening: None, elapsed, cpu })
    }

    #[test]
    fn percentiles_rise_to_the_longest_of_all() {
        let mut tally = Tally::new();
        for milliseconds in 1..=1_000 {
            tally.done_at(Duration::ZERO, Duration::from_millis(milliseconds));
        }
        let all = percentiles(tally.latencies());
        assert!(all.is_sorted_by(|one, next| one.us <= next.us && one.one_in < next.one_in));
        let last = all.last().unwrap();
        assert!((last.one_in - 1_000.0).abs() < 1e-9 && (last.us / 1e6 - 1.0).abs() < 0.002);
        assert_eq!(all.len(), 31);
        assert!(percentiles(Tally::new().latencies()).is_empty());
    }
}
