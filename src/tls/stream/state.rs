//! rustls and the bytes around it: what was received and not worked on, what was decrypted and not read, what
//! is to be sent.
//!
//! No socket, no waiting: [`super::Stream`] receives and sends, and borrows this between awaits only. The
//! three rules for both stand there.
use crate::limits;
use crate::net::Buf;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
};
use rustls::{CipherSuite, HandshakeKind, NamedGroup, ProtocolVersion};

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

/// rustls and the bytes around it.
pub(super) struct State {
    pub(super) tls: UnbufferedServerConnection,
    /// TLS bytes received and not yet discarded by rustls.
    pub(super) inbound: Buf,
    /// Plaintext that came before anybody read.
    pub(super) plaintext: Buf,
    /// TLS bytes to send.
    pub(super) outbound: Buf,
    /// The client said `close_notify`, or the socket ended.
    pub(super) ended: bool,
    /// rustls gave up; its alert is in `outbound`.
    failed: bool,
}

/// Where `State::advance` stopped.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Stopped {
    /// rustls wants more bytes from the client.
    WantsBytes,
    /// The client closed its side properly.
    PeerClosed,
}

impl State {
    /// Before the handshake; `received` are the client's first bytes.
    pub(super) fn new(tls: UnbufferedServerConnection, received: Buf) -> Self {
        Self {
            tls,
            inbound: received,
            plaintext: Buf::default(),
            outbound: Buf::default(),
            ended: false,
            failed: false,
        }
    }

    /// Joins received bytes to those that rustls has seen.
    pub(super) fn receive(&mut self, received: Buf) {
        if self.inbound.is_empty() {
            self.inbound = received;
        } else {
            self.inbound.extend_from_slice(&received);
        }
    }

    /// Lets rustls work on all of `inbound`: plaintext to `plaintext`, bytes to send to `outbound`.
    pub(super) fn advance(&mut self) -> Result<Stopped, rustls::Error> {
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
    pub(super) fn take_plaintext(&mut self, into: &mut Buf) -> Result<usize, rustls::Error> {
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
    pub(super) fn seal(&mut self, plain: &mut Buf) -> Result<Buf, rustls::Error> {
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

    /// What is left to say, and `close_notify`.
    pub(super) fn close(&mut self) -> Buf {
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

    /// What was agreed on, as far as that has come.
    pub(super) fn agreed(&self) -> Agreed {
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
