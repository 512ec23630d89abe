//! A shard: one thread, one event loop, its own listening sockets, pools and counters.
//!
//! `process` starts one for each CPU and hands it its [`Seat`]; `config::publish` sends it orders. In
//! here a connection's path is read top to bottom: [`accept`] takes it on its [`front`], [`handshake`]
//! shakes hands and has [`attempt`] log it, [`judge`] takes the verdict and [`seen`] remembers it, [`http1`]
//! and [`http2`] serve requests, [`relief`] ends some where memory is short. [`recording`] notes what becomes of
//! each for the access log, and [`logging`] hands over the lines of both logs.
//!
//! Orders are carried out between the steps of connections, on the same thread: what a connection does
//! without awaiting happens wholly before or wholly after an order. That is what an acknowledged
//! generation rests on (design decision 6).
mod accept;
mod attempt;
pub mod connection;
pub mod front;
mod handshake;
mod http1;
mod http2;
pub mod judge;
mod logging;
mod outcome;
mod pace;
mod recording;
mod relief;
mod request;
pub mod seen;
pub mod slices;
pub mod sources;
mod sweep;
mod target;
pub mod wire;

use crate::close::Reason;
use crate::config::snapshot::{Live, Name, Order};
use crate::limits;
use crate::net::{self, Sock};
use crate::observe::count::{self, Relief};
use crate::observe::metrics::Board;
use crate::pressure::Pressure;
use crate::random::Random;
use crate::upstream::Upstreams;
use arc_swap::ArcSwap;
use front::Front;
use logging::Logging;
use sources::{Entered, Sources};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;
use sweep::{Agenda, Judged};
use tokio::sync::{Notify, mpsc};

/// What a shard is given at its start.
#[derive(Debug)]
pub struct Seat {
    /// Its number, from 0.
    pub index: usize,
    /// The live value.
    pub live: Arc<ArcSwap<Live>>,
    /// Where its counters stand.
    pub board: Arc<Board>,
    /// Its orders.
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// The generation that it has taken over, for `/status`.
    pub acknowledged: Arc<AtomicU64>,
    /// What it may have open at once.
    pub room: Room,
    /// What bounds all shards together.
    pub bounds: Arc<Bounds>,
}

/// What bounds all shards of a node together; beside the live value nothing else is shared.
#[derive(Debug, Default)]
pub struct Bounds {
    /// Connections of each source.
    pub sources: Arc<Sources>,
    /// Memory.
    pub pressure: Pressure,
}

/// Connections that a shard may have open at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// Of clients; each may need one more to its target.
    pub connections_max: usize,
    /// To targets, idle.
    pub idle_targets_max: usize,
}

/// What the tasks of a shard share.
#[derive(Debug)]
pub struct Shard {
    index: usize,
    live: Arc<ArcSwap<Live>>,
    board: Arc<Board>,
    counters: Arc<count::Shard>,
    connections_max: usize,
    bounds: Arc<Bounds>,
    upstreams: Upstreams,
    fronts: RefCell<BTreeMap<Name, Rc<Front>>>,
    target_groups: RefCell<BTreeMap<Name, Arc<count::TargetGroup>>>,
    open: RefCell<Open>,
    /// Sweeps to come.
    agenda: Agenda,
    /// Clients seen lately.
    seen: Rc<RefCell<seen::Memory>>,
    /// Woken when the last connection closes.
    emptied: Notify,
    /// Room for heads while they are written; borrowed between awaits only.
    scratch: RefCell<Vec<u8>>,
    /// For the ids of requests.
    random: RefCell<Random>,
    logging: Logging,
}

/// Where a connection is between its requests: what ending it would lose.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Phase {
    /// A request is in work.
    #[default]
    Serving,
    /// Its first request may be on its way.
    BeforeFirst,
    /// It has been served and waits for another request: ending it loses nothing.
    Between,
}

/// The connections of a shard.
#[derive(Debug, Default)]
struct Open {
    next_key: u64,
    by_key: BTreeMap<u64, Rc<Handle>>,
}

/// What the shard knows of one connection.
#[derive(Debug)]
struct Handle {
    socket: Sock,
    front: Rc<Front>,
    phase: Cell<Phase>,
    /// What is needed to judge its client again; set once it was judged.
    judged: OnceCell<Judged>,
    /// Whether its client is no longer accepted, so that it serves no further request.
    ending: Cell<bool>,
    /// About what it takes in memory ([`relief`]).
    weight_bytes: Cell<usize>,
    /// The target that it waits for.
    target: RefCell<Option<Sock>>,
    /// Wakes the task that says goodbye on a connection of many streams.
    waker: RefCell<Option<Waker>>,
}

/// A connection's place among the open ones; gives it back on drop.
#[derive(Debug)]
pub struct Place {
    shard: Rc<Shard>,
    key: u64,
    handle: Rc<Handle>,
    /// Counts it to its source, where its listener bounds those.
    _source: Option<Entered>,
}

/// Runs a shard until it has drained.
pub async fn run(seat: Seat) {
    let Seat { index, live, board, mut orders, acknowledged, room, bounds } = seat;
    let Room { connections_max, idle_targets_max } = room;
    let shard = Rc::new(Shard {
        index,
        live,
        counters: board.shard(index),
        board,
        connections_max,
        bounds,
        upstreams: Upstreams::new(index, idle_targets_max),
        fronts: RefCell::default(),
        target_groups: RefCell::default(),
        open: RefCell::default(),
        agenda: Agenda::default(),
        seen: Rc::default(),
        emptied: Notify::new(),
        scratch: RefCell::default(),
        random: RefCell::new(Random::from_system()),
        logging: Logging::default(),
    });
    let upkeep = net::spawn(upkeep(Rc::clone(&shard)));
    let sweep = net::spawn(sweep::run(Rc::clone(&shard)));
    let relief = net::spawn(relief::run(Rc::clone(&shard)));
    let logging = net::spawn(logging::run(Rc::clone(&shard)));
    while let Some(order) = orders.recv().await {
        match order {
            Order::Adopt { live, open, done } => {
                match shard.adopt(&live, open) {
                    Ok(()) => acknowledged.store(live.generation, Ordering::Release),
                    Err(error) => {
                        tracing::error!(shard = index, "cannot use a listening socket: {error}");
                    }
                }
                // Nobody waits any more when the control thread has given up on an answer.
                let _ = done.send(index);
            }
            Order::Tell { told } => drop(net::spawn(seen::tell(Rc::clone(&shard), told))),
            Order::Drain { grace } => {
                shard.drain(grace).await;
                break;
            }
        }
    }
    // None of them holds an operation, so all may be aborted.
    relief.abort();
    upkeep.abort();
    sweep.abort();
    logging.abort();
    shard.logging.hand_over();
}

/// Gives up idle connections to targets, once a second.
async fn upkeep(shard: Rc<Shard>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        shard.upstreams.sweep();
    }
}

impl Shard {
    /// Takes over a generation: starts new listeners, updates those that stay, ends those that are gone.
    /// One step, without an await.
    fn adopt(self: &Rc<Self>, live: &Arc<Live>, open: Vec<(Name, OwnedFd)>) -> io::Result<()> {
        let mut failed = None;
        let mut opened: BTreeMap<Name, OwnedFd> = open.into_iter().collect();
        let mut gone = std::mem::take(&mut *self.fronts.borrow_mut());
        for (name, listener) in &live.listeners {
            let front = match (opened.remove(name), gone.remove(name)) {
                // It stays, on the socket that it has.
                (None, Some(front)) => {
                    front.update(live, listener);
                    front
                }
                // It is new, or moved to another socket: connections of the old one are ended.
                (Some(socket), old) => {
                    old.inspect(|front| self.retire(front));
                    let counters = self.board.listener_of_shards(name);
                    match Front::open(live, listener, counters, self.index, socket) {
                        Ok(front) => {
                            net::spawn(accept::run(Rc::clone(self), Rc::clone(&front)));
                            front
                        }
                        Err(error) => {
                            failed = Some(error);
                            continue;
                        }
                    }
                }
                (None, None) => {
                    debug_assert!(false, "a new listener comes with its sockets");
                    continue;
                }
            };
            self.fronts.borrow_mut().insert(Arc::clone(name), front);
        }
        for front in gone.values() {
            self.retire(front);
        }
        *self.target_groups.borrow_mut() = live
            .target_groups
            .keys()
            .map(|name| (Arc::clone(name), self.board.target_group(self.index, name)))
            .collect();
        self.agenda.change();
        failed.map_or(Ok(()), Err)
    }

    /// Ends a listener: no new connections, idle ones closed, busy ones closed after their answer. One
    /// whose next request is on its way already is not idle.
    fn retire(&self, front: &Rc<Front>) {
        front.retire();
        for handle in self.open.borrow().by_key.values() {
            if !Rc::ptr_eq(&handle.front, front) || handle.socket.is_stale() {
                continue;
            }
            match handle.phase.get() {
                Phase::Serving => handle.wake(),
                Phase::BeforeFirst => handle.socket.arm_reading(limits::LINGER, Reason::Draining),
                Phase::Between => handle.socket.stop_reading(Reason::Draining),
            }
        }
    }

    async fn drain(&self, grace: Duration) {
        let fronts = std::mem::take(&mut *self.fronts.borrow_mut());
        for front in fronts.values() {
            self.retire(front);
        }
        for front in fronts.values() {
            front.stopped().await;
        }
        if tokio::time::timeout(grace, self.emptied()).await.is_err() {
            for handle in self.open.borrow().by_key.values() {
                handle.kill(Reason::Draining);
            }
            // What was cut off completes at once; a bound all the same, because the process must end.
            let _ = tokio::time::timeout(limits::LINGER, self.emptied()).await;
        }
        // Targets are told, where they take it.
        let _ = tokio::time::timeout(limits::LINGER, self.upstreams.close()).await;
    }

    /// Waits until no connection is open.
    async fn emptied(&self) {
        while !self.open.borrow().by_key.is_empty() {
            self.emptied.notified().await;
        }
    }

    /// Registers a connection, unless one of the bounds is reached.
    fn admit(
        self: &Rc<Self>,
        socket: &Sock,
        front: &Rc<Front>,
        client: SocketAddr,
    ) -> Result<Place, Reason> {
        let mut open = self.open.borrow_mut();
        if self.is_shut() {
            self.count_relief(Relief::Shed);
            return Err(Reason::Overloaded);
        }
        if open.by_key.len() >= self.connections_max {
            return Err(Reason::Shed);
        }
        let source = front.admit(&self.bounds.sources, client.ip())?;
        let key = open.next_key;
        open.next_key += 1;
        let handle = Rc::new(Handle {
            socket: socket.clone(),
            front: Rc::clone(front),
            phase: Cell::default(),
            judged: OnceCell::new(),
            ending: Cell::new(false),
            weight_bytes: Cell::new(0),
            target: RefCell::new(None),
            waker: RefCell::new(None),
        });
        open.by_key.insert(key, Rc::clone(&handle));
        self.weigh_connection(&handle, true);
        self.counters.open.add(1);
        front.counters.open.add(1);
        Ok(Place { shard: Rc::clone(self), key, handle, _source: source })
    }

    /// The counters of a target group.
    fn target_group(&self, name: &Name) -> Arc<count::TargetGroup> {
        if let Some(counters) = self.target_groups.borrow().get(name) {
            return Arc::clone(counters);
        }
        self.board.target_group(self.index, name)
    }
}

impl Handle {
    /// Whether ending it loses nothing: it waits for its next request, and none is on its way.
    fn is_idle(&self) -> bool {
        self.phase.get() != Phase::Serving && !self.socket.is_stale()
    }

    /// Ends it at once because its client is no longer accepted.
    fn end(&self) {
        self.ending.set(true);
        if self.is_idle() {
            // TLS says goodbye.
            self.socket.stop_reading(Reason::NoLongerAccepted);
        } else {
            self.kill(Reason::NoLongerAccepted);
        }
    }

    /// Has it say goodbye while it goes on with what it has begun.
    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Ends both sides of whatever it is doing.
    fn kill(&self, why: Reason) {
        self.socket.kill(why);
        if let Some(target) = &*self.target.borrow() {
            target.kill(why);
        }
    }
}

impl Place {
    /// Has the connection judged again when trust changes, and when time may change the verdict.
    fn watch(&self, judged: Judged) {
        let until = judged.until();
        let first = self.handle.judged.set(judged).is_ok();
        debug_assert!(first, "a connection has one handshake");
        if let Some(until) = until {
            self.shard.agenda.expect(until);
        }
    }

    /// A task of the connection ended by a bug of ours.
    fn note_panic(&self) {
        self.shard.counters.panics.add(1);
        tracing::error!("a connection ended by a bug of ours");
    }

    /// Whether the connection serves no further request.
    fn is_ending(&self) -> bool {
        self.handle.ending.get()
    }

    /// Has `waker` woken when the connection should say goodbye.
    fn wakes(&self, waker: &Waker) {
        let mut place = self.handle.waker.borrow_mut();
        match &mut *place {
            Some(present) => present.clone_from(waker),
            None => *place = Some(waker.clone()),
        }
    }

    /// Says where the connection is between its requests.
    fn set_phase(&self, phase: Phase) {
        self.handle.phase.set(phase);
    }

    /// Says which target the connection waits for.
    fn set_target(&self, target: Option<Sock>) {
        *self.handle.target.borrow_mut() = target;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.note_panic();
        }
        self.shard.weigh_connection(&self.handle, false);
        self.shard.counters.open.add(-1);
        self.handle.front.counters.open.add(-1);
        let mut open = self.shard.open.borrow_mut();
        open.by_key.remove(&self.key);
        if open.by_key.is_empty() {
            self.shard.emptied.notify_one();
        }
    }
}
