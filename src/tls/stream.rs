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
use super::server;
use super::verifier::{self, Judge};
use crate::limits;
use crate::net::{Buf, Sock};
use rustls::server::ServerConnectionData;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
};
use rustls::{CipherSuite, HandshakeKind, NamedGroup, ProtocolVersion, ServerConfig};
use rustls_pki_types::CertificateDer;
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

/// What was agreed on in a handshake, as far as it got.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Agreed {
    /// Protocol version.
    pub version: Option<ProtocolVersion>,
    /// Cipher suite.
    pub suite: Option<CipherSuite>,
    /// Key exchange group.
    pub group: Option<NamedGroup>,
    /// Whether a session was resumed.
    pub resumed: bool,
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

/// rustls and the bytes around it.
struct State {
    tls: UnbufferedServerConnection,
    /// TLS bytes received and not yet discarded by rustls.
    inbound: Buf,
    /// Plaintext that came before anybody read.
    plaintext: Buf,
    /// TLS bytes to send.
    outbound: Buf,
    /// The client said `close_notify`, or the socket ended.
    ended: bool,
    /// rustls gave up; its alert is in `outbound`.
    failed: bool,
}

/// Where `State::advance` stopped.
#[derive(Debug, Eq, PartialEq)]
enum Stopped {
    /// rustls wants more bytes from the client.
    WantsBytes,
    /// The client closed its side properly.
    PeerClosed,
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
        let mut state = State {
            tls,
            inbound: received,
            plaintext: Buf::default(),
            outbound: Buf::default(),
            ended: false,
            failed: false,
        };
        match state.handshake(&socket, judge).await {
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

impl State {
    async fn handshake(
        &mut self,
        socket: &Sock,
        judge: Rc<dyn Judge>,
    ) -> Result<(), HandshakeError> {
        let mut received_bytes = self.inbound.len();
        loop {
            let stopped = verifier::under(Rc::clone(&judge), || self.advance());
            let stopped = stopped?;
            if !self.outbound.is_empty() {
                let outbound = std::mem::take(&mut self.outbound);
                socket.send_all(outbound).await.0?;
            }
            if !self.tls.is_handshaking() {
                self.ended = stopped == Stopped::PeerClosed;
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
            self.receive(received);
        }
    }

    /// Joins received bytes to those that rustls has seen.
    fn receive(&mut self, received: Buf) {
        if self.inbound.is_empty() {
            self.inbound = received;
        } else {
            self.inbound.extend_from_slice(&received);
        }
    }

    /// Lets rustls work on all of `inbound`: plaintext to `plaintext`, bytes to send to `outbound`.
    fn advance(&mut self) -> Result<Stopped, rustls::Error> {
        let result = self.work();
        if result.is_err() {
            self.failed = true;
            self.ended = true;
            self.collect_alert();
        }
        result
    }

    fn work(&mut self) -> Result<Stopped, rustls::Error> {
        loop {
            let status = self.tls.process_tls_records(&mut self.inbound);
            let mut discard = status.discard;
            let mut stopped = None;
            match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        if self.plaintext.is_empty() {
                            self.plaintext = Buf::take();
                        }
                        self.plaintext.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut self.outbound, &mut data)?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    stopped = Some(Stopped::PeerClosed);
                }
                Ok(ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake) => {
                    stopped = Some(Stopped::WantsBytes);
                }
                // Early data is never offered, and the enum is open for states to come.
                Ok(_) => return Err(rustls::Error::General("unexpected TLS state".into())),
                Err(error) => return Err(error),
            }
            self.inbound.consume(discard);
            let Some(stopped) = stopped else { continue };
            if self.inbound.is_empty() {
                // Idle connections hold no buffer.
                self.inbound = Buf::default();
            }
            if self.inbound.len() > limits::TLS_PENDING_BYTES_MAX && !self.tls.is_handshaking() {
                return Err(rustls::Error::General("too many bytes of one message".into()));
            }
            return Ok(stopped);
        }
    }

    /// What rustls still wants to say after an error. It hands that out before it looks at any bytes,
    /// so that it judges none a second time.
    fn collect_alert(&mut self) {
        while self.tls.wants_write() {
            match self.tls.process_tls_records(&mut self.inbound).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    if encode(&mut self.outbound, &mut data).is_err() {
                        return;
                    }
                }
                // Plaintext that came before the error is nobody's any more.
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while traffic.next_record().is_some() {}
                }
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Moves plaintext into `into`, decrypting first when none waits.
    fn take_plaintext(&mut self, into: &mut Buf) -> Result<usize, rustls::Error> {
        if self.plaintext.is_empty() && !self.ended && !self.inbound.is_empty() {
            match self.advance() {
                Ok(Stopped::PeerClosed) => self.ended = true,
                Ok(Stopped::WantsBytes) => {}
                Err(error) => return Err(error),
            }
        }
        let count = self.plaintext.len();
        if into.is_empty() && count > 0 {
            *into = std::mem::take(&mut self.plaintext);
        } else if count > 0 {
            into.extend_from_slice(&self.plaintext);
            self.plaintext = Buf::default();
        }
        Ok(count)
    }

    /// Encrypts what goes into one buffer, behind what already waits: records that are sent together
    /// cost one call of the kernel.
    fn seal(&mut self, plain: &mut Buf) -> Result<Buf, rustls::Error> {
        if self.failed {
            // The alert that waits is for the close to send.
            return Err(rustls::Error::HandshakeNotComplete);
        }
        let mut outbound = self.take_outbound();
        loop {
            let count = plain.len().min(limits::TLS_RECORD_BYTES_MAX);
            self.encrypt(&plain[..count], &mut outbound)?;
            plain.consume(count);
            let next = plain.len().min(limits::TLS_RECORD_BYTES_MAX) + RECORD_OVERHEAD_BYTES;
            if plain.is_empty() || outbound.spare() < next {
                return Ok(outbound);
            }
        }
    }

    /// Appends one record (at most `limits::TLS_RECORD_BYTES_MAX` of plaintext) to `outbound`.
    fn encrypt(&mut self, plain: &[u8], outbound: &mut Buf) -> Result<(), rustls::Error> {
        let status = self.tls.process_tls_records(&mut self.inbound);
        // Every read drains what rustls can make of `inbound`, so there is nothing to discard here and
        // the state is the one in which it can write.
        debug_assert_eq!(status.discard, 0, "reads leave only partial records behind");
        match status.state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                append(outbound, plain.len() + RECORD_OVERHEAD_BYTES, |room| {
                    traffic.encrypt(plain, room).map_err(Insufficient::from)
                })
                .map_err(|_| rustls::Error::EncryptError)
            }
            // The client closed its side; rustls still lets us write after saying so once.
            Ok(ConnectionState::PeerClosed) => {
                self.ended = true;
                self.encrypt(plain, outbound)
            }
            Ok(_) => Err(rustls::Error::HandshakeNotComplete),
            Err(error) => {
                self.failed = true;
                Err(error)
            }
        }
    }

    fn close(&mut self) -> Buf {
        let mut outbound = self.take_outbound();
        if self.failed {
            return outbound;
        }
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) =
            self.tls.process_tls_records(&mut self.inbound).state
        {
            // Without room or keys the connection ends without its last word.
            let _ = append(&mut outbound, RECORD_OVERHEAD_BYTES, |room| {
                traffic.queue_close_notify(room).map_err(Insufficient::from)
            });
        }
        outbound
    }

    fn take_outbound(&mut self) -> Buf {
        if self.outbound.is_empty() { Buf::take() } else { std::mem::take(&mut self.outbound) }
    }

    fn agreed(&self) -> Agreed {
        Agreed {
            version: self.tls.protocol_version(),
            suite: self.tls.negotiated_cipher_suite().map(|suite| suite.suite()),
            group: self.tls.negotiated_key_exchange_group().map(|group| group.name()),
            resumed: self.tls.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("agreed", &self.agreed()).finish_non_exhaustive()
    }
}

/// What a record adds to its plaintext at most, and a KeyUpdate that may go before it.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// Why rustls did not write into the room it was given.
enum Insufficient {
    /// It needs this many bytes.
    Needs(usize),
    /// More room would not help.
    Final,
}

impl From<EncodeError> for Insufficient {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Self::Needs(required_size)
            }
            EncodeError::AlreadyEncoded => Self::Final,
        }
    }
}

impl From<EncryptError> for Insufficient {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Self::Needs(required_size)
            }
            EncryptError::EncryptExhausted => Self::Final,
        }
    }
}

/// Appends what rustls wants to say.
fn encode(
    out: &mut Buf,
    data: &mut EncodeTlsData<'_, ServerConnectionData>,
) -> Result<(), rustls::Error> {
    if out.is_empty() {
        *out = Buf::take();
    }
    let room = limits::TLS_RECORD_BYTES_MAX / 4;
    append(out, room, |room| data.encode(room).map_err(Insufficient::from))
        .map_err(|_| rustls::Error::General("no room to encode".into()))
}

/// Appends what `write` makes, asking once more with the room that it says it needs.
fn append(
    out: &mut Buf,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Insufficient>,
) -> Result<(), Insufficient> {
    match out.fill(room, &mut write) {
        Err(Insufficient::Needs(room)) => out.fill(room, &mut write).map(drop),
        other => other.map(drop),
    }
}
