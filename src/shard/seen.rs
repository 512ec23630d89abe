//! Clients that a shard has seen lately, for questions about changes that nobody has made yet.
//!
//! Each handshake in which a certificate is asked for is noted under a hash over listener, server-name
//! policy and chain; the chain's bytes are kept once. Those for whom a trust store has vouched, and who
//! have proved to have their key, have a share of their own: who may send any chain (refused, or under
//! `passthrough`) pushes none of them out. The control thread asks ([`tell`]) and judges; nothing here
//! decides anything.
//!
//! Bounds: `limits::SEEN_VOUCHED_MAX`, `SEEN_OTHERS_MAX` and their bytes, in two generations each, as
//! the memory of signatures; `limits::TOLD_CHAIN_BYTES_MAX` for live connections of clients that are
//! remembered no more.
use super::Shard;
use crate::config::snapshot::{Authentication, Listener, Name};
use crate::limits;
use crate::trust::Refusal;
use crate::trust::hash::sha256;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// A client under one policy, by its hash.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key([u8; 32]);

impl Key {
    /// * `policy`: what tells the server-name policy from others of the listener ([`Tls::policy`]).
    pub fn of(listener: &str, policy: &str, chain: &[CertificateDer<'_>]) -> Self {
        let whom = [listener.as_bytes(), policy.as_bytes()];
        Self(sha256(whom.into_iter().chain(chain.iter().map(AsRef::as_ref))))
    }
}

/// Who came where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// The listener.
    pub listener: Name,
    /// The name in the ClientHello.
    pub server_name: Option<String>,
    /// Leaf first; empty for a client that showed none.
    pub chain: Vec<CertificateDer<'static>>,
}

impl Client {
    fn new(listener: &Name, server_name: Option<&str>, chain: &[CertificateDer<'_>]) -> Self {
        Self {
            listener: Arc::clone(listener),
            server_name: server_name.map(str::to_owned),
            chain: chain.iter().map(|der| der.clone().into_owned()).collect(),
        }
    }

    fn bytes(&self) -> usize {
        let chain: usize = self.chain.iter().map(|der| der.len() + size_of_val(der)).sum();
        chain + self.server_name.as_ref().map_or(0, String::len) + ENTRY_BYTES
    }
}

/// What an entry takes beside its chain, about.
const ENTRY_BYTES: usize = 2 * (size_of::<Key>() + size_of::<Entry>()) + size_of::<Client>();

/// A client that was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Under which it is remembered.
    pub key: Key,
    /// As it came the first time.
    pub client: Arc<Client>,
    /// When it came last.
    pub last: UnixTime,
    /// How often it came, since it is remembered.
    pub count: u64,
    /// Why it was refused the last time; none if it was accepted.
    pub refusal: Option<Refusal>,
}

/// Live connections of one client.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Under which it is, or would be, remembered.
    pub key: Key,
    /// The name that these connections gave.
    pub server_name: Option<String>,
    /// The client, whose own name may be another one of the same policy.
    pub client: Arc<Client>,
    /// How many they are.
    pub connections: u64,
}

/// All that a shard knows of clients.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// Those that were seen lately.
    pub seen: Vec<Seen>,
    /// Those that are connected.
    pub connected: Vec<Connected>,
    /// Live connections of clients beyond `limits::TOLD_CHAIN_BYTES_MAX`.
    pub connections_left_out: u64,
}

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
        self.remember(key, came, now, || Client::new(&listener.name, server_name, chain));
    }

    fn remember(&mut self, key: Key, came: Came, now: UnixTime, client: impl FnOnce() -> Client) {
        let refusal = came.refusal();
        let known = self.vouched.take(&key).or_else(|| self.others.take(&key));
        let mut entry = known.unwrap_or_else(|| {
            let client = client();
            Entry { bytes: client.bytes(), client: Arc::new(client), last: now, count: 0, refusal }
        });
        entry.count += 1;
        (entry.last, entry.refusal) = (now, refusal);
        match came {
            Came::Vouched => self.vouched.put(key, entry),
            Came::Otherwise(_) => self.others.put(key, entry),
        }
    }

    fn find(&self, key: &Key) -> Option<&Arc<Client>> {
        let entry = self.vouched.find(key).or_else(|| self.others.find(key))?;
        Some(&entry.client)
    }

    fn all(&self) -> Vec<Seen> {
        let entries = [&self.vouched, &self.others].into_iter().flat_map(Share::entries);
        let seen = entries.map(|(key, entry)| {
            let Entry { client, last, count, refusal, .. } = entry;
            let (last, count, refusal) = (*last, *count, *refusal);
            Seen { key: *key, client: Arc::clone(client), last, count, refusal }
        });
        seen.collect()
    }
}

/// One client.
#[derive(Debug)]
struct Entry {
    client: Arc<Client>,
    bytes: usize,
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
}

#[derive(Debug, Default)]
struct Generation {
    clients: HashMap<Key, Entry>,
    bytes: usize,
}

impl Share {
    fn new(count_max: usize, bytes_max: usize) -> Self {
        let (younger, older) = (Generation::default(), Generation::default());
        Self { count_max, bytes_max, younger, older }
    }

    fn take(&mut self, key: &Key) -> Option<Entry> {
        [&mut self.younger, &mut self.older].into_iter().find_map(|generation| {
            let entry = generation.clients.remove(key)?;
            generation.bytes -= entry.bytes;
            Some(entry)
        })
    }

    fn put(&mut self, key: Key, entry: Entry) {
        let is_full = self.younger.clients.len() >= self.count_max / 2
            || self.younger.bytes + entry.bytes > self.bytes_max / 2;
        if is_full {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.bytes += entry.bytes;
        self.younger.clients.insert(key, entry);
    }

    fn find(&self, key: &Key) -> Option<&Entry> {
        self.younger.clients.get(key).or_else(|| self.older.clients.get(key))
    }

    fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.younger.clients.iter().chain(&self.older.clients)
    }
}

/// Tells the control thread all that is known, in slices as a sweep's.
pub(super) async fn tell(shard: Rc<Shard>, told: mpsc::UnboundedSender<(usize, Clients)>) {
    let keys: Vec<u64> = shard.open.borrow().by_key.keys().copied().collect();
    let mut connected = HashMap::new();
    let mut left = Left { bytes: limits::TOLD_CHAIN_BYTES_MAX, out: 0 };
    let mut slice = Instant::now();
    for key in keys {
        shard.count_connection(key, &mut connected, &mut left);
        if slice.elapsed() >= limits::SWEEP_SLICE {
            tokio::time::sleep(limits::SWEEP_PAUSE).await;
            slice = Instant::now();
        }
    }
    let connected = connected.into_iter().map(|((key, server_name), (client, connections))| {
        Connected { key, server_name, client, connections }
    });
    let clients = Clients {
        seen: shard.seen.borrow().all(),
        connected: connected.collect(),
        connections_left_out: left.out,
    };
    // Nobody waits any more when the control thread has given up on an answer.
    let _ = told.send((shard.index, clients));
}

/// By client and server name.
type Connections = HashMap<(Key, Option<String>), (Arc<Client>, u64)>;

/// What may still be told of connections whose client is remembered no more.
struct Left {
    /// Room for chains.
    bytes: usize,
    /// Connections that had none.
    out: u64,
}

impl Shard {
    /// Counts a connection to those of its client. One whose end is decided is none any more.
    fn count_connection(&self, key: u64, connected: &mut Connections, left: &mut Left) {
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
            if let Some((_, connections)) = connected.get_mut(&whom) {
                *connections += 1;
                return;
            }
            let client = match self.seen.borrow().find(&key) {
                Some(client) => Arc::clone(client),
                None => {
                    let client = Client::new(listener, server_name, chain);
                    let Some(bytes) = left.bytes.checked_sub(client.bytes()) else {
                        left.out += 1;
                        return;
                    };
                    left.bytes = bytes;
                    Arc::new(client)
                }
            };
            connected.insert(whom, (client, 1));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    /// Client `number`, whose chain has so many bytes.
    fn client(number: u64, bytes: usize) -> Client {
        let mut leaf = number.to_be_bytes().to_vec();
        leaf.resize(bytes.max(8), 0);
        let listener: Name = "https".into();
        Client::new(&listener, None, &[CertificateDer::from(leaf)])
    }

    fn note(memory: &mut Memory, number: u64, bytes: usize, refusal: Option<Refusal>, now: u64) {
        let client = client(number, bytes);
        let key = Key::of("https", "", &client.chain);
        let came = refusal.map_or(Came::Vouched, |refusal| Came::Otherwise(Some(refusal)));
        memory.remember(key, came, at(now), || client);
    }

    fn known(memory: &Memory) -> Vec<(u64, u64, UnixTime, Option<Refusal>)> {
        let number = |seen: &Seen| {
            let (first, _) = seen.client.chain[0].split_first_chunk().unwrap();
            u64::from_be_bytes(*first)
        };
        let all = memory.all();
        let mut known: Vec<_> =
            all.iter().map(|seen| (number(seen), seen.count, seen.last, seen.refusal)).collect();
        known.sort_by_key(|(number, ..)| *number);
        known
    }

    fn bytes(share: &Share) -> usize {
        let bytes: usize = share.entries().map(|(_, entry)| entry.bytes).sum();
        assert_eq!(bytes, share.younger.bytes + share.older.bytes);
        bytes
    }

    #[test]
    fn a_client_is_one_entry_with_its_last_time_its_count_and_its_last_verdict() {
        let mut memory = Memory::default();
        note(&mut memory, 1, 0, None, 10);
        note(&mut memory, 2, 0, Some(Refusal::Untrusted), 11);
        note(&mut memory, 1, 0, None, 12);
        let second = (2, 1, at(11), Some(Refusal::Untrusted));
        assert_eq!(known(&memory), [(1, 2, at(12), None), second]);
        note(&mut memory, 1, 0, Some(Refusal::CrlHit), 13);
        assert_eq!(known(&memory), [(1, 3, at(13), Some(Refusal::CrlHit)), second]);
        assert_eq!((bytes(&memory.vouched), memory.vouched.entries().count()), (0, 0));
        note(&mut memory, 1, 0, None, 14);
        assert_eq!(known(&memory), [(1, 4, at(14), None), second]);
        assert_eq!(memory.others.entries().count(), 1);
    }

    #[test]
    fn listener_policy_and_every_certificate_tell_clients_apart() {
        let chain = client(1, 0).chain;
        let longer = [chain.clone(), chain.clone()].concat();
        let keys = [
            Key::of("a", "", &chain),
            Key::of("b", "", &chain),
            Key::of("a", "b", &chain),
            Key::of("a", "", &longer),
            Key::of("a", "", &[]),
            Key::of("", "a", &chain),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
    }

    #[test]
    fn strangers_push_out_nobody_for_whom_a_trust_store_vouched() {
        let mut memory = Memory::default();
        note(&mut memory, u64::MAX, 0, None, 1);
        for number in 0..3 * limits::SEEN_OTHERS_MAX as u64 {
            note(&mut memory, number, 0, Some(Refusal::Untrusted), 2);
            assert!(memory.others.entries().count() <= limits::SEEN_OTHERS_MAX, "{number}");
        }
        assert_eq!(memory.vouched.entries().count(), 1);
        // The latest are there.
        let latest = 3 * limits::SEEN_OTHERS_MAX as u64 - 1;
        assert!(known(&memory).iter().any(|(number, ..)| *number == latest));
    }

    #[test]
    fn the_memory_is_bounded_by_number_and_by_bytes_and_keeps_who_comes_again() {
        for chain_bytes in [0, limits::CHAIN_BYTES_MAX] {
            let mut memory = Memory::default();
            for number in 0..3 * limits::SEEN_VOUCHED_MAX as u64 {
                note(&mut memory, number, chain_bytes, None, number);
                note(&mut memory, u64::MAX, 0, None, number);
                let share = &memory.vouched;
                assert!(share.entries().count() <= limits::SEEN_VOUCHED_MAX, "{number}");
            }
            assert!(bytes(&memory.vouched) <= limits::SEEN_VOUCHED_BYTES_MAX);
            let known = known(&memory);
            let (number, count, ..) = known.last().unwrap();
            assert_eq!((*number, *count), (u64::MAX, 3 * limits::SEEN_VOUCHED_MAX as u64));
        }
    }
}
