//! What a shard does about memory once the node is over its budget ([`crate::pressure`]).
//!
//! From level to level: connections end with their answers, new ones are not accepted, and the heaviest are
//! reset. What a connection weighs is said by whoever serves it; the sum over all is what clients hold.
//! Bound: `limits::RESETS_AT_ONCE_MAX`.
use super::{Handle, Place, Shard};
use crate::close::Reason;
use crate::limits;
use crate::observe::count::Relief;
use crate::pressure::Level;
use std::rc::Rc;

/// What a connection takes in memory beside its requests: TLS, its client's chain, its task.
const CONNECTION_BYTES: usize = 6 * 1024;

/// Gives memory back when that is ordered.
pub(super) async fn run(shard: Rc<Shard>) {
    let mut carried_out = 0;
    loop {
        tokio::time::sleep(limits::MEMORY_LOOK_EVERY).await;
        if let Some(share) = shard.bounds.pressure.order_after(&mut carried_out) {
            shard.reset_heaviest(share.of(shard.held_bytes()));
        }
    }
}

impl Shard {
    /// Whether there is no memory for connections that have had their answer.
    pub(super) fn is_pressed(&self) -> bool {
        self.bounds.pressure.level() >= Level::NoKeepAlive
    }

    /// Whether there is no memory for new connections.
    pub(super) fn is_shut(&self) -> bool {
        self.bounds.pressure.level() >= Level::NoAccept
    }

    /// Counts a connection that the memory budget cost.
    pub(super) fn count_relief(&self, relief: Relief) {
        self.counters.overload[relief.index()].add(1);
    }

    /// What the clients of this shard hold, about.
    fn held_bytes(&self) -> u64 {
        self.counters.held_bytes.get().try_into().unwrap_or_default()
    }

    /// Resets connections, the heaviest first, until about so many bytes will have been given back;
    /// `limits::RESETS_AT_ONCE_MAX` at most.
    fn reset_heaviest(&self, bytes: u64) {
        let open = self.open.borrow();
        let alive = open.by_key.values().filter(|handle| handle.socket.killed().is_none());
        let mut handles: Vec<_> = alive.map(|handle| (handle.weight_bytes.get(), handle)).collect();
        let by_weight = |one: &(usize, _), other: &(usize, _)| other.0.cmp(&one.0);
        if handles.len() > limits::RESETS_AT_ONCE_MAX {
            handles.select_nth_unstable_by(limits::RESETS_AT_ONCE_MAX, by_weight);
            handles.truncate(limits::RESETS_AT_ONCE_MAX);
        }
        handles.sort_unstable_by(by_weight);
        let mut left = bytes;
        for (weight, handle) in handles {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(weight as u64);
            handle.socket.reset_on_close();
            handle.kill(Reason::Overloaded);
            self.count_relief(Relief::Reset);
        }
    }

    /// A connection is there, or gone.
    pub(super) fn weigh_connection(&self, handle: &Handle, is_open: bool) {
        self.set_weight(handle, if is_open { CONNECTION_BYTES } else { 0 });
    }

    fn set_weight(&self, handle: &Handle, bytes: usize) {
        let before = handle.weight_bytes.replace(bytes);
        let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.counters.held_bytes.add(signed(bytes) - signed(before));
    }
}

impl Place {
    /// Says what the requests of the connection take in memory, about.
    pub(super) fn weigh(&self, bytes: usize) {
        self.shard.set_weight(&self.handle, CONNECTION_BYTES + bytes);
    }
}
