//! A connected TCP socket over either engine.
#![expect(clippy::todo, reason = "interface only")]
use super::buffer::{Buf, BufResult};
use crate::close::Reason;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A connected socket. Clones are handles to the same one; it closes when the last is dropped.
///
/// Invariant: no future of an operation is dropped before it completes. What must end early is ended
/// by [`Sock::kill`], after which every pending operation completes.
#[derive(Clone, Debug)]
pub struct Sock(());

impl Sock {
    /// Appends received bytes to the spare room of `buf` (which must have some); `Ok(0)` is the end of
    /// the stream, or a [`Sock::kill`].
    pub async fn recv(&self, buf: Buf) -> BufResult<usize> {
        let _ = buf;
        todo!()
    }
    /// Sends all unconsumed bytes; on success the buffer comes back empty.
    pub async fn send_all(&self, buf: Buf) -> BufResult<()> {
        let _ = buf;
        todo!()
    }
    /// Waits until there is something to receive (bytes, end of stream, error), holding no buffer.
    pub async fn readable(&self) -> io::Result<()> {
        todo!()
    }
    /// Ends both directions now; pending and later operations complete at once. The first reason stays.
    pub fn kill(&self, why: Reason) {
        let _ = why;
        todo!()
    }
    /// Why this node ended it, if it did.
    pub fn killed(&self) -> Option<Reason> {
        todo!()
    }
    /// Kills the socket with `why` unless disarmed or armed anew within `after` (late by at most one
    /// `limits::DEADLINE_TICK`).
    pub fn arm(&self, after: Duration, why: Reason) {
        let _ = (after, why);
        todo!()
    }
    /// Like [`Sock::arm`], but the deadline ends reading alone ([`Sock::stop_reading`]).
    pub fn arm_reading(&self, after: Duration, why: Reason) {
        let _ = (after, why);
        todo!()
    }
    /// Takes the deadline away.
    pub fn disarm(&self) {
        todo!()
    }
    /// Says that no more bytes will be sent (FIN).
    pub fn shutdown_write(&self) {
        todo!()
    }
    /// Ends reading alone, so that an answer can still be sent: a pending receive completes with
    /// `Ok(0)`. The first reason stays.
    pub fn stop_reading(&self, why: Reason) {
        let _ = why;
        todo!()
    }
    /// Makes the coming close send RST instead of FIN (`SO_LINGER` 0).
    pub fn reset_on_close(&self) {
        todo!()
    }
    /// Whether an idle connection cannot be used again: closed, failed, or with bytes nobody asked
    /// for. One `recv(MSG_PEEK | MSG_DONTWAIT)`.
    pub fn is_stale(&self) -> bool {
        todo!()
    }
    /// The address of the other side, as accepted from or connected to.
    pub fn peer(&self) -> SocketAddr {
        todo!()
    }
    /// The address of this side.
    pub fn local(&self) -> io::Result<SocketAddr> {
        todo!()
    }
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not in time.
    #[error("timed out")]
    Timeout,
    /// The kernel's answer (refused, unreachable, no more files ...).
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Connects with `TCP_NODELAY`, giving up after `within` (late by at most one tick).
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(to: SocketAddr, within: Duration) -> Result<Sock, ConnectError> {
    let _ = (to, within);
    todo!()
}
