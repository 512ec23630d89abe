//! Whose turn it is: the round-robin cursors of a shard, by group name.
//!
//! By name and not by group, so that a reload does not send everybody back to the first target.
//! Pure: time is passed in. Bound: groups used within `limits::CURSOR_KEPT`.
use crate::limits;
use crate::target::{NoTarget, round_robin};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The cursors of a shard.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Where a group's first turn is. Shards begin at different targets, or a node of many shards
    /// would send the first request of each to the same one.
    begin: usize,
    by_group: HashMap<Arc<str>, Cursor, RandomState>,
}

#[derive(Debug)]
struct Cursor {
    next: usize,
    used: Instant,
}

impl Turns {
    pub(super) fn new(begin: usize) -> Self {
        Self { begin, by_group: HashMap::default() }
    }

    /// The index of the group's next address, and moves on.
    pub(super) fn next(
        &mut self,
        group: &Arc<str>,
        count: usize,
        now: Instant,
        passed_over: impl Fn(usize) -> bool,
    ) -> Result<usize, NoTarget> {
        let cursor = self.by_group.get_mut(group);
        let next = cursor.as_ref().map_or(self.begin, |cursor| cursor.next);
        let index = round_robin(count, next, passed_over)?;
        let moved_on = Cursor { next: index.wrapping_add(1), used: now };
        match cursor {
            Some(cursor) => *cursor = moved_on,
            None => {
                self.by_group.insert(Arc::clone(group), moved_on);
            }
        }
        Ok(index)
    }

    /// Forgets groups that were not used for long.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.by_group.retain(|_, cursor| now.duration_since(cursor.used) < limits::CURSOR_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_its_own_turns() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let mut next = |group| turns.next(group, 2, now, |_| false);
        assert_eq!([next(&a), next(&a), next(&b), next(&a)], [Ok(0), Ok(1), Ok(0), Ok(0)]);
    }

    #[test]
    fn a_reloaded_group_goes_on_where_its_name_was() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        assert_eq!(turns.next(&Arc::from("a"), 3, now, |_| false), Ok(0));
        assert_eq!(turns.next(&Arc::from("a"), 3, now, |_| false), Ok(1));
    }

    #[test]
    fn shards_begin_at_different_targets() {
        let now = Instant::now();
        let first = |shard| Turns::new(shard).next(&Arc::from("a"), 3, now, |_| false);
        assert_eq!([0, 1, 2, 3].map(first), [Ok(0), Ok(1), Ok(2), Ok(0)]);
    }

    #[test]
    fn an_unused_group_is_forgotten() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        turns.next(&Arc::from("a"), 2, now, |_| false).unwrap();
        turns.sweep(now);
        assert_eq!(turns.by_group.len(), 1);
        turns.sweep(now + limits::CURSOR_KEPT);
        assert!(turns.by_group.is_empty());
    }
}
