//! HTTP/2 connections of a shard to targets: many streams on each.
//!
//! A request takes a [`Place`] on a connection to its target that has room. Where none has, one more is
//! made, for all who wait; at the bound they wait for a place to be given back.
//! Connections are kept by address alone: those of two groups to one target are interchangeable.
//!
//! ```text
//! making --SETTINGS--> open --GOAWAY, idle, or node ends--> no new streams --last one--> gone
//!    `------failed: whoever waits is told------'`--closed, broken, silent------------------^
//! ```
//!
//! Bounds: `limits::{H2_TARGET_STREAMS_MAX,H2_CONNECTIONS_PER_TARGET_MAX,TARGET_IDLE}`; idle ones make room
//! for others beyond a shard's share of files. Source: RFC 9113, sections 3.3, 5.1.2 and 6.8.
mod connection;
mod keepalive;

pub use connection::{Avoided, Lost, Place};

use crate::close::Reason;
use crate::limits;
use crate::net;
use crate::observe::count;
use connection::Connection;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A shard's connections.
pub(super) struct Pool {
    by_target: RefCell<HashMap<SocketAddr, Target>>,
    /// How many are kept at most while they are idle.
    idle_max: usize,
    connect_timeout: Duration,
    /// Woken when the last connection is gone.
    emptied: Notify,
}

/// Those to one target.
#[derive(Default)]
struct Target {
    connections: Vec<Rc<Connection>>,
    making: Option<Rc<Outcome>>,
    /// Woken when a place is given back.
    freed: Rc<Notify>,
}

impl Pool {
    pub(super) fn new(idle_max: usize, connect_timeout: Duration) -> Rc<Self> {
        Rc::new(Self {
            by_target: RefCell::default(),
            idle_max: idle_max.min(limits::IDLE_CONNECTIONS_PER_SHARD_MAX),
            connect_timeout,
            emptied: Notify::new(),
        })
    }

    /// A place on a connection to `target` that has room, on another one than `not`.
    pub(super) fn place(
        self: &Rc<Self>,
        target: SocketAddr,
        not: Option<&Avoided>,
    ) -> Option<Place> {
        let by_target = self.by_target.borrow();
        let mut connections = by_target.get(&target)?.connections.iter();
        let other = |connection: &&Rc<Connection>| !not.is_some_and(|not| not.is(connection));
        let found = connections.find(|connection| other(connection) && connection.has_room())?;
        Some(Place::new(found, self))
    }

    /// The same, and waits until there is one. May be dropped at any time.
    ///
    /// # Errors
    /// Those of a connect; [`Reason::Shed`] when no place is given back in time.
    pub(super) async fn wait_for_place(
        self: &Rc<Self>,
        target: SocketAddr,
        mut not: Option<&Avoided>,
        counts: &Arc<count::TargetGroup>,
    ) -> Result<Place, Reason> {
        let deadline = tokio::time::Instant::now() + self.connect_timeout;
        let mut made = false;
        loop {
            if let Some(place) = self.place(target, not) {
                return Ok(place);
            }
            // Others may have been quicker, but a target that takes no stream at all is not asked for ever.
            if made && !self.is_usable(target) {
                return Err(Reason::ConnectRefused);
            }
            match self.make(target, counts) {
                Ok(outcome) => {
                    outcome.wait().await?;
                    made = true;
                }
                Err(freed) => {
                    let waited = tokio::time::timeout_at(deadline, freed.notified()).await;
                    waited.map_err(|_| Reason::Shed)?;
                    // It alone was told of this place, wherever that is: with one that it may not take it
                    // would keep the others waiting.
                    not = None;
                }
            }
        }
    }

    /// Has one more connection made, unless one is being made; at the bound, answers what wakes those who
    /// wait for a place.
    fn make(
        self: &Rc<Self>,
        target: SocketAddr,
        counts: &Arc<count::TargetGroup>,
    ) -> Result<Rc<Outcome>, Rc<Notify>> {
        let by_target = &mut *self.by_target.borrow_mut();
        let count: usize = by_target.values().map(|target| target.connections.len()).sum();
        let entry = by_target.entry(target).or_default();
        if let Some(outcome) = &entry.making {
            return Ok(Rc::clone(outcome));
        }
        if entry.connections.len() >= limits::H2_CONNECTIONS_PER_TARGET_MAX {
            return Err(Rc::clone(&entry.freed));
        }
        let outcome = Rc::new(Outcome::default());
        entry.making = Some(Rc::clone(&outcome));
        let making = Making { pool: Rc::clone(self), target, outcome: Rc::clone(&outcome) };
        net::spawn(connection::run(Rc::clone(self), target, making, Arc::clone(counts)));
        if count >= self.idle_max {
            retire_longest_idle(by_target);
        }
        Ok(outcome)
    }

    /// Whether a connection to `target` takes streams, now or when others have ended.
    fn is_usable(&self, target: SocketAddr) -> bool {
        let by_target = self.by_target.borrow();
        let mut connections = by_target.get(&target).into_iter().flat_map(|of| &of.connections);
        connections.any(|connection| connection.is_usable())
    }

    /// A connection takes more streams than before.
    fn has_grown(&self, target: SocketAddr) {
        if let Some(entry) = self.by_target.borrow().get(&target) {
            entry.freed.notify_waiters();
        }
    }

    /// A place was given back. Whoever is told and gives up has the next one told.
    fn freed(&self, target: SocketAddr) {
        if let Some(entry) = self.by_target.borrow().get(&target) {
            entry.freed.notify_one();
        }
    }

    /// The connection is gone.
    fn forget(&self, connection: &Rc<Connection>) {
        let by_target = &mut *self.by_target.borrow_mut();
        if let Some(entry) = by_target.get_mut(&connection.target) {
            entry.connections.retain(|other| !Rc::ptr_eq(other, connection));
            // Whoever waits has one made in its place.
            entry.freed.notify_waiters();
        }
        self.let_go(by_target, connection.target);
    }

    /// Forgets a target that has no connections.
    fn let_go(&self, by_target: &mut HashMap<SocketAddr, Target>, target: SocketAddr) {
        let gone = |entry: &Target| entry.connections.is_empty() && entry.making.is_none();
        if by_target.get(&target).is_some_and(gone) {
            by_target.remove(&target);
        }
        if by_target.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// Ends what has been idle for `limits::TARGET_IDLE`, and looks after the others. Answers the targets
    /// that are not there any more.
    pub(super) fn sweep(&self, now: Instant) -> Vec<SocketAddr> {
        let mut silent = Vec::new();
        for connection in self.by_target.borrow().values().flat_map(|entry| &entry.connections) {
            if !connection.is_idle() {
                if !connection.keep_alive(now) {
                    silent.push(connection.target);
                }
            } else if now.duration_since(connection.idle_since()) >= limits::TARGET_IDLE {
                connection.retire();
            }
        }
        silent
    }

    /// Ends all of them, and returns when they are gone.
    pub(super) async fn close(&self) {
        for connection in self.by_target.borrow().values().flat_map(|entry| &entry.connections) {
            connection.retire();
        }
        while !self.by_target.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }
}

/// Ends the connection that has been idle for longest, if any is.
fn retire_longest_idle(by_target: &HashMap<SocketAddr, Target>) {
    let connections = by_target.values().flat_map(|target| &target.connections);
    let idle = connections.filter(|connection| connection.is_idle() && connection.is_usable());
    if let Some(longest) = idle.min_by_key(|connection| connection.idle_since()) {
        longest.retire();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets: Vec<_> = self.by_target.borrow().keys().copied().collect();
        f.debug_struct("Pool").field("targets", &targets).finish_non_exhaustive()
    }
}

/// What became of a connection that is being made.
#[derive(Default)]
struct Outcome {
    result: Cell<Option<Result<(), Reason>>>,
    known: Notify,
}

impl Outcome {
    async fn wait(&self) -> Result<(), Reason> {
        loop {
            match self.result.get() {
                Some(result) => return result,
                None => self.known.notified().await,
            }
        }
    }
}

/// A connection that is being made; says what became of it, at the latest when it is dropped.
struct Making {
    pool: Rc<Pool>,
    target: SocketAddr,
    outcome: Rc<Outcome>,
}

impl Making {
    /// It takes streams.
    fn made(self, connection: &Rc<Connection>) {
        if let Some(entry) = self.pool.by_target.borrow_mut().get_mut(&self.target) {
            entry.connections.push(Rc::clone(connection));
        }
        self.outcome.result.set(Some(Ok(())));
    }

    /// There is none.
    fn failed(self, reason: Reason) {
        self.outcome.result.set(Some(Err(reason)));
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if self.outcome.result.get().is_none() {
            self.outcome.result.set(Some(Err(Reason::Internal)));
        }
        let by_target = &mut *self.pool.by_target.borrow_mut();
        if let Some(entry) = by_target.get_mut(&self.target) {
            entry.making = None;
        }
        self.outcome.known.notify_waiters();
        self.pool.let_go(by_target, self.target);
    }
}
