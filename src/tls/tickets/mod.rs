//! Session tickets: what a client brings back to resume a session, and where alone it is good.
//!
//! rustls does not ask the verifier when a session is resumed, and compares no more than server name,
//! cipher suite and version. So a ticket of ours is bound ([`Binding`]) to the listener, the policy and
//! the CA bundle that the client was judged by, carries the path by which it was accepted, and ends with
//! what was judged. [`Ticketer`] is rustls' door: it asks the [`Judge`](super::verifier::Judge) of the handshake that runs on
//! this thread, as the verifier does, and what the judge does not plainly accept becomes a full
//! handshake. That check only makes the better refusal; the guarantee is the verdict at the end of each
//! handshake, resumed ones too (`shard::judge`).
//!
//! ```text
//! key name (16), nonce (12), and sealed by AES-256-GCM-SIV (with its tag of 16):
//!     policy (16), bundle (16), expires (8), length of path (2), path, session
//! ```
//!
//! Nothing is stored: `NoServerSessionStorage` stays, and there is no early data.
//! Bounds: `limits::TICKET_BYTES_MAX`, `TICKET_LIFETIME`.
//! Source: RFC 5077, section 4; RFC 8446, sections 4.6.1 and 8.1.
#![deny(clippy::indexing_slicing)]
use super::verifier::ask;
use crate::limits;
use crate::trust::Fingerprint;
use rustls::server::ProducesTickets;
use rustls_pki_types::UnixTime;
use std::time::Duration;

mod keys;

pub use keys::{Key, KeyFault, Keys};

/// What rustls is given as the ticketer of a `ServerConfig` whose sessions may be resumed.
#[derive(Debug)]
pub struct Ticketer;

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    /// A hint: how long a ticket is good for stands inside it.
    fn lifetime(&self) -> u32 {
        limits::TICKET_LIFETIME_SECONDS
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        ask(|judge| judge.seal(session)).flatten()
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        ask(|judge| judge.open(ticket)).flatten()
    }
}

/// Where a ticket is good: by names and content, which mean the same after a restart and on every node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Binding {
    /// The listener, its security policy and certificates, the server names, how clients are asked, the
    /// conditions, the trust store's name.
    pub policy: Fingerprint,
    /// The CA bundle; zeros where there is none.
    pub bundle: Fingerprint,
}

/// What a ticket holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ticket<'a> {
    /// Where it is good.
    pub binding: Binding,
    /// The last second at which it is good. A ticket given on a resumed connection keeps that of the one
    /// before, so that no client goes without proving its key for longer than `limits::TICKET_LIFETIME`.
    pub expires: UnixTime,
    /// The [`Path`](crate::trust::Path) by which the client was accepted; empty where none is asked.
    pub path: &'a [u8],
    /// rustls' session, with the client's chain.
    pub session: &'a [u8],
}

impl<'a> Ticket<'a> {
    /// What is sealed. `None` when the path is over 65,535 bytes.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let path_length = u16::try_from(self.path.len()).ok()?;
        let room = HEAD_BYTES + self.path.len() + self.session.len() + keys::TAG_BYTES;
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(&self.binding.policy.0);
        bytes.extend_from_slice(&self.binding.bundle.0);
        bytes.extend_from_slice(&self.expires.as_secs().to_be_bytes());
        bytes.extend_from_slice(&path_length.to_be_bytes());
        bytes.extend_from_slice(self.path);
        bytes.extend_from_slice(self.session);
        Some(bytes)
    }

    /// Reads what [`Ticket::encode`] gave; `None` where it is something shorter.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (policy, rest) = bytes.split_first_chunk()?;
        let (bundle, rest) = rest.split_first_chunk()?;
        let (expires, rest) = rest.split_first_chunk()?;
        let (path_length, rest) = rest.split_first_chunk()?;
        let path_length = usize::from(u16::from_be_bytes(*path_length));
        let (path, session) = rest.split_at_checked(path_length)?;
        let expires = Duration::from_secs(u64::from_be_bytes(*expires));
        Some(Self {
            binding: Binding { policy: Fingerprint(*policy), bundle: Fingerprint(*bundle) },
            expires: UnixTime::since_unix_epoch(expires),
            path,
            session,
        })
    }
}

/// What stands before path and session.
const HEAD_BYTES: usize = 2 * Fingerprint::BYTES + 8 + 2;

/// Why a client that brought a ticket shakes hands in full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Declined {
    /// No key of ours sealed it, or one that is no longer kept.
    UnknownKey,
    /// It names a key of ours and does not open.
    Damaged,
    /// Its time is over.
    Expired,
    /// It was given elsewhere, or before the policy changed, or nothing is resumed here now.
    OtherPolicy,
    /// The CA bundle is another one now.
    OtherBundle,
    /// Its client is no longer accepted, or only its chain can tell.
    Refused,
    /// The session is for another server name or cipher suite, or the client cannot use it.
    Unfit,
}

impl Declined {
    /// All of them, in the order of [`Declined::index`].
    pub const ALL: [Self; 7] = [
        Self::UnknownKey,
        Self::Damaged,
        Self::Expired,
        Self::OtherPolicy,
        Self::OtherBundle,
        Self::Refused,
        Self::Unfit,
    ];

    /// Position in [`Declined::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word in the `outcome` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown_key",
            Self::Damaged => "damaged",
            Self::Expired => "expired",
            Self::OtherPolicy => "other_policy",
            Self::OtherBundle => "other_bundle",
            Self::Refused => "refused",
            Self::Unfit => "unfit",
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
