//! Publication: a loaded configuration becomes the live value of every shard, as one transaction.
//!
//! New listeners are bound first, then what outlives the process is kept: both can fail, and nothing
//! after them can. Then the value is swapped under the next generation; then every shard is told to take
//! it over. The answer comes when all have, or after `limits::ACKNOWLEDGED_WITHIN` with the shards that are
//! late: the change stays made.
use super::Faults;
use super::snapshot::{Clients, Live, Name, Order};
use crate::net;
use crate::observe::load::Reason;
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// The control thread's line to one shard.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its orders.
    pub orders: mpsc::UnboundedSender<Order>,
    /// The generation that it works by.
    pub acknowledged: Arc<AtomicU64>,
    /// The CPU that it is pinned to.
    pub cpu: usize,
}

/// Publishes generations to the shards.
#[derive(Debug)]
pub struct Publisher {
    live: Arc<ArcSwap<Live>>,
    lines: Vec<Line>,
    sockets: BTreeMap<Name, Bound>,
    /// Ports that this node listens on, or has.
    ports: BTreeSet<u16>,
}

/// What a listener's sockets were bound to, and where they ended up.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Bound {
    asked: Asked,
    address: SocketAddr,
}

/// What makes a listener's sockets its own: with another answer it gets new ones, and the connections of
/// the old ones end.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Asked {
    address: SocketAddr,
    options: net::Options,
    /// Clients that were told nothing of TLS cannot be held to it.
    is_tls: bool,
}

/// Why a change is live and yet not confirmed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("generation {generation} is live, but shards {late:?} have not taken it over yet")]
pub struct NotAcknowledged {
    /// The generation.
    pub generation: u64,
    /// The shards that did not answer in time.
    pub late: Vec<usize>,
}

impl Publisher {
    /// For shards that were started with the same live value and have taken over nothing yet.
    pub fn new(live: Arc<ArcSwap<Live>>, lines: Vec<Line>) -> Self {
        Self { live, lines, sockets: BTreeMap::new(), ports: BTreeSet::new() }
    }

    /// The lines to the shards.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Makes `next` live under the next generation, once `keep` has kept what outlives the process.
    ///
    /// # Errors
    /// When a listener cannot be bound, or what `keep` says: nothing has changed then.
    pub fn publish(
        &mut self,
        mut next: Live,
        keep: impl FnOnce() -> Result<(), Faults>,
    ) -> Result<Pending, Faults> {
        let opened = self.bind(&next)?;
        keep()?;
        next.generation = self.live.load().generation + 1;
        let generation = next.generation;
        self.sockets.retain(|name, _| next.listeners.contains_key(name));
        let mut sockets: Vec<Vec<(Name, OwnedFd)>> = self.lines.iter().map(|_| vec![]).collect();
        for Opened { name, bound, sockets: opened } in opened {
            self.ports.insert(bound.address.port());
            self.sockets.insert(Arc::clone(&name), bound);
            for (shard, socket) in sockets.iter_mut().zip(opened) {
                shard.push((Arc::clone(&name), socket));
            }
        }
        let address = |(name, bound): (&Name, &Bound)| (Arc::clone(name), bound.address);
        next.addresses = self.sockets.iter().map(address).collect();
        let next = Arc::new(next);
        self.live.store(Arc::clone(&next));
        let (done, acknowledged) = mpsc::unbounded_channel();
        for (line, open) in self.lines.iter().zip(sockets) {
            let order = Order::Adopt { live: Arc::clone(&next), open, done: done.clone() };
            // A shard that has ended answers nothing and is reported late.
            let _ = line.orders.send(order);
        }
        let lines = self.lines.iter().map(|line| Arc::clone(&line.acknowledged)).collect();
        Ok(Pending { generation, acknowledged, lines })
    }

    /// Asks whether the listeners of `next` could be bound, and binds none.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub fn check(&self, next: &Live) -> Result<(), Faults> {
        self.wanted(next).map(|_| ())
    }

    /// The listeners of `next` that have no fitting sockets yet, and whose addresses are free.
    fn wanted<'a>(&self, next: &'a Live) -> Result<Vec<(&'a Name, Asked)>, Faults> {
        let mut faults = Faults::default();
        let mut wanted = Vec::new();
        for (name, listener) in &next.listeners {
            let asked = Asked {
                address: listener.bind,
                options: listener.socket.clone(),
                is_tls: listener.tls.is_some(),
            };
            if self.sockets.get(name).is_none_or(|bound| bound.asked != asked) {
                wanted.push((name, asked));
            }
        }
        // `SO_REUSEPORT` would let two nodes share a port without a word, so a port that is not ours is
        // first asked for alone. What was ours may still be closing. All are asked for before one is
        // bound: a listener on every address may share its port with one on a single address.
        for (name, asked) in &wanted {
            if !self.ports.contains(&asked.address.port())
                && let Err(error) = net::listen::check_free(asked.address)
            {
                note(&mut faults, name, asked, &error);
            }
        }
        if faults.is_empty() { Ok(wanted) } else { Err(faults) }
    }

    /// Binds the listeners of `next` that have no fitting sockets yet.
    fn bind(&self, next: &Live) -> Result<Vec<Opened>, Faults> {
        let cpus: Vec<usize> = self.lines.iter().map(|line| line.cpu).collect();
        let mut faults = Faults::default();
        let mut opened = Vec::new();
        for (name, asked) in self.wanted(next)? {
            match net::bind(asked.address, &cpus, &asked.options) {
                Ok(net::Bound { address, sockets }) => opened.push(Opened {
                    name: Arc::clone(name),
                    bound: Bound { asked, address },
                    sockets,
                }),
                Err(error) => note(&mut faults, name, &asked, &error),
            }
        }
        if faults.is_empty() { Ok(opened) } else { Err(faults) }
    }
}

fn note(faults: &mut Faults, name: &Name, asked: &Asked, error: &io::Error) {
    let message = format!("{name} cannot listen on {}: {}", asked.address, advice(error));
    faults.because(Reason::Listen, |faults| {
        faults.within("listeners", |faults| faults.note_here(message));
    });
}

/// What the kernel says when it refuses an address, and what that means for whoever chose it.
pub fn advice(error: &io::Error) -> String {
    let advice = [
        (ErrorKind::AddrInUse, "; another program or node listens there"),
        (ErrorKind::AddrNotAvailable, "; no interface of this machine has the address"),
        (
            ErrorKind::PermissionDenied,
            "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE",
        ),
    ];
    let fitting = advice.iter().find(|(kind, _)| *kind == error.kind());
    format!("{error}{}", fitting.map_or("", |(_, advice)| advice))
}

/// Has every shard tell which clients it has seen lately and which are connected.
///
/// # Errors
/// The shards that have not answered `within` this time.
pub async fn clients(lines: &[Line], within: Duration) -> Result<Vec<Clients>, Vec<usize>> {
    let (told, mut answers) = mpsc::unbounded_channel();
    for line in lines {
        // A shard that has ended is missing from the answers.
        let _ = line.orders.send(Order::Tell { told: told.clone() });
    }
    drop(told);
    let mut clients = BTreeMap::new();
    let all = async {
        while let Some((shard, of_shard)) = answers.recv().await {
            clients.insert(shard, of_shard);
        }
    };
    // Who is missing shows below.
    let _ = tokio::time::timeout(within, all).await;
    // A shard that is late tells all the same. What it tells is freed here: thousands of chains would hold
    // up its connections.
    tokio::spawn(async move { while answers.recv().await.is_some() {} });
    let late: Vec<_> = (0..lines.len()).filter(|shard| !clients.contains_key(shard)).collect();
    if late.is_empty() { Ok(clients.into_values().collect()) } else { Err(late) }
}

/// The sockets of a listener that is new, or that moved.
#[derive(Debug)]
struct Opened {
    name: Name,
    bound: Bound,
    sockets: Vec<OwnedFd>,
}

/// A generation that is live and waits for the shards to say so.
#[derive(Debug)]
pub struct Pending {
    generation: u64,
    acknowledged: mpsc::UnboundedReceiver<usize>,
    lines: Vec<Arc<AtomicU64>>,
}

impl Pending {
    /// The generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Waits until every shard works by the generation.
    ///
    /// # Errors
    /// [`NotAcknowledged`] when that is not so `within` this time from now.
    pub async fn acknowledged(mut self, within: Duration) -> Result<u64, NotAcknowledged> {
        let all = async {
            for _ in 0..self.lines.len() {
                if self.acknowledged.recv().await.is_none() {
                    break;
                }
            }
        };
        // The counters say who is late, whatever the channel said.
        let _ = tokio::time::timeout(within, all).await;
        let late: Vec<usize> = self
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.load(Ordering::Acquire) < self.generation)
            .map(|(index, _)| index)
            .collect();
        if late.is_empty() {
            Ok(self.generation)
        } else {
            Err(NotAcknowledged { generation: self.generation, late })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no shard frees what it tells, however late it is.
    #[tokio::test]
    async fn a_shard_that_tells_too_late_is_named_and_still_listened_to() {
        let (orders, mut received) = mpsc::unbounded_channel();
        let line = Line { orders, acknowledged: Arc::default(), cpu: 0 };
        let told = clients(&[line], Duration::ZERO).await;
        assert_eq!(told.map(|told| told.len()), Err(vec![0]));
        let Some(Order::Tell { told }) = received.recv().await else { panic!("it was asked") };
        assert!(told.send((0, Clients::default())).is_ok());
    }
}
