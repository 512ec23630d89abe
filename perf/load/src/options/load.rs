//! How much load, for how long, and by how many threads.
use super::value::{self, Cpus};
use crate::run::{Bounds, Pace, Threads};
use clap::Args;
use std::thread;
use std::time::Duration;

/// How long a run lasts that nobody has set a bound.
const DURATION: Duration = Duration::from_secs(10);

/// Connections where nobody has said how many.
const CONNECTIONS: usize = 16;

#[derive(Args, Debug)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadOptions {
    #[command(flatten)]
    pub(crate) pace: PaceOptions,
    /// End after so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds; 10 where no --count is given
    #[arg(long, value_name = "SECONDS", value_parser = value::seconds)]
    duration: Option<Duration>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Load")]
pub(crate) struct PaceOptions {
    /// Closed loop: so many connections at any time, each with the next attempt when the last is over;
    /// without: 16
    #[arg(long, value_name = "N", value_parser = value::count)]
    concurrency: Option<usize>,
    /// Open loop: so many begun in each second, whatever becomes of them; latency counts from the moment when
    /// each was due
    #[arg(long, value_name = "N", value_parser = value::rate)]
    rate: Option<f64>,
    /// Open loop: so many at most that wait or are under way; those that would be more are not begun, and
    /// counted
    #[arg(
        long, value_name = "N", default_value = "4096", requires = "rate",
        value_parser = value::count
    )]
    outstanding: usize,
    /// Threads; without: one for each CPU that may be used
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// One thread on each of these CPUs
    #[arg(long, value_name = "0,2-3", conflicts_with = "threads", value_parser = value::cpus)]
    cores: Option<Cpus>,
}

impl LoadOptions {
    pub(crate) fn bounds(&self) -> Bounds {
        let unbounded = self.count.is_none() && self.duration.is_none();
        let duration = if unbounded { Some(DURATION) } else { self.duration };
        Bounds { count: self.count, duration }
    }
}

impl PaceOptions {
    pub(crate) fn pace(&self) -> Pace {
        match self.rate {
            Some(per_second) => Pace::Rate { per_second, outstanding_max: self.outstanding },
            None => Pace::Concurrency(self.connections()),
        }
    }

    /// Connections at any time, where a run keeps them.
    pub(crate) fn connections(&self) -> usize {
        self.concurrency.unwrap_or(CONNECTIONS)
    }

    /// For work in which an open loop has no use for `--concurrency`.
    ///
    /// # Errors
    /// When both were given.
    pub(crate) fn either(&self) -> Result<(), String> {
        match (self.concurrency, self.rate) {
            (Some(_), Some(_)) => {
                Err("--rate begins connections whatever becomes of others: no --concurrency"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn threads(&self) -> Threads {
        match (&self.cores, self.threads) {
            (Some(Cpus(cpus)), _) => Threads::On(cpus.clone()),
            (None, Some(threads)) => Threads::Anywhere(threads.into()),
            (None, None) => {
                Threads::Anywhere(thread::available_parallelism().map_or(1, usize::from))
            }
        }
    }
}
