//! How many connections each source has, over all shards: a bounded table of atomics.
//!
//! The kernel spreads the connections of one source over all shards, so a number kept by each of them would mean
//! another limit on each machine. Nothing is locked: a connection adds one to two slots when it is accepted
//! and takes it away when it closes, and only where its listener has such a limit.
//!
//! A slot may be shared by sources (a count-min sketch of two rows), so a source is refused only when
//! both of its slots are full: never too late, and too early only beside two crowds that happen to have its
//! slots. Which slots a source has is keyed by a secret of the process, so that nobody can choose.
//! Bound: `limits::SOURCE_SLOTS` of four bytes in each row, whatever clients do.
use crate::config::snapshot::Prefix;
use crate::limits::SOURCE_SLOTS;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

impl Prefix {
    /// The source of a client: an IPv4 address within an IPv6 one is an IPv4 address.
    fn source(self, client: IpAddr) -> IpAddr {
        match client.to_canonical() {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.ipv4_bits)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.ipv6_bits)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        }
    }
}

/// The table.
#[derive(Debug)]
pub struct Sources {
    rows: [Box<[AtomicU32]>; 2],
    secret: RandomState,
}

impl Default for Sources {
    fn default() -> Self {
        let row = || (0..SOURCE_SLOTS).map(|_| AtomicU32::new(0)).collect();
        Self { rows: [row(), row()], secret: RandomState::new() }
    }
}

impl Sources {
    /// Takes one more connection of a client's source to a listener; none when it has `connections_max`.
    pub fn enter(
        self: &Arc<Self>,
        listener: &str,
        client: IpAddr,
        prefix: Prefix,
        connections_max: u32,
    ) -> Option<Entered> {
        let hash = self.secret.hash_one((listener, prefix.source(client)));
        let slot = |shift| usize::try_from(hash >> shift).unwrap_or(usize::MAX) % SOURCE_SLOTS;
        // What is dropped is taken away again.
        let entered = Entered { sources: Arc::clone(self), slots: [slot(0), slot(32)] };
        let before = entered.counts().map(|count| count.fetch_add(1, Relaxed));
        before.iter().any(|before| *before < connections_max).then_some(entered)
    }
}

/// A connection of a source; it is taken away on drop.
#[derive(Debug)]
pub struct Entered {
    sources: Arc<Sources>,
    slots: [usize; 2],
}

impl Entered {
    fn counts(&self) -> [&AtomicU32; 2] {
        let [first, second] = &self.sources.rows;
        [&first[self.slots[0]], &second[self.slots[1]]]
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        for count in self.counts() {
            count.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Prefix = Prefix { ipv4_bits: 32, ipv6_bits: 64 };

    fn source(prefix: Prefix, client: &str) -> String {
        prefix.source(client.parse().unwrap()).to_string()
    }

    #[test]
    fn a_source_is_as_many_bits_of_an_address_as_its_listener_says() {
        assert_eq!(source(USUAL, "192.0.2.7"), "192.0.2.7");
        assert_eq!(source(USUAL, "::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(source(USUAL, "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        let wide = Prefix { ipv4_bits: 24, ipv6_bits: 48 };
        assert_eq!(source(wide, "192.0.2.7"), "192.0.2.0");
        assert_eq!(source(wide, "2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
        let whole = Prefix { ipv4_bits: 1, ipv6_bits: 128 };
        assert_eq!(source(whole, "192.0.2.7"), "128.0.0.0");
        assert_eq!(source(whole, "2001:db8::1"), "2001:db8::1");
    }

    #[test]
    fn a_source_has_so_many_connections_and_room_again_when_one_has_gone() {
        let sources = Arc::new(Sources::default());
        let enter =
            |listener, client: &str| sources.enter(listener, client.parse().unwrap(), USUAL, 2);
        let first = enter("a", "192.0.2.7").unwrap();
        let _second = enter("a", "192.0.2.7").unwrap();
        for _ in 0..3 {
            assert!(enter("a", "192.0.2.7").is_none());
        }
        assert!(enter("a", "192.0.2.8").is_some(), "another source");
        assert!(enter("b", "192.0.2.7").is_some(), "another listener");
        drop(first);
        assert!(enter("a", "192.0.2.7").is_some());
    }

    /// Goal: many sources at their limit make hardly anybody else's table full. Method: 1,000 of them among
    /// 1,000 others; each of these fails with a probability of (1,000 / 65,536)².
    #[test]
    fn crowds_leave_room_for_others() {
        let sources = Arc::new(Sources::default());
        let enter = |number: u32, max| sources.enter("a", IpAddr::V4(number.into()), USUAL, max);
        let crowds: Vec<_> = (0..1_000).map(|number| enter(number, u32::MAX)).collect();
        let refused = (1_000..2_000).filter(|number| enter(*number, 1).is_none()).count();
        assert!(refused < 20, "{refused} of 1,000");
        drop(crowds);
        let left = sources.rows.iter().flatten().filter(|count| count.load(Relaxed) > 0).count();
        assert_eq!(left, 0);
    }
}
