//! How hard the node is pressed for memory, and what shards do about it.
//!
//! The control thread judges a few times a second and publishes through one atomic; shards read it where they
//! keep a connection, accept one, and a few times a second to end some. Each level includes those below it.
//! What a level takes away comes back only well below where it began, so that nothing flaps.
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

/// What the control thread tells the shards.
#[derive(Debug, Default)]
pub struct Pressure(AtomicU64);

/// Bits of the level; what is to be given back stands above them.
const LEVEL_BITS: u32 = 2;

impl Pressure {
    /// Publishes a level, and how many bytes each shard is to give back by resets.
    pub fn publish(&self, level: Level, give_back_bytes: u64) {
        let bytes = give_back_bytes.min(u64::MAX >> LEVEL_BITS);
        self.0.store(bytes << LEVEL_BITS | level.index() as u64, Relaxed);
    }

    /// The level.
    pub fn level(&self) -> Level {
        let index = self.0.load(Relaxed) & ((1 << LEVEL_BITS) - 1);
        Level::ALL.into_iter().find(|level| level.index() as u64 == index).unwrap_or_default()
    }

    /// Bytes that each shard is to give back now; none below [`Level::Reset`].
    pub fn give_back_bytes(&self) -> Option<u64> {
        (self.level() == Level::Reset).then(|| self.0.load(Relaxed) >> LEVEL_BITS)
    }
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
    fn what_is_published_is_read() {
        let pressure = Pressure::default();
        assert_eq!((pressure.level(), pressure.give_back_bytes()), (Level::Calm, None));
        for level in Level::ALL {
            pressure.publish(level, 1 << 40);
            assert_eq!(pressure.level(), level);
        }
        assert_eq!(pressure.give_back_bytes(), Some(1 << 40));
        pressure.publish(Level::Reset, u64::MAX);
        assert_eq!(pressure.level(), Level::Reset);
    }
}
