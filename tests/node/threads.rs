//! Where the node's threads run.
use crate::support::node::piece;
use crate::support::{Node, target, wait};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity};
use std::fs;

/// The CPUs of a thread, ascending; `None` where it has ended.
fn cpus(thread: Option<Pid>) -> Option<Vec<usize>> {
    let mask = sched_getaffinity(thread).ok()?;
    Some((0..CpuSet::MAX_CPU).filter(|&cpu| mask.is_set(cpu)).collect())
}

/// The name and the CPUs of each thread of the node.
fn threads(node: &Node) -> Vec<(String, Vec<usize>)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", node.id())).expect("the node runs");
    let thread = |task: fs::DirEntry| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let id = Pid::from_raw(task.file_name().to_str()?.parse().ok()?);
        Some((name.trim().to_owned(), cpus(id)?))
    };
    tasks.filter_map(|task| thread(task.ok()?)).collect()
}

/// Goal: nothing of the control side ever runs on a shard's CPU, as long as there are others. Method: a node
/// with one shard and a connection log, whose thread is started while the configuration is loaded. On a
/// machine with one CPU all must share that one.
#[test]
fn only_shards_run_on_the_cpus_of_shards() {
    let configuration = [
        piece::targets(&[target::nobody().entry()]),
        "listeners:\n".to_owned(),
        piece::http("plain", ""),
    ];
    let node = Node::start(&configuration.concat());
    let allowed = cpus(None).expect("this thread runs");
    let (of_shard, spare) = allowed.split_at(1);
    // It has started the shards, and was started itself before anything was read.
    let is_starter = |(name, _): &(String, Vec<usize>)| name == "starter";
    let threads = wait::until("the starter to end", || {
        Some(threads(&node)).filter(|threads| !threads.iter().any(is_starter))
    });
    for wanted in ["shard-0", "log", "portcullis"] {
        assert!(threads.iter().any(|(name, _)| name == wanted), "no {wanted} in {threads:?}");
    }
    // The kernel's own threads for io_uring belong to the shard.
    for (name, cpus) in threads.iter().filter(|(name, _)| !name.starts_with("iou-")) {
        let is_shard = name.starts_with("shard-");
        let expected = if is_shard || spare.is_empty() { of_shard } else { spare };
        assert_eq!(cpus, expected, "{name}");
    }
}
