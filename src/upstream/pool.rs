//! Idle connections of a shard, by target.
//!
//! Pure but for dropping connections: time and the judgement whether one is stale are passed in.
//! The youngest is taken first, so that under falling load the oldest age out, and the oldest is
//! swept first: a target that closes idle connections closes them in that order too.
//! Bounds: `limits::IDLE_CONNECTIONS_PER_TARGET_MAX`, `limits::IDLE_CONNECTIONS_PER_SHARD_MAX`,
//! `limits::TARGET_IDLE`.
use crate::limits;
use foldhash::fast::RandomState;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

/// Idle connections; `C` is a socket, or what a test puts in its place.
///
/// Keyed by address alone: plain HTTP connections of two groups to one target are interchangeable.
#[derive(Debug)]
pub(super) struct Pool<C> {
    by_target: HashMap<SocketAddr, VecDeque<Idle<C>>, RandomState>,
    /// How many are kept at most.
    count_max: usize,
    /// Sum of all lengths.
    count: usize,
}

/// An idle connection. In a queue the oldest is in front.
#[derive(Debug)]
struct Idle<C> {
    connection: C,
    since: Instant,
}

impl<C> Idle<C> {
    fn is_old(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= limits::TARGET_IDLE
    }
}

impl<C> Pool<C> {
    /// An empty one that keeps `count_max` connections, and never more than
    /// `limits::IDLE_CONNECTIONS_PER_SHARD_MAX`.
    pub(super) fn new(count_max: usize) -> Self {
        let count_max = count_max.min(limits::IDLE_CONNECTIONS_PER_SHARD_MAX);
        Self { by_target: HashMap::default(), count_max, count: 0 }
    }

    /// The youngest idle connection to `target` that is not stale. Stale ones in its way are closed.
    pub(super) fn take(
        &mut self,
        target: SocketAddr,
        now: Instant,
        is_stale: impl Fn(&C) -> bool,
    ) -> Option<C> {
        let queue = self.by_target.get_mut(&target)?;
        while let Some(idle) = queue.pop_back() {
            self.count -= 1;
            if !idle.is_old(now) && !is_stale(&idle.connection) {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Keeps an idle connection. At a bound the oldest one to the same target is closed instead; when
    /// there is none, this one is.
    pub(super) fn put(&mut self, target: SocketAddr, connection: C, now: Instant) {
        let queue = self.by_target.entry(target).or_default();
        let target_full = queue.len() >= limits::IDLE_CONNECTIONS_PER_TARGET_MAX;
        let shard_full = self.count >= self.count_max;
        if target_full || shard_full {
            if queue.pop_front().is_none() {
                return;
            }
            self.count -= 1;
        }
        queue.push_back(Idle { connection, since: now });
        self.count += 1;
    }

    /// Closes connections that are old or stale. Of each target it looks at the oldest until one is
    /// good, so that a sweep costs one look for each target and each connection that it closes.
    pub(super) fn sweep(&mut self, now: Instant, is_stale: impl Fn(&C) -> bool) {
        let count = &mut self.count;
        self.by_target.retain(|_, queue| {
            while let Some(oldest) = queue.front() {
                if !oldest.is_old(now) && !is_stale(&oldest.connection) {
                    break;
                }
                queue.pop_front();
                *count -= 1;
            }
            !queue.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A connection of a test: a number, stale when the test says so.
    type Fake = u32;

    fn target(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn good(_: &Fake) -> bool {
        false
    }

    /// What is left for a target, youngest first.
    fn drain(pool: &mut Pool<Fake>, port: u16, now: Instant) -> Vec<Fake> {
        std::iter::from_fn(|| pool.take(target(port), now, good)).collect()
    }

    #[test]
    fn the_youngest_connection_of_the_target_is_taken_first() {
        let (mut pool, now) = (Pool::new(usize::MAX), Instant::now());
        pool.put(target(1), 1, now);
        pool.put(target(1), 2, now);
        pool.put(target(2), 3, now);
        assert_eq!(drain(&mut pool, 1, now), [2, 1]);
        assert_eq!(drain(&mut pool, 2, now), [3]);
        assert!(drain(&mut pool, 3, now).is_empty());
        assert_eq!(pool.count, 0);
    }

    #[test]
    fn a_stale_connection_is_never_given_out() {
        let (mut pool, now) = (Pool::new(usize::MAX), Instant::now());
        for connection in 1..=3 {
            pool.put(target(1), connection, now);
        }
        assert_eq!(pool.take(target(1), now, |&connection| connection != 1), Some(1));
        assert_eq!(pool.count, 0, "the two stale ones are closed");
    }

    #[test]
    fn a_connection_is_kept_for_the_idle_time_and_no_longer() {
        let (mut pool, now) = (Pool::new(usize::MAX), Instant::now());
        pool.put(target(1), 1, now);
        let last = now + limits::TARGET_IDLE - Duration::from_nanos(1);
        assert_eq!(pool.take(target(1), last, good), Some(1));
        pool.put(target(1), 1, now);
        assert_eq!(pool.take(target(1), now + limits::TARGET_IDLE, good), None);
    }

    #[test]
    fn a_full_target_gives_up_its_oldest() {
        let (mut pool, now) = (Pool::new(usize::MAX), Instant::now());
        let max = u32::try_from(limits::IDLE_CONNECTIONS_PER_TARGET_MAX).unwrap();
        for connection in 0..=max {
            pool.put(target(1), connection, now);
        }
        let left = drain(&mut pool, 1, now);
        assert_eq!(left.len(), limits::IDLE_CONNECTIONS_PER_TARGET_MAX);
        assert_eq!((left[0], left.last().copied()), (max, Some(1)));
    }

    #[test]
    fn a_full_shard_keeps_no_connection_more() {
        let (mut pool, now) = (Pool::new(usize::MAX), Instant::now());
        let targets = u16::try_from(
            limits::IDLE_CONNECTIONS_PER_SHARD_MAX / limits::IDLE_CONNECTIONS_PER_TARGET_MAX,
        );
        for port in 1..=targets.unwrap() {
            for connection in 0..limits::IDLE_CONNECTIONS_PER_TARGET_MAX {
                pool.put(target(port), u32::try_from(connection).unwrap(), now);
            }
        }
        assert_eq!(pool.count, limits::IDLE_CONNECTIONS_PER_SHARD_MAX);
        pool.put(target(9_999), 0, now);
        pool.put(target(1), 77, now);
        assert_eq!(pool.count, limits::IDLE_CONNECTIONS_PER_SHARD_MAX);
        assert_eq!(pool.take(target(9_999), now, good), None);
        assert_eq!(pool.take(target(1), now, good), Some(77));
    }

    #[test]
    fn a_sweep_closes_old_and_stale_ones_and_forgets_targets_without_any() {
        let (mut pool, start) = (Pool::new(usize::MAX), Instant::now());
        let now = start + limits::TARGET_IDLE;
        pool.put(target(1), 10, start);
        pool.put(target(2), 20, start);
        pool.put(target(2), 21, now);
        pool.put(target(3), 30, now);
        pool.put(target(3), 31, now);
        pool.sweep(now, |&connection| connection == 30);
        assert_eq!((pool.by_target.len(), pool.count), (2, 2));
        assert_eq!(drain(&mut pool, 2, now), [21]);
        assert_eq!(drain(&mut pool, 3, now), [31]);
        pool.sweep(now, good);
        assert!(pool.by_target.is_empty());
    }

    #[test]
    fn a_sweep_looks_at_one_good_connection_of_each_target() {
        let (mut pool, now) = (Pool::new(usize::MAX), Instant::now());
        for connection in 0..100 {
            pool.put(target(1), connection, now);
        }
        let looks = std::cell::Cell::new(0);
        pool.sweep(now, |_| {
            looks.set(looks.get() + 1);
            false
        });
        assert_eq!((looks.get(), pool.count), (1, 100));
    }
}
