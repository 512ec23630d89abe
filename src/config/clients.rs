//! What shards tell of the clients that they have seen lately and of those that are connected.
//!
//! Plain data: `shard` keeps and tells it, and `api` answers questions from it about changes that nobody
//! has made yet.
use super::snapshot::Name;
use crate::trust::Refusal;
use crate::trust::hash::sha256;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::collections::HashMap;
use std::sync::Arc;

/// A client by its hash.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key([u8; 32]);

impl Key {
    /// Of a client that shows this chain, under one policy of a listener. Its own certificate tells it from
    /// others, and not what it sends along: that may be anything.
    ///
    /// * `policy`: what tells the server-name policy from others of the listener
    ///   ([`Tls::policy`](super::snapshot::Tls::policy)), or nothing where they are one.
    pub fn of(listener: &str, policy: &str, chain: &[CertificateDer<'_>]) -> Self {
        let leaf = chain.first().map_or(&[][..], AsRef::as_ref);
        Self(sha256([listener.as_bytes(), policy.as_bytes(), leaf]))
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

/// A client that was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// As it came last; once a trust store has vouched for it, as it came when one did so last.
    pub client: Arc<Client>,
    /// Whether a trust store has vouched for this chain, and the client has proved to have its key.
    pub is_vouched: bool,
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
    /// Those that are connected, by the name that their connections gave.
    pub connected: HashMap<(Key, Option<String>), Connected>,
    /// Live connections of clients beyond `limits::TOLD_CHAIN_BYTES_MAX`.
    pub connections_left_out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_policy_and_leaf_tell_clients_apart_and_nothing_else_does() {
        let [one, other] = [1, 2].map(|byte| CertificateDer::from(vec![byte; 8]));
        let alone = [one.clone()];
        let keys = [
            Key::of("a", "", &alone),
            Key::of("b", "", &alone),
            Key::of("a", "b", &alone),
            Key::of("a", "", std::slice::from_ref(&other)),
            Key::of("a", "", &[]),
            Key::of("", "a", &alone),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
        assert_eq!(Key::of("a", "", &[one, other]), keys[0]);
    }
}
