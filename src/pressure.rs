//! How hard the node is pressed for memory, and what shards do about it.
//!
//! The control thread judges a few times a second and publishes through one atomic; shards read it where they
//! keep a connection, accept one, and a few times a second to end some. Each level includes those below it.
//! What a level takes away comes back only well below where it began, so that nothing flaps. What shards are
//! to give back is an order with a number, so that none acts twice on one reading of memory.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How hard.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// All is well.
    #[default]
    Calm,
    /// Answers end their connections, and with them what these hold.
    NoKeepAlive,
    /// New connections are closed at once.
    NoAccept,
    /// The heaviest connections are reset.
    Reset,
}

impl Level {
    /// Every level, in the order of [`Level::index`].
    pub const ALL: [Self; 4] = [Self::Calm, Self::NoKeepAlive, Self::NoAccept, Self::Reset];

    /// Position in [`Level::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word in the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::NoKeepAlive => "connections are not kept alive",
            Self::NoAccept => "no connections are accepted",
            Self::Reset => "the heaviest connections are reset",
        }
    }

    /// The share of the budget, in percent, from which on it is reached.
    pub const fn percent(self) -> u64 {
        match self {
            Self::Calm => 0,
            Self::NoKeepAlive => 85,
            Self::NoAccept => 92,
            Self::Reset => 97,
        }
    }

    /// The next level: this one and those below it are left only so much further down.
    pub fn next(self, used_bytes: u64, budget_bytes: u64) -> Self {
        let is_reached = |level: &Self| {
            let slack = if *level <= self { HYSTERESIS_PERCENT } else { 0 };
            let share = level.percent().saturating_sub(slack);
            u128::from(used_bytes) * 100 >= u128::from(budget_bytes) * u128::from(share)
        };
        Self::ALL.into_iter().rfind(is_reached).unwrap_or_default()
    }
}

/// How far below its share a level is left.
const HYSTERESIS_PERCENT: u64 = 5;

/// A share in thousandths.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PerMille(u16);

impl PerMille {
    /// The share that `part` is of `whole`, rounded up.
    pub fn new(part: u64, whole: u64) -> Self {
        let share = (u128::from(part) * 1_000).div_ceil(u128::from(whole.max(1)));
        Self(u16::try_from(share).unwrap_or(u16::MAX).min(1_000))
    }

    /// So much of it.
    pub fn of(self, whole: u64) -> u64 {
        let part = u128::from(whole) * u128::from(self.0) / 1_000;
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

/// An order to give memory back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Order {
    /// Counted from 1; a shard carries each out once. 0 is none.
    pub number: u32,
    /// How much of what its clients hold a shard is to give back.
    pub share: PerMille,
}

/// What the control thread tells the shards: the level in the low 16 bits, the share of an order in the next
/// 16, its number above them.
#[derive(Debug, Default)]
pub struct Pressure(AtomicU64);

impl Pressure {
    /// Publishes a level, and an order.
    pub fn publish(&self, level: Level, order: Order) {
        let share = u64::from(order.share.0) << 16;
        self.0.store(u64::from(order.number) << 32 | share | level.index() as u64, Relaxed);
    }

    /// The level.
    pub fn level(&self) -> Level {
        level(self.0.load(Relaxed))
    }

    /// The share to give back by an order that is newer than `carried_out`, which it then is; none below
    /// [`Level::Reset`].
    pub fn order_after(&self, carried_out: &mut u32) -> Option<PerMille> {
        let published = self.0.load(Relaxed);
        let number = u32::try_from(published >> 32).unwrap_or_default();
        let is_new = std::mem::replace(carried_out, number) != number && number != 0;
        let share = u16::try_from(published >> 16 & 0xffff).unwrap_or_default();
        (is_new && level(published) == Level::Reset).then_some(PerMille(share))
    }
}

fn level(published: u64) -> Level {
    let index = published & 0xffff;
    Level::ALL.into_iter().find(|level| level.index() as u64 == index).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_is_reached_at_its_share() {
        let next = |used| Level::Calm.next(used, 1_000);
        for (used, level) in [
            (0, Level::Calm),
            (849, Level::Calm),
            (850, Level::NoKeepAlive),
            (919, Level::NoKeepAlive),
            (920, Level::NoAccept),
            (969, Level::NoAccept),
            (970, Level::Reset),
            (u64::MAX, Level::Reset),
        ] {
            assert_eq!(next(used), level, "{used}");
        }
    }

    #[test]
    fn a_level_is_left_well_below_its_share() {
        for (from, used, to) in [
            (Level::Reset, 920, Level::Reset),
            (Level::Reset, 919, Level::NoAccept),
            (Level::Reset, 869, Level::NoKeepAlive),
            (Level::Reset, 799, Level::Calm),
            (Level::NoAccept, 870, Level::NoAccept),
            (Level::NoAccept, 970, Level::Reset),
            (Level::NoKeepAlive, 800, Level::NoKeepAlive),
            (Level::NoKeepAlive, 799, Level::Calm),
        ] {
            assert_eq!(from.next(used, 1_000), to, "{from:?} at {used}");
        }
    }

    #[test]
    fn what_is_published_is_read_and_an_order_is_carried_out_once() {
        let (pressure, mut carried_out) = (Pressure::default(), 0);
        assert_eq!((pressure.level(), pressure.order_after(&mut carried_out)), (Level::Calm, None));
        for level in Level::ALL {
            pressure.publish(level, Order::default());
            assert_eq!((pressure.level(), pressure.order_after(&mut carried_out)), (level, None));
        }
        for number in [1, 2, u32::MAX] {
            let share = PerMille(1_000);
            pressure.publish(Level::Reset, Order { number, share });
            assert_eq!(pressure.level(), Level::Reset);
            assert_eq!(pressure.order_after(&mut carried_out), Some(share), "order {number}");
            assert_eq!(pressure.order_after(&mut carried_out), None, "order {number}, again");
        }
    }

    #[test]
    fn a_share_is_rounded_up_and_never_more_than_all() {
        for (part, whole, share) in [
            (0, 1_000, 0),
            (1, 1_000_000, 1),
            (84, 1_000, 84),
            (1_001, 1_000, 1_000),
            (1, 0, 1_000),
            (u64::MAX, u64::MAX, 1_000),
        ] {
            assert_eq!(PerMille::new(part, whole), PerMille(share), "{part} of {whole}");
        }
        assert_eq!((PerMille(84).of(1_000), PerMille(1_000).of(u64::MAX)), (84, u64::MAX));
    }
}
