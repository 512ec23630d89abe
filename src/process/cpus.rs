//! Which CPUs this process may use, and how threads are placed on them.
//!
//! Read once, on the main thread, before any other starts. Source: sched_setaffinity(2), cgroups(7);
//! the kernel's documentation, "Control Group v2", `cpu.max`, and "CFS Bandwidth Control".
use super::cgroup::{self, Version};
use crate::limits;
use rustix::io;
use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::path::Path;

/// The CPUs this process may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Cpus {
    /// Those of the affinity mask, ascending, at least one.
    pub allowed: Vec<usize>,
    /// CPUs' worth of time that the cgroups grant, where they set a bound.
    pub quota: Option<f64>,
}

impl Cpus {
    /// Reads mask and quota. A cgroup that cannot be read sets no bound.
    ///
    /// # Errors
    /// When the kernel does not tell the mask.
    pub fn of_process() -> io::Result<Self> {
        let mask = sched_getaffinity(None)?;
        let allowed = (0..CpuSet::MAX_CPU).filter(|&cpu| mask.is_set(cpu)).collect();
        Ok(Self { allowed, quota: quota(Path::new("/")) })
    }

    /// `shards: auto`: one for each allowed CPU, as far as the quota reaches.
    pub fn shards(&self) -> usize {
        let granted = |count: &usize| self.quota.is_none_or(|quota| (*count as f64) < quota);
        // One more than the whole CPUs that lie below the quota is the quota, rounded up.
        let below = (1..self.allowed.len()).take_while(granted).count();
        (below + 1).min(limits::SHARDS_MAX)
    }

    /// The CPUs that so many shards leave free.
    pub fn spare(&self, shards: usize) -> &[usize] {
        self.allowed.get(shards..).unwrap_or_default()
    }

    /// The CPU of each of so many shards. More shards than CPUs share them evenly.
    pub fn of_shards(&self, shards: usize) -> Vec<usize> {
        self.allowed.iter().copied().cycle().take(shards).collect()
    }
}

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// What the kernel said.
pub fn pin(cpu: usize) -> io::Result<()> {
    place(&[cpu])
}

/// Puts the calling thread, and those that it will start, behind the shards: on all allowed CPUs, at a
/// lower priority.
///
/// # Errors
/// What the kernel said.
pub fn yield_to_shards(cpus: &Cpus) -> io::Result<()> {
    place(&cpus.allowed)?;
    // On Linux each thread has a nice value of its own; setpriority(2), "C library/kernel differences".
    let thread = Some(gettid());
    setpriority_process(thread, (getpriority_process(thread)? + YIELD).min(LOWEST_PRIORITY))
}

/// Keeps the calling thread, and those that it will start, off the CPUs of so many shards, where that leaves
/// any: the kernel lets even a thread of low priority finish its slice of a few milliseconds.
///
/// Which CPUs those are is settled when the process starts: what it gets later (a container that is resized) is
/// used by nobody, and of what it loses the kernel moves threads away as it likes. Start it anew then.
///
/// # Errors
/// What the kernel said.
pub fn keep_off_shards(cpus: &Cpus, shards: usize) -> io::Result<()> {
    match cpus.spare(shards) {
        [] => Ok(()),
        spare => place(spare),
    }
}

/// How much the control threads' nice value lies above the shards'.
const YIELD: i32 = 10;
const LOWEST_PRIORITY: i32 = 19;

fn place(cpus: &[usize]) -> io::Result<()> {
    let mut mask = CpuSet::new();
    for &cpu in cpus {
        mask.set(cpu);
    }
    sched_setaffinity(None, &mask)
}

/// The tightest quota from this process's cgroups up to the root, in CPUs. `root` is `/`.
fn quota(root: &Path) -> Option<f64> {
    cgroup::bounds(root, "cpu", quota_of).into_iter().reduce(f64::min)
}

/// The quota of one cgroup, in CPUs.
fn quota_of(version: Version, directory: &Path) -> Option<f64> {
    let read = |file| fs::read_to_string(directory.join(file)).ok();
    match version {
        Version::V2 => {
            let text = read("cpu.max")?;
            let (quota, period) = text.split_once(' ')?;
            ratio(quota, period)
        }
        Version::V1 => ratio(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?),
    }
}

/// Quota over period. `max` and -1 stand for no quota.
fn ratio(quota: &str, period: &str) -> Option<f64> {
    let parse = |text: &str| text.trim().parse::<f64>().ok().filter(|number| *number > 0.0);
    Some(parse(quota)? / parse(period)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scratch::Scratch;
    use std::thread;

    fn cpus(count: usize, quota: Option<f64>) -> Cpus {
        Cpus { allowed: (0..count).collect(), quota }
    }

    #[test]
    fn there_is_a_shard_for_each_allowed_cpu_as_far_as_the_quota_reaches() {
        for (allowed, quota, shards) in [
            (1, None, 1),
            (8, None, 8),
            (8, Some(0.1), 1),
            (8, Some(1.0), 1),
            (8, Some(1.5), 2),
            (8, Some(2.0), 2),
            (8, Some(7.01), 8),
            (8, Some(64.0), 8),
        ] {
            assert_eq!(cpus(allowed, quota).shards(), shards, "{allowed} CPUs, {quota:?}");
        }
    }

    #[test]
    fn shards_take_the_first_allowed_cpus_and_share_when_there_are_more() {
        let cpus = Cpus { allowed: vec![2, 5, 7], quota: None };
        assert_eq!(cpus.of_shards(2), [2, 5]);
        assert_eq!(cpus.of_shards(7), [2, 5, 7, 2, 5, 7, 2]);
    }

    #[test]
    fn control_threads_get_the_cpus_that_shards_leave() {
        let cpus = Cpus { allowed: vec![2, 5, 7], quota: None };
        assert_eq!(cpus.spare(1), [5, 7]);
        assert_eq!(cpus.spare(3), [0; 0]);
        assert_eq!(cpus.spare(7), [0; 0]);
    }

    #[test]
    fn the_tightest_quota_on_the_way_up_counts() {
        let tree = Scratch::with(&[
            ("proc/self/cgroup", "0::/pod/node\n"),
            ("proc/self/mountinfo", "30 23 0:27 / /cg rw - cgroup2 cgroup2 rw\n"),
            ("cg/cpu.max", "50000 100000\n"),
            ("cg/pod/cpu.max", "250000 100000\n"),
            ("cg/pod/node/cpu.max", "max 100000\n"),
            ("cpu.max", "1 100000\n"),
        ]);
        assert_eq!(quota(tree.root()), Some(0.5));
        fs::remove_file(tree.path("cg/cpu.max")).unwrap();
        assert_eq!(quota(tree.root()), Some(2.5));
        fs::remove_file(tree.path("cg/pod/cpu.max")).unwrap();
        assert_eq!(quota(tree.root()), None);
    }

    #[test]
    fn version_1_says_no_quota_by_minus_one() {
        let tree = Scratch::with(&[
            ("proc/self/cgroup", "4:cpu,cpuacct:/a\n"),
            ("proc/self/mountinfo", "9 8 0:31 / /cpu rw - cgroup cgroup rw,cpu,cpuacct\n"),
            ("cpu/a/cpu.cfs_quota_us", "-1\n"),
            ("cpu/a/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(quota(tree.root()), None);
        fs::write(tree.path("cpu/a/cpu.cfs_quota_us"), "150000\n").unwrap();
        assert_eq!(quota(tree.root()), Some(1.5));
    }

    #[test]
    fn without_cgroups_there_is_no_quota() {
        let tree = Scratch::with(&[("proc/self/cgroup", ""), ("proc/self/mountinfo", "cut -")]);
        assert_eq!(quota(tree.root()), None);
        assert_eq!(quota(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_pinned_thread_stays_on_its_cpu_until_it_yields() {
        let cpus = Cpus::of_process().unwrap();
        assert!((1..=cpus.allowed.len()).contains(&cpus.shards()));
        let last = *cpus.allowed.last().unwrap();
        thread::spawn(move || {
            let before = getpriority_process(Some(gettid())).unwrap();
            pin(last).unwrap();
            assert_eq!(rustix::thread::sched_getcpu(), last);
            yield_to_shards(&cpus).unwrap();
            assert_eq!(sched_getaffinity(None).unwrap().count() as usize, cpus.allowed.len());
            assert_eq!(getpriority_process(Some(gettid())).unwrap(), (before + 10).min(19));
            keep_off_shards(&cpus, cpus.allowed.len()).unwrap();
            assert_eq!(sched_getaffinity(None).unwrap().count() as usize, cpus.allowed.len());
            keep_off_shards(&cpus, cpus.allowed.len() - 1).unwrap();
            assert!(cpus.allowed.len() == 1 || rustix::thread::sched_getcpu() == last);
        })
        .join()
        .unwrap();
    }
}
