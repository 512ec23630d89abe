//! A client's TLS connection: the handshake, then a byte stream, over rustls' unbuffered API.
//!
//! `shard` drives it. Reading and writing may overlap (an upload while the answer streams back), so
//! the rustls state stands in a `RefCell` that is borrowed only between awaits. Three rules, each
//! learned from rustls' source:
//!
//! * Bytes are received into a buffer of their own and joined to `inbound` afterwards, so that every
//!   call of `process_tls_records` sees all bytes it has seen before: rustls keeps offsets into them,
//!   and a writer that passed an empty slice would panic on a client's fragmented KeyUpdate.
//! * Only the writer sends. What a read makes rustls want to say (an alert) waits in `outbound` for
//!   the next write or the close, because two sends on one socket could interleave.
//! * After an error rustls is never shown bytes again: it would judge the same record a second time.
//!
//! Bounds: `limits::HANDSHAKE_BYTES_MAX` received in a handshake; its deadline is the caller's. After it
//! `limits::TLS_PENDING_BYTES_MAX` that rustls cannot work on yet: it keeps the whole records of a
//! message that comes in fragments, however much padding they carry.
mod state;

pub use state::Agreed;

use super::server;
use super::verifier::{self, Judge};
use crate::limits;
use crate::net::{Buf, Sock};
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls_pki_types::CertificateDer;
use state::{State, Stopped};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// A TLS connection whose handshake is done.
#[derive(Debug)]
pub struct Stream {
    socket: Sock,
    state: RefCell<State>,
}

/// Why a handshake ended without a connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// rustls refused it; the alert is ready to be sent.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The first bytes are no ClientHello, or one over its bound.
    #[error("not a ClientHello")]
    NotHello,
    /// The client closed the connection, or a deadline did.
    #[error("the connection ended")]
    Closed,
    /// The client sent too much.
    #[error("too many bytes")]
    TooManyBytes,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A handshake that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: HandshakeError,
    /// What had been agreed on.
    pub agreed: Agreed,
    /// The alert that rustls wants to send, still unsent.
    pub alert: Buf,
}

impl Failed {
    /// Before anything was agreed on.
    pub fn early(error: HandshakeError) -> Self {
        Self { error, agreed: Agreed::default(), alert: Buf::default() }
    }
}

impl Stream {
    /// Handshakes with a client whose first bytes are `received`. `judge` answers for its certificate.
    ///
    /// # Errors
    /// [`Failed`], with the alert for the caller to send or to withhold.
    pub async fn accept(
        socket: Sock,
        received: Buf,
        config: Arc<ServerConfig>,
        judge: Rc<dyn Judge>,
    ) -> Result<Self, Box<Failed>> {
        let tls = match UnbufferedServerConnection::new(config) {
            Ok(tls) => tls,
            Err(error) => {
                return Err(Box::new(Failed::early(error.into())));
            }
        };
        let mut state = State::new(tls, received);
        match handshake(&mut state, &socket, judge).await {
            Ok(()) => Ok(Self { socket, state: RefCell::new(state) }),
            Err(error) => {
                Err(Box::new(Failed { error, agreed: state.agreed(), alert: state.outbound }))
            }
        }
    }

    /// The socket below.
    pub fn socket(&self) -> &Sock {
        &self.socket
    }

    /// What was agreed on.
    pub fn agreed(&self) -> Agreed {
        self.state.borrow().agreed()
    }

    /// Whether the client chose HTTP/2 (ALPN).
    pub fn is_http2(&self) -> bool {
        self.state.borrow().tls.alpn_protocol() == Some(server::HTTP2)
    }

    /// Shows the client's chain, leaf first; empty when it sent none.
    pub fn with_client_chain<R>(&self, show: impl FnOnce(&[CertificateDer<'_>]) -> R) -> R {
        show(self.state.borrow().tls.peer_certificates().unwrap_or_default())
    }

    /// Whether a read would answer without waiting: plaintext is there, or the end.
    pub fn is_ready(&self) -> bool {
        let state = self.state.borrow();
        state.ended || !state.plaintext.is_empty()
    }

    /// Appends plaintext to `into`. `Ok(0)` is the end: `close_notify`, end of stream, or a kill.
    ///
    /// # Errors
    /// The socket's, or `InvalidData` when the client broke TLS.
    pub async fn read(&self, mut into: Buf) -> (io::Result<usize>, Buf) {
        loop {
            match self.state.borrow_mut().take_plaintext(&mut into) {
                Ok(0) => {}
                Ok(count) => return (Ok(count), into),
                Err(error) => {
                    return (Err(io::Error::new(io::ErrorKind::InvalidData, error)), into);
                }
            }
            if self.state.borrow().ended {
                return (Ok(0), into);
            }
            let (result, received) = self.socket.recv(Buf::take()).await;
            match result {
                Ok(0) => self.state.borrow_mut().ended = true,
                Ok(_) => self.state.borrow_mut().receive(received),
                Err(error) => return (Err(error), into),
            }
        }
    }

    /// Encrypts and sends all of `plain`; it comes back empty.
    ///
    /// # Errors
    /// The socket's, or `InvalidData` when the connection can no longer encrypt.
    pub async fn write(&self, mut plain: Buf) -> (io::Result<()>, Buf) {
        while !plain.is_empty() {
            let sealed = self.state.borrow_mut().seal(&mut plain);
            let outbound = match sealed {
                Ok(outbound) => outbound,
                Err(error) => {
                    return (Err(io::Error::new(io::ErrorKind::InvalidData, error)), plain);
                }
            };
            if let (Err(error), _) = self.socket.send_all(outbound).await {
                return (Err(error), plain);
            }
        }
        (Ok(()), plain)
    }

    /// Sends what waits (an alert) and `close_notify`; the socket stays open for the client's own.
    pub async fn close(&self) {
        let outbound = self.state.borrow_mut().close();
        // Nobody is left to be told of a failure.
        let _ = self.socket.send_all(outbound).await;
    }
}

/// Handshakes with the client on `socket`.
async fn handshake(
    state: &mut State,
    socket: &Sock,
    judge: Rc<dyn Judge>,
) -> Result<(), HandshakeError> {
    let mut received_bytes = state.inbound.len();
    loop {
        let stopped = verifier::under(Rc::clone(&judge), || state.advance());
        let stopped = stopped?;
        if !state.outbound.is_empty() {
            let outbound = std::mem::take(&mut state.outbound);
            socket.send_all(outbound).await.0?;
        }
        if !state.tls.is_handshaking() {
            state.ended = stopped == Stopped::PeerClosed;
            return Ok(());
        }
        if stopped == Stopped::PeerClosed {
            return Err(HandshakeError::Closed);
        }
        let (result, received) = socket.recv(Buf::take()).await;
        let count = result?;
        if count == 0 {
            return Err(HandshakeError::Closed);
        }
        received_bytes += count;
        if received_bytes > limits::HANDSHAKE_BYTES_MAX {
            return Err(HandshakeError::TooManyBytes);
        }
        state.receive(received);
    }
}
