//! A look ahead at an HTTP/1.1 client while a target works on its request: has it gone?
//!
//! What it sends meanwhile is the beginning of its next request. That is kept, one buffer of it, and ends the
//! look: whether anybody stands behind it shows when it is answered. A look outlives its request, because an
//! operation is never dropped before it completes: then the connection waits by it for the next one.
use crate::close::Reason;
use crate::limits;
use crate::net::{Buf, ByteStream, Readable};
use crate::shard::wire::{Wire, linger};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// How far a look has come.
#[derive(Default)]
pub(super) enum Ahead<'a> {
    /// Nobody looks.
    #[default]
    Nothing,
    /// The client is silent.
    Waiting(Readable),
    /// It has said something, which may not be whole (a TLS record).
    Reading(Read<'a>),
    /// It has begun its next request.
    Begun(Buf),
    /// It has closed or reset its connection.
    Gone,
}

type Read<'a> = Pin<Box<dyn Future<Output = (io::Result<usize>, Buf)> + 'a>>;

impl<'a> Ahead<'a> {
    /// Begins to look, or goes on; ready once the client has gone.
    pub(super) fn poll_gone(&mut self, wire: &'a Wire, context: &mut Context<'_>) -> Poll<()> {
        loop {
            *self = match self {
                Self::Nothing if wire.is_ready() => return Poll::Pending,
                Self::Nothing => Self::Waiting(wire.socket().readable()),
                Self::Waiting(readable) => match ready!(Pin::new(readable).poll(context)) {
                    Ok(()) => Self::Reading(Box::pin(wire.read(Buf::take()))),
                    Err(_) => Self::Gone,
                },
                Self::Reading(read) => match ready!(read.as_mut().poll(context)) {
                    (Ok(1..), bytes) => Self::Begun(bytes),
                    (Ok(0) | Err(_), _) => Self::Gone,
                },
                Self::Begun(_) => return Poll::Pending,
                Self::Gone => return Poll::Ready(()),
            }
        }
    }

    /// What has come of the next request, once.
    pub(super) fn take_begun(&mut self) -> Buf {
        match self {
            Self::Begun(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Nothing;
                bytes
            }
            Self::Nothing | Self::Waiting(_) | Self::Reading(_) | Self::Gone => Buf::default(),
        }
    }

    /// Waits for the first bytes of the next request; there are none yet where the client has only become
    /// readable.
    ///
    /// # Errors
    /// The client has gone.
    pub(super) async fn next(self, wire: &'a Wire) -> io::Result<Buf> {
        match self {
            Self::Nothing => wire.readable().await.map(|()| Buf::default()),
            Self::Waiting(readable) => readable.await.map(|()| Buf::default()),
            Self::Reading(read) => match read.await {
                (Ok(1..), bytes) => Ok(bytes),
                (Ok(0), _) => Err(io::ErrorKind::UnexpectedEof.into()),
                (Err(error), _) => Err(error),
            },
            Self::Begun(bytes) => Ok(bytes),
            Self::Gone => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Says goodbye on `wire` and throws away what the client still sends, within the bounds of `limits`, so
    /// that a reset does not overtake our last bytes. One at a time receives, so a look that is under way
    /// comes to its end first.
    pub(super) async fn close(self, wire: &Wire) {
        wire.say_goodbye().await;
        if self.is_pending() {
            wire.socket().arm(limits::LINGER, Reason::Idle);
            self.finish().await;
        }
        linger(wire.socket()).await;
    }

    /// Waits for what is under way on a connection of which nothing is read any more.
    pub(super) async fn finish(self) {
        match self {
            Self::Waiting(readable) => drop(readable.await),
            Self::Reading(read) => drop(read.await),
            Self::Nothing | Self::Begun(_) | Self::Gone => {}
        }
    }

    /// Whether an operation is under way.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self, Self::Waiting(_) | Self::Reading(_))
    }
}

impl std::fmt::Debug for Ahead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Waiting(_) => "Waiting",
            Self::Reading(_) => "Reading",
            Self::Begun(_) => "Begun",
            Self::Gone => "Gone",
        })
    }
}
