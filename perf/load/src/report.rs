//! What is told at the end: a table for people, JSON for programs.
use crate::run::{Outcome, Pace};
use crate::tally::Tally;
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
    pub(crate) requests_per_connection: u32,
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
    done: u64,
    done_per_second: f64,
    failed: u64,
    /// By kind.
    failures: BTreeMap<String, u64>,
    /// Of those that are done; none without any.
    latency_us: Option<Latency>,
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
        let Outcome { tally, elapsed } = outcome;
        let failures = tally.failures().iter().map(|(kind, count)| (kind.to_string(), *count));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            setting,
            seconds: elapsed.as_secs_f64(),
            done: tally.done(),
            done_per_second: tally.done() as f64 / elapsed.as_secs_f64(),
            failed: tally.failed(),
            failures: failures.collect(),
            latency_us: (tally.done() > 0).then(|| Latency::of(tally)),
        }
    }
}

impl Latency {
    fn of(tally: &Tally) -> Self {
        Self {
            mean: tally.mean_us(),
            p50: tally.quantile_us(0.5),
            p90: tally.quantile_us(0.9),
            p99: tally.quantile_us(0.99),
            p999: tally.quantile_us(0.999),
            max: tally.quantile_us(1.0),
        }
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
