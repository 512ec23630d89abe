//! Clients that a shard has seen lately, for questions about changes that nobody has made yet.
//!
//! Each handshake in which a certificate is asked for is noted under listener, server-name policy and the
//! client's own certificate; the chain is kept once. What a client sends along does not make it another
//! one: else whoever has one certificate could come as thousands. Those for whom a trust store has
//! vouched, and who have proved to have their key, have a share of their own. There they stay when they
//! are refused later, so that a mass revocation pushes none of them out; and who may send any chain
//! (refused, or under `passthrough`) pushes none of them out either, nor touches what is known of them by
//! showing their certificate in another chain. The control thread asks ([`tell`]) and judges; nothing here
//! decides anything.
//!
//! Bounds: `limits::SEEN_VOUCHED_MAX`, `SEEN_OTHERS_MAX` and their bytes, in two generations each, as
//! the memory of signatures, and a third one while it is freed bit by bit;
//! `limits::TOLD_CHAIN_BYTES_MAX` for live connections of clients that are remembered no more.
use super::Shard;
use super::slices::Slices;
use crate::config::clients::{Client, Clients, Connected, Key, Seen};
use crate::config::snapshot::{Authentication, Listener, Name};
use crate::limits;
use crate::trust::Refusal;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::collections::{HashMap, hash_map};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The memory.
#[derive(Debug)]
pub struct Memory {
    vouched: Share,
    others: Share,
}

/// How a client came to be noted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Came {
    /// A trust store accepted it.
    Vouched,
    /// It was refused, or let in without a look at its chain.
    Otherwise(Option<Refusal>),
}

impl Came {
    const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Vouched => None,
            Self::Otherwise(refusal) => refusal,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            vouched: Share::new(limits::SEEN_VOUCHED_MAX, limits::SEEN_VOUCHED_BYTES_MAX),
            others: Share::new(limits::SEEN_OTHERS_MAX, limits::SEEN_OTHERS_BYTES_MAX),
        }
    }
}

impl Memory {
    /// A client came that named `server_name`. Where no certificate is asked for, all clients are one, and
    /// none is noted; nor is a chain so long that no change lets it in.
    pub(super) fn note(
        &mut self,
        listener: &Listener,
        server_name: Option<&str>,
        chain: &[CertificateDer<'_>],
        came: Came,
        now: UnixTime,
    ) {
        let Some(tls) = &listener.tls else { return };
        let is_too_long =
            chain.iter().map(|der| der.len()).sum::<usize>() > limits::CHAIN_BYTES_MAX;
        let authentication = &tls.access(server_name).authentication;
        if is_too_long || matches!(authentication, Authentication::Off) {
            return;
        }
        let key = Key::of(&listener.name, tls.policy(server_name), chain);
        self.remember(key, came, now, chain, || client(&listener.name, server_name, chain));
    }

    fn remember(
        &mut self,
        key: Key,
        came: Came,
        now: UnixTime,
        chain: &[CertificateDer<'_>],
        client: impl FnOnce() -> Client,
    ) {
        let is_vouched = match came {
            Came::Vouched => true,
            // A refusal comes before the client has proved to have its key. With another chain it may be
            // anybody, and says nothing of the one that was vouched for.
            Came::Otherwise(_) => self.vouched.find(&key, chain).is_some(),
        };
        let known = if is_vouched { self.vouched.take(&key) } else { None };
        let known = known.or_else(|| self.others.take(&key));
        let (count, same) = match known {
            Some(known) => (known.count, Some(known.client).filter(|known| known.chain == chain)),
            None => (0, None),
        };
        let client = same.unwrap_or_else(|| Arc::new(client()));
        let entry = Entry { client, last: now, count: count + 1, refusal: came.refusal() };
        if is_vouched { self.vouched.put(key, entry) } else { self.others.put(key, entry) }
    }

    /// The client that came with this chain.
    fn find(&self, key: &Key, chain: &[CertificateDer<'_>]) -> Option<&Arc<Client>> {
        self.vouched.find(key, chain).or_else(|| self.others.find(key, chain))
    }

    /// All that are remembered.
    fn keys(&self) -> Vec<Key> {
        let others = self.others.keys().filter(|key| !self.vouched.has(key));
        self.vouched.keys().chain(others).copied().collect()
    }

    /// What is known of one of them: by a chain that was vouched for, by another one, or by both.
    fn known(&self, key: &Key) -> impl Iterator<Item = Seen> {
        let told = |is_vouched: bool, entry: &Entry| {
            let Entry { client, last, count, refusal } = entry;
            let (last, count, refusal) = (*last, *count, *refusal);
            Seen { client: Arc::clone(client), is_vouched, last, count, refusal }
        };
        let vouched = self.vouched.get(key).map(|entry| told(true, entry));
        vouched.into_iter().chain(self.others.get(key).map(|entry| told(false, entry)))
    }
}

fn client(listener: &Name, server_name: Option<&str>, chain: &[CertificateDer<'_>]) -> Client {
    Client {
        listener: Arc::clone(listener),
        server_name: server_name.map(str::to_owned),
        chain: chain.iter().map(|der| der.clone().into_owned()).collect(),
    }
}

/// What a client takes in memory, about.
fn bytes(client: &Client) -> usize {
    let chain: usize = client.chain.iter().map(|der| der.len() + size_of_val(der)).sum();
    chain + client.server_name.as_ref().map_or(0, String::len) + ENTRY_BYTES
}

/// What an entry takes beside its chain, about.
const ENTRY_BYTES: usize = 2 * (size_of::<Key>() + size_of::<Entry>()) + size_of::<Client>();

/// One client.
#[derive(Debug)]
struct Entry {
    client: Arc<Client>,
    last: UnixTime,
    count: u64,
    refusal: Option<Refusal>,
}

/// Bounded room: when the younger generation is full it becomes the older one, and the older one is
/// forgotten. Who comes again moves to the younger.
#[derive(Debug)]
struct Share {
    count_max: usize,
    bytes_max: usize,
    younger: Generation,
    older: Generation,
    /// A generation that nobody finds any more, on its way out: to free thousands of chains at once would
    /// hold up the shard.
    forgotten: hash_map::IntoIter<Key, Entry>,
}

#[derive(Debug, Default)]
struct Generation {
    clients: HashMap<Key, Entry>,
    bytes: usize,
}

impl Share {
    fn new(count_max: usize, bytes_max: usize) -> Self {
        let (younger, older) = (Generation::default(), Generation::default());
        Self { count_max, bytes_max, younger, older, forgotten: HashMap::new().into_iter() }
    }

    fn take(&mut self, key: &Key) -> Option<Entry> {
        [&mut self.younger, &mut self.older].into_iter().find_map(|generation| {
            let entry = generation.clients.remove(key)?;
            generation.bytes -= bytes(&entry.client);
            Some(entry)
        })
    }

    fn put(&mut self, key: Key, entry: Entry) {
        let bytes = bytes(&entry.client);
        self.free(2, 2 * bytes);
        let is_full = self.younger.clients.len() >= self.count_max / 2
            || self.younger.bytes + bytes > self.bytes_max / 2;
        if is_full {
            debug_assert!(self.forgotten.len() == 0, "twice of what has come since has gone");
            let forgotten = std::mem::replace(&mut self.older, std::mem::take(&mut self.younger));
            self.forgotten = forgotten.clients.into_iter();
        }
        self.younger.bytes += bytes;
        self.younger.clients.insert(key, entry);
    }

    /// Frees so many forgotten clients at least, and so many bytes of them.
    fn free(&mut self, count_min: usize, bytes_min: usize) {
        let (mut count, mut freed) = (0, 0);
        while count < count_min || freed < bytes_min {
            let Some((_, entry)) = self.forgotten.next() else { return };
            count += 1;
            freed += bytes(&entry.client);
        }
    }

    fn get(&self, key: &Key) -> Option<&Entry> {
        self.younger.clients.get(key).or_else(|| self.older.clients.get(key))
    }

    fn has(&self, key: &Key) -> bool {
        self.get(key).is_some()
    }

    /// The client of this key, if it came with this chain.
    fn find(&self, key: &Key, chain: &[CertificateDer<'_>]) -> Option<&Arc<Client>> {
        self.get(key).map(|entry| &entry.client).filter(|client| client.chain == chain)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.younger.clients.keys().chain(self.older.clients.keys())
    }
}

/// Tells the control thread all that is known, in slices as a sweep's. Who comes meanwhile may be missing.
pub(super) async fn tell(shard: Rc<Shard>, told: mpsc::UnboundedSender<(usize, Clients)>) {
    let mut clients = Clients::default();
    let mut slices = Slices::begin();
    let mut left_bytes = limits::TOLD_CHAIN_BYTES_MAX;
    let keys: Vec<u64> = shard.open.borrow().by_key.keys().copied().collect();
    for key in keys {
        shard.tell_connection(key, &mut clients, &mut left_bytes);
        pause_between(&mut slices).await;
    }
    let keys = shard.seen.borrow().keys();
    for key in keys {
        clients.seen.extend(shard.seen.borrow().known(&key));
        pause_between(&mut slices).await;
    }
    // The control thread listens to its end, also when it has given up on an answer: it frees all this.
    let _ = told.send((shard.index, clients));
}

async fn pause_between(slices: &mut Slices) {
    if slices.is_over() {
        tokio::time::sleep(limits::SWEEP_PAUSE).await;
        slices.resume();
    }
}

impl Shard {
    /// Counts a connection to those of its client. One whose end is decided is none any more.
    ///
    /// * `left_bytes`: what may still be told of chains that are remembered no more.
    fn tell_connection(&self, key: u64, clients: &mut Clients, left_bytes: &mut usize) {
        let open = self.open.borrow();
        let Some(handle) = open.by_key.get(&key).filter(|handle| !handle.ending.get()) else {
            return;
        };
        let Some(judged) = handle.judged.get() else { return };
        let rules = handle.front.rules();
        let Some(tls) = rules.tls() else { return };
        let (listener, server_name) = (&rules.listener.name, judged.server_name.as_deref());
        judged.stream.with_client_chain(|chain| {
            let key = Key::of(listener, tls.policy(server_name), chain);
            let whom = (key, judged.server_name.clone());
            if let Some(connected) = clients.connected.get_mut(&whom) {
                connected.connections += 1;
                return;
            }
            let client = match self.seen.borrow().find(&key, chain) {
                Some(client) => Arc::clone(client),
                None => {
                    let client = client(listener, server_name, chain);
                    let Some(left) = left_bytes.checked_sub(bytes(&client)) else {
                        clients.connections_left_out += 1;
                        return;
                    };
                    *left_bytes = left;
                    Arc::new(client)
                }
            };
            clients.connected.insert(whom, Connected { client, connections: 1 });
        });
    }
}

#[cfg(test)]
mod tests;
