//! Threads, the CPUs that they are kept to, and what the process may open.
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::thread;
use std::time::Duration;

/// Where a run works.
#[derive(Clone, Debug)]
pub(crate) enum Threads {
    /// So many, wherever the system puts them.
    Anywhere(usize),
    /// One on each of these CPUs.
    On(Vec<usize>),
}

impl Threads {
    /// At least one.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Anywhere(count) => (*count).max(1),
            Self::On(cpus) => cpus.len().max(1),
        }
    }

    /// No more than there is work for: a thread without a lane would make turns that nobody takes.
    pub(crate) fn at_most(self, lanes: usize) -> Self {
        match self {
            Self::Anywhere(count) => Self::Anywhere(count.min(lanes)),
            Self::On(mut cpus) => {
                cpus.truncate(lanes);
                Self::On(cpus)
            }
        }
    }

    /// What part of `whole` falls to thread `index`; all parts make the whole.
    pub(crate) fn share(&self, whole: usize, index: usize) -> usize {
        whole / self.count() + usize::from(index < whole % self.count())
    }

    /// Keeps the calling thread, which is thread `index`, to its CPU.
    pub(super) fn settle(&self, index: usize) -> io::Result<()> {
        if let Self::On(cpus) = self
            && let Some(cpu) = cpus.get(index)
        {
            let mut set = CpuSet::new();
            set.set(*cpu);
            sched_setaffinity(None, &set)
                .map_err(|error| io::Error::other(format!("CPU {cpu}: {error}")))?;
        }
        Ok(())
    }

    /// Sees that every thread can have its CPU, before some are at work.
    pub(super) fn check(&self) -> io::Result<()> {
        thread::scope(|scope| {
            (0..self.count()).try_for_each(|index| {
                scope.spawn(move || self.settle(index)).join().unwrap_or(Ok(()))
            })
        })
    }
}

/// CPU time of the calling thread.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Lets the process have as many files open as it may, since each connection is one. Answers how many that
/// are; none where there is no limit.
pub(crate) fn raise_file_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_make_the_whole() {
        for threads in [Threads::Anywhere(3), Threads::On(vec![0, 1, 2, 3])] {
            for whole in [0, 1, 3, 16, 17] {
                let shares = (0..threads.count()).map(|index| threads.share(whole, index));
                assert_eq!(shares.sum::<usize>(), whole);
            }
        }
    }
}
