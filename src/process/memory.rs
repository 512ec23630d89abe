//! The memory budget: how much the node may have, and how hard it is pressed.
//!
//! Judged by the resident size: it is what the kernel ends processes for, whoever allocated it, and reading it
//! takes no lock of the allocator's. What the allocator keeps of freed memory is part of it, so it is told to give
//! that back for as long as the node is pressed; else a node that has shed its load might stay shut.
use super::cgroup::{self, Version};
use crate::config::written::Budget;
use crate::limits;
use crate::net::heap;
use crate::observe::metrics::Board;
use crate::observe::proc;
use crate::pressure::{Level, Order, PerMille};
use crate::shard::Bounds;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The budget in bytes; none where there shall be none, or nobody says how much memory there is. `root` is `/`.
pub(super) fn budget_bytes(written: Budget, root: &Path) -> Option<u64> {
    match written {
        Budget::Off => None,
        Budget::Number(mib) => Some(u64::from(mib) << 20),
        Budget::Auto => {
            let of_machine = fs::read_to_string(root.join("proc/meminfo")).ok();
            let of_machine = of_machine.as_deref().and_then(total_bytes);
            let of_cgroups = cgroup::bounds(root, "memory", limit_of);
            let least = of_cgroups.into_iter().chain(of_machine).min()?;
            Some(least / 4 * 3)
        }
    }
}

/// The limit of one cgroup; version 2 says `max` where there is none, version 1 some very large number.
fn limit_of(version: Version, directory: &Path) -> Option<u64> {
    let file = match version {
        Version::V1 => "memory.limit_in_bytes",
        Version::V2 => "memory.max",
    };
    fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok()
}

/// The memory of the machine, from `/proc/meminfo`. Source: proc_meminfo(5).
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Holds memory against the budget for as long as the node runs, and tells the shards.
pub(super) async fn watch(budget_bytes: u64, bounds: Arc<Bounds>, board: Arc<Board>) {
    let (mut level, mut orders) = (Level::Calm, Orders::default());
    board.overload(budget_bytes, level);
    loop {
        tokio::time::sleep(limits::MEMORY_LOOK_EVERY).await;
        if level > Level::Calm {
            heap::give_back_freed();
        }
        let Some(used_bytes) = proc::resident_bytes() else { continue };
        let before = level;
        level = before.next(used_bytes, budget_bytes);
        let share = to_give_back(used_bytes, board.held_bytes(), budget_bytes);
        bounds.pressure.publish(level, orders.next(level, share));
        if level == before {
            continue;
        }
        board.overload(budget_bytes, level);
        let (used_mib, budget_mib) = (used_bytes >> 20, budget_bytes >> 20);
        if level > before {
            tracing::warn!(used_mib, budget_mib, "near the memory budget: {}", level.word());
        } else {
            tracing::info!(used_mib, budget_mib, "away from the memory budget: {}", level.word());
        }
    }
}

/// What resets should give back of what clients hold: as much as leads down to where the next level begins, and
/// never what leaves them less than a part of the budget. Where trust has outgrown it, no reset would help.
fn to_give_back(used_bytes: u64, held_bytes: u64, budget_bytes: u64) -> Option<PerMille> {
    let of_budget = |percent| budget_bytes / 100 * percent;
    let excess = used_bytes.saturating_sub(of_budget(Level::NoAccept.percent()));
    let spare = held_bytes.saturating_sub(of_budget(limits::MEMORY_LEFT_TO_CLIENTS_PERCENT));
    let bytes = excess.min(spare);
    (bytes > 0).then(|| PerMille::new(bytes, held_bytes))
}

/// Orders to shards to give memory back.
#[derive(Debug, Default)]
struct Orders {
    last: Order,
    /// The next reading may come before the last order has brought what it will.
    settles: bool,
}

impl Orders {
    /// The order that stands after a reading: at the highest level a new one for each second reading that asks
    /// for some, and the old one in between, for shards that have not seen it yet.
    fn next(&mut self, level: Level, share: Option<PerMille>) -> Order {
        let share = share.filter(|_| level == Level::Reset && !self.settles);
        self.settles = share.is_some();
        if let Some(share) = share {
            self.last = Order { number: self.last.number.wrapping_add(1).max(1), share };
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::scratch::Scratch;

    const MIB: u64 = 1 << 20;

    #[test]
    fn without_a_number_the_budget_is_three_quarters_of_the_least_limit() {
        let tree = Scratch::with(&[
            ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n"),
            ("proc/self/cgroup", "0::/pod/node\n"),
            ("proc/self/mountinfo", "30 23 0:27 / /cg rw - cgroup2 cgroup2 rw\n"),
            ("cg/pod/memory.max", "1073741824\n"),
            ("cg/pod/node/memory.max", "max\n"),
        ]);
        assert_eq!(budget_bytes(Budget::Auto, tree.root()), Some(768 * MIB));
        fs::remove_file(tree.path("cg/pod/memory.max")).unwrap();
        assert_eq!(budget_bytes(Budget::Auto, tree.root()), Some(6 * 1024 * MIB));
        fs::remove_file(tree.path("proc/meminfo")).unwrap();
        assert_eq!(budget_bytes(Budget::Auto, tree.root()), None);
    }

    #[test]
    fn version_1_has_a_file_of_its_own() {
        let tree = Scratch::with(&[
            ("proc/self/cgroup", "4:memory:/a\n"),
            ("proc/self/mountinfo", "9 8 0:31 / /memory rw - cgroup cgroup rw,memory\n"),
            ("memory/a/memory.limit_in_bytes", "1048576000\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(budget_bytes(Budget::Auto, tree.root()), Some(786_432_000));
    }

    #[test]
    fn a_number_is_the_budget_and_off_is_none() {
        assert_eq!(budget_bytes(Budget::Number(7), Path::new("/")), Some(7 * MIB));
        assert_eq!(budget_bytes(Budget::Off, Path::new("/")), None);
        assert!(budget_bytes(Budget::Auto, Path::new("/")).is_some_and(|bytes| bytes > MIB));
    }

    #[test]
    fn resets_give_back_what_is_above_the_level_below_them() {
        let share = |used, held| to_give_back(used, held, 1_000);
        assert_eq!(share(1_000, 800), Some(PerMille::new(80, 800)));
        assert_eq!(share(900, 800), None);
    }

    /// Goal: memory that is not the clients' costs them nothing, as long as they hold little.
    #[test]
    fn what_is_not_the_clients_is_not_asked_of_them() {
        let share = |used, held| to_give_back(used, held, 1_000);
        assert_eq!(share(5_000, 0), None);
        assert_eq!(share(5_000, 50), None, "a twentieth is theirs in any case");
        assert_eq!(share(5_000, 60), Some(PerMille::new(10, 60)), "what is above it is not");
    }

    /// Goal: one reading is acted on once, and its effect is seen before the next order.
    #[test]
    fn an_order_stands_until_its_effect_can_be_read() {
        let (mut orders, share) = (Orders::default(), Some(PerMille::new(1, 2)));
        assert_eq!(orders.next(Level::NoAccept, share), Order::default(), "not at this level");
        let first = orders.next(Level::Reset, share);
        assert_eq!((first.number, Some(first.share)), (1, share));
        assert_eq!(orders.next(Level::Reset, share), first, "the reading is too early");
        assert_eq!(orders.next(Level::Reset, share).number, 2);
        assert_eq!(orders.next(Level::Reset, None).number, 2, "it has helped");
        assert_eq!(orders.next(Level::Reset, None).number, 2);
        assert_eq!(orders.next(Level::Reset, share).number, 3);
        orders.last.number = u32::MAX;
        assert_eq!(orders.next(Level::Calm, None).number, u32::MAX);
        assert_eq!(orders.next(Level::Reset, share).number, 1, "0 is none");
    }
}
