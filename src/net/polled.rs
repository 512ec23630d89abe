//! A byte stream as a crate polls it that knows nothing of owned buffers: `h2`, on both sides of the node.
//!
//! Operations own their buffers and are never dropped before they complete (`net`), while the crate
//! polls with borrowed bytes: so plaintext is received into `inbox` and copied out, and what the crate
//! writes is gathered in `outbox` and sent at its flush, all frames of one turn in one TLS record. The
//! operations stand here and not in the crate's connection, which may be dropped at any time.
//! Bounds: one buffer each way, and one more on its way to the peer.
use super::{Buf, BufResult, Sock};
use crate::close::Reason;
use crate::limits;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// What is below: a socket, with or without TLS.
pub trait ByteStream: 'static {
    /// The socket.
    fn socket(&self) -> &Sock;

    /// Appends what the peer sent; `Ok(0)` is the end.
    fn read(&self, into: Buf) -> impl Future<Output = BufResult<usize>>;

    /// Sends all of `bytes`; the buffer comes back empty.
    fn write(&self, bytes: Buf) -> impl Future<Output = BufResult<()>>;

    /// Waits until there is something to read, holding no buffer. Returns at once when plaintext waits, or
    /// the end has been read already.
    fn readable(&self) -> impl Future<Output = io::Result<()>>;

    /// Says that nothing more will be sent. Reading goes on, for `limits::LINGER` at most.
    fn say_goodbye(&self) -> impl Future<Output = ()>;
}

/// Without TLS.
impl ByteStream for Sock {
    fn socket(&self) -> &Sock {
        self
    }

    async fn read(&self, mut into: Buf) -> BufResult<usize> {
        into.reserve(READ_BYTES_MIN);
        self.recv(into).await
    }

    async fn write(&self, bytes: Buf) -> BufResult<()> {
        self.send_all(bytes).await
    }

    async fn readable(&self) -> io::Result<()> {
        Self::readable(self).await
    }

    async fn say_goodbye(&self) {
        self.arm(limits::LINGER, Reason::Idle);
        self.shutdown_write();
    }
}

/// Room that a read without TLS asks for at least.
const READ_BYTES_MIN: usize = 4 * 1024;

/// Who looks at what passes.
pub trait Watch: 'static {
    /// Plaintext was received, and is not shown to the crate yet; it may be changed.
    ///
    /// # Errors
    /// The crate gets to see no more than is said, nor anything that follows.
    fn received(&mut self, bytes: &mut [u8]) -> Result<(), Stop>;

    /// The crate sends this.
    fn sent(&mut self, bytes: &[u8]);

    /// What was sent until now is put on its way to the kernel.
    fn leaves(&mut self) {}

    /// What was on its way has arrived there.
    fn left(&mut self) {}
}

/// The connection ends because of what the peer sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stop {
    /// Bytes at the front that the crate still sees.
    pub shown: usize,
}

/// A handle to the stream; the crate has one, its connection's task another.
pub struct Polled<S, W>(Rc<RefCell<State<S, W>>>);

impl<S, W> Clone for Polled<S, W> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S, W: fmt::Debug> fmt::Debug for Polled<S, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Polled").field(&self.0.borrow().watch).finish()
    }
}

type Read = Pin<Box<dyn Future<Output = BufResult<usize>>>>;
type Write = Pin<Box<dyn Future<Output = BufResult<()>>>>;

struct State<S, W> {
    wire: Rc<S>,
    watch: W,
    /// Whether `watch` has ended the connection.
    stopped: bool,
    /// How long a send may take, and what a longer one is.
    send_timeout: Duration,
    late: Reason,
    /// Whether requests are in work, so that more bytes are expected soon.
    busy: bool,
    inbox: Buf,
    reading: Option<Read>,
    outbox: Buf,
    writing: Option<Write>,
    /// Notified at the end of `writing`.
    written: Rc<Notify>,
    ended: bool,
}

impl<S: ByteStream, W: Watch> Polled<S, W> {
    /// Over `wire`. A send that takes longer than `send_timeout` kills the socket as `late`.
    pub fn new(wire: Rc<S>, watch: W, send_timeout: Duration, late: Reason) -> Self {
        Self(Rc::new(RefCell::new(State {
            wire,
            watch,
            stopped: false,
            send_timeout,
            late,
            busy: false,
            inbox: Buf::default(),
            reading: None,
            outbox: Buf::default(),
            writing: None,
            written: Rc::default(),
            ended: false,
        })))
    }

    /// What the watcher says.
    pub fn with_watch<R>(&self, ask: impl FnOnce(&mut W) -> R) -> R {
        ask(&mut self.0.borrow_mut().watch)
    }

    /// Whether the connection ends whatever is open: because the watcher stopped it, or because this node
    /// ended reading.
    pub fn must_close(&self) -> bool {
        let state = self.0.borrow();
        state.stopped || (state.ended && state.wire.socket().killed().is_some())
    }

    /// Says whether requests are in work.
    pub fn set_busy(&self, busy: bool) {
        self.0.borrow_mut().busy = busy;
    }

    /// Waits until nothing is on its way to the peer.
    pub async fn written(&self) {
        loop {
            let written = match &*self.0.borrow() {
                State { writing: Some(_), written, .. } => Rc::clone(written),
                State { writing: None, .. } => return,
            };
            written.notified().await;
        }
    }

    /// Leaves the peer little time to take what is still to be sent.
    pub fn hurry(&self) {
        let state = &mut *self.0.borrow_mut();
        state.send_timeout = limits::LINGER;
        if state.writing.is_some() {
            state.wire.socket().arm(limits::LINGER, state.late);
        }
    }

    /// Ends the connection once the crate has let go of it: says goodbye, throws away what the peer
    /// still sends within the bounds of `limits`, and returns when no operation is in flight. A peer
    /// that did not take what was sent gets a reset.
    pub async fn close(&self) {
        let wire = Rc::clone(&self.0.borrow().wire);
        let socket = wire.socket();
        if poll_fn(|context| self.0.borrow_mut().poll_written(context)).await.is_err() {
            socket.reset_on_close();
            socket.kill(self.0.borrow().late);
        } else {
            wire.say_goodbye().await;
        }
        let mut discarded = 0;
        loop {
            let received = poll_fn(|context| self.0.borrow_mut().poll_received(context)).await;
            let state = &mut *self.0.borrow_mut();
            discarded += std::mem::take(&mut state.inbox).len();
            if received.is_err() || state.ended || discarded > limits::DISCARDED_BODY_BYTES_MAX {
                return;
            }
        }
    }
}

impl<S: ByteStream, W: Watch> State<S, W> {
    /// Has plaintext for the crate in `inbox`, or knows the end. Pending for ever once the watcher has stopped the
    /// connection and what may still be shown has been: to the crate the peer is silent, and it gets to say GOAWAY.
    fn poll_inbox(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.inbox.is_empty() && !self.ended {
            if self.stopped {
                return Poll::Pending;
            }
            ready!(self.poll_received(context))?;
            if let Err(Stop { shown }) = self.watch.received(&mut self.inbox) {
                self.stopped = true;
                self.inbox.truncate(shown);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Receives what comes next into `inbox`, or knows the end.
    fn poll_received(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        let reading = self.reading.get_or_insert_with(|| {
            let (wire, busy) = (Rc::clone(&self.wire), self.busy);
            Box::pin(async move {
                // While nothing is in work it holds no buffer.
                if !busy && let Err(error) = wire.readable().await {
                    return (Err(error), Buf::default());
                }
                wire.read(Buf::take()).await
            })
        });
        let (result, inbox) = ready!(reading.as_mut().poll(context));
        self.reading = None;
        self.inbox = inbox;
        self.ended = result? == 0;
        Poll::Ready(Ok(()))
    }

    /// Has all that was sent on its way arrive at the kernel.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(writing) = &mut self.writing {
            let (result, _) = ready!(writing.as_mut().poll(context));
            self.writing = None;
            self.written.notify_waiters();
            self.wire.socket().disarm();
            result?;
            self.watch.left();
        }
        Poll::Ready(Ok(()))
    }

    /// Puts the outbox on its way; nothing else may be.
    fn send(&mut self) {
        let outbox = std::mem::take(&mut self.outbox);
        self.watch.leaves();
        let wire = Rc::clone(&self.wire);
        wire.socket().arm(self.send_timeout, self.late);
        self.writing = Some(Box::pin(async move { wire.write(outbox).await }));
    }
}

impl<S: ByteStream, W: Watch> AsyncRead for Polled<S, W> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let state = &mut *self.0.borrow_mut();
        ready!(state.poll_inbox(context))?;
        if state.ended && state.wire.socket().killed().is_some() {
            // The task that polls the crate looks at what has happened next, and says goodbye.
            return Poll::Pending;
        }
        let count = state.inbox.len().min(into.remaining());
        into.put_slice(&state.inbox[..count]);
        state.inbox.consume(count);
        if state.inbox.is_empty() {
            state.inbox = Buf::default();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream, W: Watch> AsyncWrite for Polled<S, W> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let state = &mut *self.0.borrow_mut();
        if state.outbox.len() >= limits::TLS_RECORD_BYTES_MAX {
            ready!(state.poll_written(context))?;
            state.send();
        }
        let count = bytes.len().min(limits::TLS_RECORD_BYTES_MAX - state.outbox.len());
        state.outbox.extend_from_slice(&bytes[..count]);
        state.watch.sent(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let state = &mut *self.0.borrow_mut();
        loop {
            ready!(state.poll_written(context))?;
            if state.outbox.is_empty() {
                return Poll::Ready(Ok(()));
            }
            state.send();
        }
    }

    /// The connection's task says goodbye, once nothing is in flight.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}
