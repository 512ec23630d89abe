//! Connections to targets: a shard's pools, connecting, passing over what refuses.
#![expect(clippy::todo, reason = "interface only")]
use crate::close::Reason;
use crate::net::Sock;
use crate::target::Group;
use std::net::SocketAddr;

/// A shard's connections to targets, its round-robin cursors and the targets it passes over.
#[derive(Debug, Default)]
pub struct Upstreams(());

/// A connection to a target, lent to one request.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub socket: Sock,
    /// The target's address.
    pub target: SocketAddr,
    /// Whether it has served a request before (then a failure before the first response byte may be
    /// retried on a fresh one).
    pub reused: bool,
}

impl Upstreams {
    /// A connection to the next target of the group by its algorithm: an idle one when the pool has
    /// one that is not stale, else a fresh one. A refused or timed-out connect is tried once on the
    /// next target, and that target passed over for `limits::PASS_OVER`.
    ///
    /// # Errors
    /// [`Reason::NoTarget`], [`Reason::ConnectRefused`], [`Reason::ConnectTimeout`].
    pub async fn checkout(&self, group: &Group) -> Result<Connection, Reason> {
        let _ = group;
        todo!()
    }
    /// A fresh connection to the same target, for a retry.
    ///
    /// # Errors
    /// As [`Upstreams::checkout`].
    pub async fn fresh(&self, target: SocketAddr) -> Result<Connection, Reason> {
        let _ = target;
        todo!()
    }
    /// Takes a connection back whose exchange ended cleanly.
    pub fn put_back(&self, connection: Connection) {
        let _ = connection;
        todo!()
    }
    /// Closes idle connections that are stale or older than `limits::TARGET_IDLE`; called every second.
    pub fn sweep(&self) {
        todo!()
    }
}
