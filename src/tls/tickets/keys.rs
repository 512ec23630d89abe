//! The keys that seal tickets: one set for all shards of a node, or for all nodes that are given the same
//! files.
//!
//! The first key seals, all open. Keys of the node's own are random and replaced every
//! `limits::TICKET_KEY_ROTATION` by the control thread; the one before is kept for as long as a ticket
//! of it may be good, and then forgotten, so that a stolen key opens no more than that. Keys from files
//! are rotated by whoever writes the files, as nginx' `ssl_session_ticket_key` are: put the new file
//! second, then first, then take the old one away.
//!
//! AES-256-GCM-SIV (RFC 8452), because nodes that share a key choose their nonces without knowing of each
//! other: a nonce that comes twice then tells at most that two tickets are equal. Name and key come from
//! the secret by HKDF-SHA256, so that the same file may serve another program's tickets.
use super::{Declined, Ticket};
use crate::limits;
use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{hkdf, rand};
use std::sync::Arc;

/// One key.
pub struct Key {
    name: [u8; NAME_BYTES],
    aead: RandomizedNonceKey,
}

/// Never the key itself.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

/// Why a file cannot be a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyFault {
    /// Not as long as one.
    #[error("it has {0} bytes, and a key has 80 or 48; openssl rand -out FILE 80 makes one")]
    Size(usize),
    /// Zeros, hexadecimal digits, or one short pattern over and over. More is not looked for: a password in
    /// this place goes unnoticed.
    #[error(
        "it has only {0} different bytes, and random ones have more; openssl rand -out FILE 80 makes a key"
    )]
    FewDifferent(usize),
    /// aws-lc would not take it.
    #[error("no key can be made of it")]
    Unusable,
}

impl Key {
    /// From the content of a file: 80 or 48 random bytes.
    ///
    /// # Errors
    /// [`KeyFault`].
    pub fn from_file(secret: &[u8]) -> Result<Self, KeyFault> {
        if !limits::TICKET_KEY_FILE_BYTES.contains(&secret.len()) {
            return Err(KeyFault::Size(secret.len()));
        }
        let mut distinct: Vec<u8> = secret.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        // Of 48 random bytes about 44 are distinct; of a line of hexadecimal digits 17 at most.
        if distinct.len() < DISTINCT_BYTES_MIN {
            return Err(KeyFault::FewDifferent(distinct.len()));
        }
        Self::derived(secret).map_err(|Unspecified| KeyFault::Unusable)
    }

    fn random() -> Result<Self, Unspecified> {
        let mut secret = [0; 48];
        rand::fill(&mut secret)?;
        Self::derived(&secret)
    }

    fn derived(secret: &[u8]) -> Result<Self, Unspecified> {
        let root =
            hkdf::Salt::new(hkdf::HKDF_SHA256, b"portcullis session ticket 1").extract(secret);
        let mut name = [0; NAME_BYTES];
        root.expand(&[b"name"], Length(NAME_BYTES))?.fill(&mut name)?;
        let mut key = [0; 32];
        root.expand(&[b"key"], Length(32))?.fill(&mut key)?;
        Ok(Self { name, aead: RandomizedNonceKey::new(&AES_256_GCM_SIV, &key)? })
    }
}

/// How much HKDF is asked for.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// The keys in use. The one part of the live value that changes while its generation stands.
#[derive(Debug, Default)]
pub struct Keys {
    /// The first seals; with none there are no tickets.
    ring: ArcSwap<Vec<Arc<Key>>>,
    rotation: Rotation,
}

/// Who replaces them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Rotation {
    /// Whoever writes the files.
    #[default]
    ByOperator,
    /// The node.
    ByNode,
}

impl Keys {
    /// Those of files, in their order.
    pub fn from_files(keys: Vec<Key>) -> Self {
        let ring = keys.into_iter().map(Arc::new).collect();
        Self { ring: ArcSwap::from_pointee(ring), rotation: Rotation::ByOperator }
    }

    /// Keys of the node's own.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn random() -> Result<Self, Unspecified> {
        let ring = vec![Arc::new(Key::random()?)];
        Ok(Self { ring: ArcSwap::from_pointee(ring), rotation: Rotation::ByNode })
    }

    /// Seals with a new key from now on, and forgets the key before the last one. Keys of files stay.
    /// For the control thread alone.
    ///
    /// # Errors
    /// When the machine has no randomness: the keys stay as they are.
    pub fn rotate(&self) -> Result<(), Unspecified> {
        if self.rotation == Rotation::ByOperator {
            return Ok(());
        }
        let new = Arc::new(Key::random()?);
        let last = self.ring.load().first().cloned();
        self.ring.store(Arc::new(std::iter::once(new).chain(last).collect()));
        Ok(())
    }

    /// Seals a ticket. `None` without a key, and for a session so long that its ticket would be over
    /// `limits::TICKET_BYTES_MAX`.
    pub fn seal(&self, ticket: &Ticket<'_>) -> Option<Vec<u8>> {
        let ring = self.ring.load();
        let key = ring.first()?;
        let mut sealed = ticket.encode()?;
        let nonce = key.aead.seal_in_place_append_tag(Aad::from(key.name), &mut sealed).ok()?;
        let length = NAME_BYTES + NONCE_LEN + sealed.len();
        if length > limits::TICKET_BYTES_MAX {
            return None;
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&key.name);
        bytes.extend_from_slice(nonce.as_ref());
        bytes.extend_from_slice(&sealed);
        Some(bytes)
    }

    /// Opens what a client brought, in `room`.
    ///
    /// # Errors
    /// [`Declined::UnknownKey`], [`Declined::Damaged`]. Whether the ticket is good here and now is the
    /// caller's question.
    pub fn open<'room>(
        &self,
        bytes: &[u8],
        room: &'room mut Vec<u8>,
    ) -> Result<Ticket<'room>, Declined> {
        let ring = self.ring.load();
        let (name, rest) = bytes.split_first_chunk().ok_or(Declined::UnknownKey)?;
        let key = ring.iter().find(|key| key.name == *name).ok_or(Declined::UnknownKey)?;
        let (nonce, sealed) = rest.split_first_chunk().ok_or(Declined::Damaged)?;
        if bytes.len() > limits::TICKET_BYTES_MAX {
            return Err(Declined::Damaged);
        }
        room.clear();
        room.extend_from_slice(sealed);
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.aead.open_in_place(nonce, Aad::from(key.name), room);
        Ticket::decode(opened.map_err(|Unspecified| Declined::Damaged)?).ok_or(Declined::Damaged)
    }
}

/// Length of a key's name.
const NAME_BYTES: usize = 16;
/// Length of the tag behind what is sealed.
pub(super) const TAG_BYTES: usize = 16;
/// Of 48 random bytes fewer are distinct once in 10^19 files.
const DISTINCT_BYTES_MIN: usize = 24;
