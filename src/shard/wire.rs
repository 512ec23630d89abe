//! A client's byte stream, encrypted or not, as HTTP sees it.
use crate::close::Reason;
use crate::limits;
use crate::net::{Buf, BufResult, ByteStream, Sock};
use crate::tls::stream::Stream;
use std::io;
use std::rc::Rc;

/// A client's connection after its handshake.
#[derive(Debug)]
pub enum Wire {
    /// Without TLS.
    Plain(Sock),
    /// With TLS. Shared with the sweep, which judges the client's chain anew.
    Tls(Rc<Stream>),
}

impl Wire {
    /// Whether it carries HTTP/2. Without TLS it never does: ALB offers none there, and a preface on
    /// HTTP/1.1 is answered with 505.
    pub fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.is_http2(),
        }
    }

    /// How much to write at once where there is more: over TLS one record, less what a response's head
    /// may grow by. A whole buffer would make two records of it.
    pub fn write_bytes_max(&self) -> usize {
        match self {
            Self::Plain(_) => usize::MAX,
            Self::Tls(_) => limits::TLS_RECORD_BYTES_MAX - 512,
        }
    }

    /// Whether the client has said something that waits to be read: then it is not idle.
    pub fn has_bytes(&self) -> bool {
        self.is_ready() || self.socket().is_stale()
    }

    /// Whether a read would answer without the socket: plaintext waits, or the end has been read already.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.is_ready(),
        }
    }
}

impl ByteStream for Wire {
    fn socket(&self) -> &Sock {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        }
    }

    /// `InvalidData` when the client broke TLS.
    async fn read(&self, into: Buf) -> BufResult<usize> {
        match self {
            Self::Plain(socket) => socket.read(into).await,
            Self::Tls(stream) => stream.read(into).await,
        }
    }

    async fn write(&self, bytes: Buf) -> BufResult<()> {
        match self {
            Self::Plain(socket) => socket.write(bytes).await,
            Self::Tls(stream) => stream.write(bytes).await,
        }
    }

    async fn readable(&self) -> io::Result<()> {
        if self.is_ready() { Ok(()) } else { self.socket().readable().await }
    }

    /// `close_notify` over TLS, then FIN.
    async fn say_goodbye(&self) {
        if let Self::Tls(stream) = self {
            self.socket().arm(limits::LINGER, Reason::Idle);
            stream.close().await;
        }
        self.socket().say_goodbye().await;
    }
}

/// Sends FIN and reads until the client's, for `limits::LINGER` and `DISCARDED_BODY_BYTES_MAX` at most.
pub async fn linger(socket: &Sock) {
    if socket.killed().is_some() {
        return;
    }
    socket.shutdown_write();
    socket.arm(limits::LINGER, Reason::Idle);
    let mut discarded = 0;
    let mut room = Buf::take();
    while discarded < limits::DISCARDED_BODY_BYTES_MAX {
        room.clear();
        let (result, back) = socket.recv(room).await;
        room = back;
        match result {
            Ok(0) | Err(_) => break,
            Ok(count) => discarded += count,
        }
    }
}
