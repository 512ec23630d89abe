//! What is told at the end: a table for people, JSON for programs.
use crate::probe::{Negotiated, Protocol};
use crate::run::{Outcome, Pace};
use crate::tally::{Handshakes, Latencies};
use crate::timeline::{Slot, Timeline};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) work: &'static str,
    pub(crate) connect: String,
    pub(crate) server_name: String,
    /// Different clients; 0 where none shows a certificate.
    pub(crate) clients: usize,
    pub(crate) protocol: Protocol,
    pub(crate) negotiated: Negotiated,
    /// Connections that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<usize>,
    /// Requests at a time on each of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) streams: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests_per_connection: Option<u32>,
    pub(crate) threads: usize,
    pub(crate) pace: Pace,
}

/// The result of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    version: &'static str,
    #[serde(flatten)]
    setting: Setting,
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
    /// From connect to the end of the handshake; none without any.
    handshake_us: Option<Latency>,
    /// Content of answers.
    received_bytes: u64,
    /// CPU time of the load itself.
    load_cpu_seconds: f64,
    timeline: Slots,
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

impl Report {
    pub(crate) fn new(setting: Setting, outcome: &Outcome) -> Self {
        let Outcome { tally, attempted, elapsed, cpu } = outcome;
        let failures = tally.failures().iter().map(|(kind, count)| (kind.to_string(), *count));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            setting,
            seconds: elapsed.as_secs_f64(),
            attempted: *attempted,
            done: tally.done(),
            done_per_second: tally.done() as f64 / elapsed.as_secs_f64(),
            failed: tally.failed(),
            failures: failures.collect(),
            latency_us: Latency::of(tally.latencies()),
            handshakes: tally.handshakes(),
            handshake_us: Latency::of(tally.opening()),
            received_bytes: tally.received_bytes(),
            load_cpu_seconds: cpu.as_secs_f64(),
            timeline: Slots::of(tally.timeline()),
        }
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
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { work, connect, clients, .. } = &self.setting;
        let Self { seconds, done, done_per_second, .. } = self;
        let clients = match clients {
            0 => "no client certificate".to_owned(),
            1 => "one client certificate".to_owned(),
            several => format!("{several} client certificates"),
        };
        writeln!(f, "{work} {connect}, {clients}, {seconds:.1} s")?;
        writeln!(f, "{done:>10} done    {done_per_second:.0} a second")?;
        writeln!(f, "{:>10} failed", self.failed)?;
        for (kind, count) in &self.failures {
            writeln!(f, "{count:>17} {kind}")?;
        }
        let Some(latency) = &self.latency_us else { return Ok(()) };
        let Latency { mean, p50, p90, p99, p999, max } = latency;
        let rows = [
            ("mean", mean),
            ("50 %", p50),
            ("90 %", p90),
            ("99 %", p99),
            ("99.9 %", p999),
            ("most", max),
        ];
        write!(f, "{:>10}", "latency")?;
        for (name, microseconds) in rows {
            write!(f, "\n{name:>10} {:>10.3} ms", microseconds / 1_000.0)?;
        }
        Ok(())
    }
}
