//! Targets that refused a connection a moment ago and are passed over for a while.
//!
//! Pure: time is passed in. Bounds: as many marks as targets that refused within
//! `limits::PASS_OVER`; [`PassedOver::sweep`] forgets the others.
use crate::limits;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

/// The marks of a shard.
#[derive(Debug, Default)]
pub(super) struct PassedOver {
    /// When each mark ends.
    until: HashMap<SocketAddr, Instant, RandomState>,
}

impl PassedOver {
    /// Passes `target` over for `limits::PASS_OVER` from now on.
    pub(super) fn mark(&mut self, target: SocketAddr, now: Instant) {
        self.until.insert(target, now + limits::PASS_OVER);
    }

    /// The target took a connection after all.
    pub(super) fn clear(&mut self, target: SocketAddr) {
        self.until.remove(&target);
    }

    /// Whether the target is to be passed over.
    pub(super) fn contains(&self, target: SocketAddr, now: Instant) -> bool {
        self.until.get(&target).is_some_and(|&until| now < until)
    }

    /// Forgets marks that are over.
    pub(super) fn sweep(&mut self, now: Instant) {
        self.until.retain(|_, until| now < *until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TARGET: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 80);

    #[test]
    fn a_marked_target_is_passed_over_until_the_time_is_over() {
        let (mut marks, now) = (PassedOver::default(), Instant::now());
        assert!(!marks.contains(TARGET, now));
        marks.mark(TARGET, now);
        assert!(marks.contains(TARGET, now));
        assert!(marks.contains(TARGET, now + limits::PASS_OVER - Duration::from_nanos(1)));
        assert!(!marks.contains(TARGET, now + limits::PASS_OVER));
    }

    #[test]
    fn a_second_refusal_begins_the_time_anew_and_a_success_ends_it() {
        let (mut marks, now) = (PassedOver::default(), Instant::now());
        marks.mark(TARGET, now);
        marks.mark(TARGET, now + Duration::from_secs(1));
        assert!(marks.contains(TARGET, now + limits::PASS_OVER));
        marks.clear(TARGET);
        assert!(!marks.contains(TARGET, now));
    }

    #[test]
    fn a_sweep_forgets_marks_that_are_over_and_no_others() {
        let (mut marks, now) = (PassedOver::default(), Instant::now());
        marks.mark(TARGET, now);
        marks.sweep(now);
        assert_eq!(marks.until.len(), 1);
        marks.sweep(now + limits::PASS_OVER);
        assert!(marks.until.is_empty());
    }
}
