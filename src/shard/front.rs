//! A listener on one shard: its rules, and what it admits.
use super::Shard;
use super::sources::{Entered, Sources};
use crate::close::Reason;
use crate::config::snapshot::{Listener, Live, Logs, Tls};
use crate::http::identity::Forbidden;
use crate::net;
use crate::observe::count;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::Notify;

/// A listener on one shard.
#[derive(Debug)]
pub struct Front {
    /// Its counters.
    pub counters: Arc<count::Listener>,
    /// The same of all shards.
    of_shards: Vec<Arc<count::Listener>>,
    /// The port that clients come to (the configured one may be 0).
    pub port: u16,
    rules: RefCell<Rc<Rules>>,
    /// Until it is retired: connections outlive their listening socket, which must not stay open for them.
    listener: RefCell<Option<Rc<net::Listener>>>,
    stopped: Notify,
    handshakes: Cell<usize>,
}

/// What a request needs of the live value, as of the generation that the shard has taken over. Without
/// trust: a long request holds its rules to its end, and must not keep old revocation lists in memory.
#[derive(Debug)]
pub struct Rules {
    /// The generation.
    pub generation: u64,
    /// The listener.
    pub listener: Arc<Listener>,
    /// Header names that no client may send.
    pub forbidden: Arc<Forbidden>,
    /// What is logged, and where.
    pub logs: Logs,
}

impl Rules {
    fn new(live: &Live, listener: &Arc<Listener>) -> Rc<Self> {
        Rc::new(Self {
            generation: live.generation,
            listener: Arc::clone(listener),
            forbidden: Arc::clone(&live.forbidden),
            logs: live.logs.clone(),
        })
    }

    /// TLS of the listener.
    pub fn tls(&self) -> Option<&Tls> {
        self.listener.tls.as_ref()
    }
}

impl Front {
    /// Takes over a listening socket.
    pub(super) fn open(
        live: &Live,
        listener: &Arc<Listener>,
        of_shards: Vec<Arc<count::Listener>>,
        shard: usize,
        socket: OwnedFd,
    ) -> io::Result<Rc<Self>> {
        let port = socket2::SockRef::from(&socket)
            .local_addr()?
            .as_socket()
            .map_or(listener.bind.port(), |address| address.port());
        Ok(Rc::new(Self {
            counters: of_shards.get(shard).cloned().unwrap_or_default(),
            of_shards,
            port,
            rules: RefCell::new(Rules::new(live, listener)),
            listener: RefCell::new(Some(Rc::new(net::Listener::new(socket)?))),
            stopped: Notify::new(),
            handshakes: Cell::new(0),
        }))
    }

    /// The rules in force on this shard.
    pub fn rules(&self) -> Rc<Rules> {
        Rc::clone(&self.rules.borrow())
    }

    /// Whether it takes no new requests.
    pub fn is_retired(&self) -> bool {
        self.listener.borrow().is_none()
    }

    pub(super) fn update(&self, live: &Live, listener: &Arc<Listener>) {
        *self.rules.borrow_mut() = Rules::new(live, listener);
    }

    pub(super) fn retire(&self) {
        if let Some(listener) = self.listener.take() {
            listener.stop();
        }
    }

    /// Its listening socket; none once it is retired.
    pub(super) fn listener(&self) -> Option<Rc<net::Listener>> {
        self.listener.borrow().clone()
    }

    /// Its accept loop has ended.
    pub(super) fn has_stopped(&self) {
        self.stopped.notify_one();
    }

    /// Waits until its accept loop has ended.
    pub(super) async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// Whether the listener has room for one more connection of this client, over all shards; counts it to its
    /// source where sources are bounded. Shards that accept in the same moment may go over the bound of
    /// the listener, by one each.
    pub(super) fn admit(
        &self,
        sources: &Arc<Sources>,
        client: IpAddr,
    ) -> Result<Option<Entered>, Reason> {
        let listener = &self.rules.borrow().listener;
        if let Some(connections_max) = listener.connections_max {
            let open: i64 = self.of_shards.iter().map(|counters| counters.open.get()).sum();
            if open >= i64::from(connections_max) {
                return Err(Reason::Shed);
            }
        }
        let Some(connections_max) = listener.connections_per_source_max else { return Ok(None) };
        let (name, prefix) = (&listener.name, listener.source_prefix);
        match sources.enter(name, client, prefix, connections_max) {
            Some(entered) => Ok(Some(entered)),
            None => Err(Reason::ShedSource),
        }
    }

    /// A place among the handshakes in flight, given back on drop; `None` when they are too many.
    pub(super) fn begin_handshake(self: &Rc<Self>, shard: &Rc<Shard>) -> Option<HandshakeInFlight> {
        if self.handshakes.get() >= self.rules.borrow().listener.handshakes_in_flight_max {
            return None;
        }
        self.handshakes.set(self.handshakes.get() + 1);
        shard.counters.handshakes_in_flight.add(1);
        Some(HandshakeInFlight { front: Rc::clone(self), shard: Rc::clone(shard) })
    }
}

/// A handshake in flight.
#[derive(Debug)]
pub(super) struct HandshakeInFlight {
    front: Rc<Front>,
    shard: Rc<Shard>,
}

impl Drop for HandshakeInFlight {
    fn drop(&mut self) {
        self.front.handshakes.set(self.front.handshakes.get() - 1);
        self.shard.counters.handshakes_in_flight.add(-1);
    }
}
