//! Deadlines of a shard's sockets: one compact table, judged every `limits::DEADLINE_TICK`.
//!
//! Each socket owns two slots (reading, everything) from creation to drop, so arming is one store and a socket without a
//! deadline costs eight bytes of a scan that runs ten times a second. Ruled out: a timer for each
//! operation, which would have to drop the operation's future, and a wheel, which pays for every
//! re-arming; here most deadlines are moved and hardly any expires.
//!
//! [`Table`] is pure. Bounds: as many slots as there were sockets at once; slots are reused.
use super::socket::Inner;
use crate::close::Reason;
use crate::limits::DEADLINE_TICK;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval_at};

/// Ticks since the shard started; wraps never (13 years).
type Tick = u32;

/// The due tick of a slot that waits for nothing.
const NEVER: Tick = Tick::MAX;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const TICK_NANOS: u64 =
    DEADLINE_TICK.as_secs() * NANOS_PER_SECOND + DEADLINE_TICK.subsec_nanos() as u64;

/// What happens to a socket whose deadline has passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// Both directions end.
    Both(Reason),
    /// Reading ends, so that an answer can still be sent.
    Reading(Reason),
}

/// When each owner is due, and what happens then.
#[derive(Debug)]
struct Table<T, E> {
    // Apart from the owners, so that a scan reads nothing else.
    due: Vec<Tick>,
    owners: Vec<Option<(T, Option<E>)>>,
    free: Vec<usize>,
}

impl<T: Clone, E: Clone> Table<T, E> {
    const fn new() -> Self {
        Self { due: Vec::new(), owners: Vec::new(), free: Vec::new() }
    }

    /// A slot for `owner`, with no deadline.
    fn insert(&mut self, owner: T) -> usize {
        let entry = Some((owner, None));
        if let Some(slot) = self.free.pop() {
            self.owners[slot] = entry;
            return slot;
        }
        self.due.push(NEVER);
        self.owners.push(entry);
        self.due.len() - 1
    }

    /// Frees the slot for another owner.
    fn remove(&mut self, slot: usize) {
        self.due[slot] = NEVER;
        self.owners[slot] = None;
        self.free.push(slot);
    }

    fn arm(&mut self, slot: usize, due: Tick, end: E) {
        self.due[slot] = due;
        if let Some((_, armed)) = &mut self.owners[slot] {
            *armed = Some(end);
        }
    }

    fn extend(&mut self, slot: usize, due: impl FnOnce() -> Tick) {
        if self.due[slot] != NEVER {
            self.due[slot] = due();
        }
    }

    fn disarm(&mut self, slot: usize) {
        self.due[slot] = NEVER;
    }

    /// Who is due at `now`, each once: its deadline is gone then.
    fn expire(&mut self, now: Tick) -> Vec<(T, E)> {
        let mut expired = Vec::new();
        for (due, owner) in self.due.iter_mut().zip(&self.owners) {
            if *due <= now && *due != NEVER {
                *due = NEVER;
                if let Some((owner, Some(end))) = owner {
                    expired.push((owner.clone(), end.clone()));
                }
            }
        }
        expired
    }
}

/// The first tick at which nobody can say that it is too early.
fn due(elapsed: Duration, after: Duration) -> Tick {
    Tick::try_from(nanos(elapsed.saturating_add(after)).div_ceil(TICK_NANOS))
        .map_or(NEVER - 1, |tick| tick.min(NEVER - 1))
}

/// The last whole tick.
fn passed(elapsed: Duration) -> Tick {
    Tick::try_from(nanos(elapsed) / TICK_NANOS).map_or(NEVER - 1, |tick| tick.min(NEVER - 1))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The deadlines of one shard.
#[derive(Debug)]
pub(super) struct Deadlines {
    origin: Instant,
    table: RefCell<Table<Weak<Inner>, End>>,
}

impl Deadlines {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self { origin: Instant::now(), table: RefCell::new(Table::new()) })
    }

    /// A slot for `owner`, freed when it is dropped.
    pub(super) fn slot(self: &Rc<Self>, owner: Weak<Inner>) -> Slot {
        Slot { index: self.table.borrow_mut().insert(owner), deadlines: Rc::clone(self) }
    }

    /// Kills what is due, for as long as the shard runs.
    pub(super) async fn sweep(self: Rc<Self>) {
        let mut ticks = interval_at((self.origin + DEADLINE_TICK).into(), DEADLINE_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            // The table is released before anybody is killed.
            let expired = self.table.borrow_mut().expire(passed(self.origin.elapsed()));
            for (owner, end) in expired {
                if let Some(socket) = owner.upgrade() {
                    socket.end(end);
                }
            }
        }
    }
}

/// A socket's place in the table.
#[derive(Debug)]
pub(super) struct Slot {
    index: usize,
    deadlines: Rc<Deadlines>,
}

impl Slot {
    /// Reads the clock rather than the last tick: on a shard that computed for a while the last tick is
    /// old, and the deadline would be early when the load is highest.
    pub(super) fn arm(&self, after: Duration, end: End) {
        let due = due(self.deadlines.origin.elapsed(), after);
        self.deadlines.table.borrow_mut().arm(self.index, due, end);
    }

    /// Moves the deadline, if there is one.
    pub(super) fn extend(&self, after: Duration) {
        let due = || due(self.deadlines.origin.elapsed(), after);
        self.deadlines.table.borrow_mut().extend(self.index, due);
    }

    pub(super) fn disarm(&self) {
        self.deadlines.table.borrow_mut().disarm(self.index);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.deadlines.table.borrow_mut().remove(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_expires_once_at_its_tick_and_with_its_reason() {
        let mut table = Table::new();
        let slot = table.insert("a");
        assert_eq!(table.expire(1_000), []);
        table.arm(slot, 5, Reason::Idle);
        assert_eq!(table.expire(4), []);
        assert_eq!(table.expire(5), [("a", Reason::Idle)]);
        assert_eq!(table.expire(6), []);
    }

    #[test]
    fn a_late_sweep_expires_all_that_was_due() {
        let mut table = Table::new();
        for due in 1..=3 {
            let slot = table.insert(due);
            table.arm(slot, due, Reason::ClientTimeout);
        }
        let due: Vec<_> = table.expire(2).into_iter().map(|(owner, _)| owner).collect();
        assert_eq!(due, [1, 2]);
    }

    #[test]
    fn arming_again_moves_the_deadline_and_its_reason() {
        let mut table = Table::new();
        let slot = table.insert(());
        table.arm(slot, 5, Reason::HandshakeTimeout);
        table.arm(slot, 9, Reason::Idle);
        assert_eq!(table.expire(8), []);
        assert_eq!(table.expire(9), [((), Reason::Idle)]);
    }

    #[test]
    fn extending_moves_a_deadline_and_makes_none() {
        let mut table = Table::new();
        let slot = table.insert(());
        table.extend(slot, || 5);
        assert_eq!(table.expire(100), []);
        table.arm(slot, 105, Reason::Idle);
        table.extend(slot, || 109);
        assert_eq!(table.expire(108), []);
        assert_eq!(table.expire(109), [((), Reason::Idle)]);
    }

    #[test]
    fn a_disarmed_owner_never_expires() {
        let mut table = Table::new();
        let slot = table.insert(());
        table.arm(slot, 5, Reason::Idle);
        table.disarm(slot);
        assert_eq!(table.expire(NEVER - 1), []);
    }

    #[test]
    fn a_freed_slot_is_reused_without_the_deadline_of_its_last_owner() {
        let mut table = Table::new();
        let slots: Vec<_> = (0..100).map(|owner| table.insert(owner)).collect();
        for slot in slots {
            table.arm(slot, 1, Reason::Idle);
            table.remove(slot);
        }
        for owner in 0..100 {
            table.insert(owner);
        }
        assert_eq!(table.expire(NEVER - 1), []);
        assert_eq!((table.due.len(), table.owners.len(), table.free.len()), (100, 100, 0));
    }

    #[test]
    fn a_deadline_is_never_early_and_late_by_less_than_a_tick() {
        let ms = Duration::from_millis;
        for elapsed in [0, 1, 99, 100, 101, 12_345] {
            for after in [0, 1, 99, 100, 101, 60_000] {
                let fires = DEADLINE_TICK * due(ms(elapsed), ms(after));
                assert!(fires >= ms(elapsed + after), "early: {elapsed} + {after}");
                assert!(fires < ms(elapsed + after) + DEADLINE_TICK, "late: {elapsed} + {after}");
            }
        }
        assert_eq!(passed(ms(199)), 1);
        assert_eq!(due(Duration::MAX, Duration::MAX), NEVER - 1);
    }
}
