//! Connections to targets: a shard's pools, connecting, passing over what refuses.
//!
//! One [`Upstreams`] for each shard, used by its request tasks through `&self`. No cell is borrowed
//! across an await, and all bookkeeping is in parts that know neither sockets nor the clock:
//! `pool` (idle connections), `passed_over` (targets that refused), `turns` (round robin).
//!
//! ```text
//! turn ─► idle connection? ── yes ──────────────────────────► lent, reused
//!             no │
//!                ▼
//!             connect ── ok ────────────────────────────────► lent, fresh
//!          refused │ late: passed over for `limits::PASS_OVER`
//!                ▼
//!             the next target, once: idle, or connect ── failed ─► the request ends
//! ```
mod connect;
mod http2;
mod passed_over;
mod pool;
mod turns;

pub use http2::{Avoided, Lost, Place};

use crate::close::Reason;
use crate::limits;
use crate::net::{self, Sock};
use crate::observe::count;
use crate::target::{Group, NoTarget, round_robin};
use arc_swap::Guard;
use passed_over::PassedOver;
use pool::Pool;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;
use turns::Turns;

/// A shard's connections to targets, its round-robin cursors and the targets it passes over.
#[derive(Debug)]
pub struct Upstreams {
    idle: RefCell<Pool<Sock>>,
    passed_over: RefCell<PassedOver>,
    turns: RefCell<Turns>,
    http2: Rc<http2::Pool>,
    /// `limits::CONNECT_TIMEOUT`, but for tests.
    connect_timeout: Duration,
}

/// A connection to a target, lent to one request.
///
/// Dropping it closes it; [`Upstreams::put_back`] keeps it for the next request.
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

/// Why there is no connection for a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoConnection {
    /// Why.
    pub reason: Reason,
    /// The target that was tried last, if any was.
    pub target: Option<SocketAddr>,
}

impl Upstreams {
    /// Those of the shard with this index, which keep `idle_max` idle connections at most.
    pub fn new(shard: usize, idle_max: usize) -> Self {
        Self {
            idle: RefCell::new(Pool::new(idle_max)),
            passed_over: RefCell::default(),
            turns: RefCell::new(Turns::new(shard)),
            http2: http2::Pool::new(idle_max, limits::CONNECT_TIMEOUT),
            connect_timeout: limits::CONNECT_TIMEOUT,
        }
    }

    /// A connection to the next target of the group by its algorithm: an idle one when the pool has
    /// one that is not stale, else a fresh one. A refused or timed-out connect is tried once on the
    /// next target, if there is another, and that target passed over for `limits::PASS_OVER`.
    ///
    /// * `due`: when the request gives up, if it ever does; no target is passed over for that.
    ///
    /// Counts connections made, each failed try by its reason, and the second try: what the caller
    /// gets as an error is counted already. May be dropped at any time: a connect then ends, and says
    /// nothing of its target.
    ///
    /// # Errors
    /// [`Reason::NoTarget`], [`Reason::ConnectRefused`], [`Reason::ConnectTimeout`];
    /// [`Reason::TargetTimeout`] when the request is due first; [`Reason::Shed`] when this node has no
    /// file, port or memory left for a connection.
    pub async fn checkout(
        &self,
        group: &Group,
        counts: &count::TargetGroup,
        due: Option<Instant>,
    ) -> Result<Connection, NoConnection> {
        let idle = |target| self.idle(target);
        let fresh = async |target| self.fresh(target, counts, due).await;
        self.of_next_target(group, counts, idle, fresh).await
    }

    /// The place of a stream on an HTTP/2 connection to the next target of the group, in the same way: on
    /// one that has room, else on a fresh one. For a retry, not on `refused` where
    /// there is another. May be dropped at any time.
    ///
    /// # Errors
    /// As [`Upstreams::checkout`]; [`Reason::Shed`] also when there are too many connections to the target
    /// and no stream on them ends in time; [`Reason::TargetMalformed`] when it does not speak HTTP/2.
    pub async fn place(
        &self,
        group: &Group,
        refused: Option<&Avoided>,
        counts: &Arc<count::TargetGroup>,
        due: Option<Instant>,
    ) -> Result<Place, NoConnection> {
        let ready = |target| self.http2.place(target, refused);
        let make = async |target| {
            let place = self.http2.wait_for_place(target, refused, counts);
            let place = match due {
                Some(due) => timeout_at(due.into(), place).await,
                None => Ok(place.await),
            };
            self.judge(target, place.unwrap_or(Err(Reason::TargetTimeout)), counts)
        };
        self.of_next_target(group, counts, ready, make).await
    }

    /// What `ready` has for the group's next target, or what `make` makes; where that fails because the
    /// target takes no connection, the same once more for another target.
    async fn of_next_target<C>(
        &self,
        group: &Group,
        counts: &count::TargetGroup,
        ready: impl Fn(SocketAddr) -> Option<C>,
        make: impl AsyncFn(SocketAddr) -> Result<C, Reason>,
    ) -> Result<C, NoConnection> {
        let addresses = group.addresses.load();
        let Ok(first) = self.turn(group, &addresses) else {
            counts.errors[Reason::NoTarget.index()].add(1);
            return Err(NoConnection { reason: Reason::NoTarget, target: None });
        };
        if let Some(found) = ready(addresses[first]) {
            return Ok(found);
        }
        // Waiting begins here; a guard that is kept for long makes every other load slower.
        let addresses = Guard::into_inner(addresses);
        let reason = match make(addresses[first]).await {
            Ok(made) => return Ok(made),
            Err(reason) => reason,
        };
        let next = self.next_after(first, &addresses).filter(|_| reason.try_next_target());
        let next = next.ok_or(NoConnection { reason, target: Some(addresses[first]) })?;
        counts.retries.add(1);
        match ready(next) {
            Some(found) => Ok(found),
            None => {
                let made = make(next).await;
                made.map_err(|reason| NoConnection { reason, target: Some(next) })
            }
        }
    }

    /// A fresh connection to the same target, for a retry. Counts as [`Upstreams::checkout`] does, and may be
    /// dropped as that may; the retry itself is the caller's to count.
    ///
    /// # Errors
    /// As [`Upstreams::checkout`].
    pub async fn fresh(
        &self,
        target: SocketAddr,
        counts: &count::TargetGroup,
        due: Option<Instant>,
    ) -> Result<Connection, Reason> {
        let left = due.map(|due| due.saturating_duration_since(Instant::now()));
        let left = left.filter(|left| *left < self.connect_timeout);
        let connected = net::connect(target, left.unwrap_or(self.connect_timeout)).await;
        let socket = connected.map_err(|error| {
            // At debug: while a target is down, requests repeat this as often as they come.
            tracing::debug!(%target, %error, "cannot connect to a target");
            let reason = connect::reason(&error);
            // Where the request has less time than a target is given, it says nothing of the target.
            let is_given_up = reason == Reason::ConnectTimeout && left.is_some();
            if is_given_up { Reason::TargetTimeout } else { reason }
        });
        let socket = self.judge(target, socket, counts)?;
        counts.connections.add(1);
        Ok(Connection { socket, target, reused: false })
    }

    /// Takes note of how a target took to a connection.
    fn judge<C>(
        &self,
        target: SocketAddr,
        made: Result<C, Reason>,
        counts: &count::TargetGroup,
    ) -> Result<C, Reason> {
        match &made {
            Ok(_) => self.passed_over.borrow_mut().clear(target),
            Err(reason) => {
                counts.errors[reason.index()].add(1);
                if reason.try_next_target() {
                    self.passed_over.borrow_mut().mark(target, Instant::now());
                }
            }
        }
        made
    }

    /// Takes a connection back whose exchange ended cleanly. Its deadline is disarmed.
    pub fn put_back(&self, connection: Connection) {
        let Connection { socket, target, reused: _ } = connection;
        socket.disarm();
        if socket.killed().is_none() {
            self.idle.borrow_mut().put(target, socket, Instant::now());
        }
    }

    /// Closes idle connections that are stale or older than `limits::TARGET_IDLE`, and those whose target
    /// is not there any more; called every second.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.idle.borrow_mut().sweep(now, Sock::is_stale);
        for silent in self.http2.sweep(now) {
            self.passed_over.borrow_mut().mark(silent, now);
        }
        self.passed_over.borrow_mut().sweep(now);
        self.turns.borrow_mut().sweep(now);
    }

    /// Says goodbye on HTTP/2 connections, and returns when they are gone.
    pub async fn close(&self) {
        self.http2.close().await;
    }

    /// The index of the address whose turn it is.
    fn turn(&self, group: &Group, addresses: &[SocketAddr]) -> Result<usize, NoTarget> {
        let now = Instant::now();
        let passed_over = self.passed_over.borrow();
        self.turns.borrow_mut().next(&group.name, addresses.len(), now, |index| {
            passed_over.contains(addresses[index], now)
        })
    }

    /// The target to try when `failed` did not take a connection: the next one that is not passed
    /// over, never the same. The group's turn stays: requests in between have moved it.
    fn next_after(&self, failed: usize, addresses: &[SocketAddr]) -> Option<SocketAddr> {
        let now = Instant::now();
        let passed_over = self.passed_over.borrow();
        let next = round_robin(addresses.len(), failed + 1, |index| {
            passed_over.contains(addresses[index], now)
        });
        next.ok().filter(|&next| next != failed).map(|next| addresses[next])
    }

    /// An idle connection to `target` that can be used.
    fn idle(&self, target: SocketAddr) -> Option<Connection> {
        let socket = self.idle.borrow_mut().take(target, Instant::now(), Sock::is_stale)?;
        Some(Connection { socket, target, reused: true })
    }
}

#[cfg(test)]
mod tests;
