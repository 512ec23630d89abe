//! A client's byte stream as the `h2` crate polls it.
//!
//! Operations own their buffers and are never dropped before they complete (`net`), while the crate
//! polls with borrowed bytes: so plaintext is received into `inbox` and copied out, and what the crate
//! writes is gathered in `outbox` and sent at its flush, all frames of one turn in one TLS record. The
//! operations stand here and not in the crate's connection, which may be dropped at any time.
//! Bounds: one buffer each way, and one more on its way to the client; frames are counted by
//! [`Meter`].
use crate::close::Reason;
use crate::http::h2::frames::{Flood, Meter};
use crate::limits;
use crate::net::Buf;
use crate::observe::count;
use crate::shard::wire::Wire;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// A handle to the stream; the crate has one, its connection's task another.
#[derive(Clone)]
pub(super) struct Transport(Rc<RefCell<State>>);

type Read = Pin<Box<dyn Future<Output = (io::Result<usize>, Buf)>>>;
type Write = Pin<Box<dyn Future<Output = (io::Result<()>, Buf)>>>;

struct State {
    wire: Rc<Wire>,
    listener: std::sync::Arc<count::Listener>,
    /// How long a send may take.
    send_timeout: Duration,
    began: Instant,
    meter: Meter,
    flood: Option<Flood>,
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

impl Transport {
    pub(super) fn new(
        wire: Rc<Wire>,
        listener: std::sync::Arc<count::Listener>,
        send_timeout: Duration,
    ) -> Self {
        Self(Rc::new(RefCell::new(State {
            wire,
            listener,
            send_timeout,
            began: Instant::now(),
            meter: Meter::default(),
            flood: None,
            busy: false,
            inbox: Buf::default(),
            reading: None,
            outbox: Buf::default(),
            writing: None,
            written: Rc::default(),
            ended: false,
        })))
    }

    /// The kind of frame that the client sends too many of.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.0.borrow().flood
    }

    /// Whether the connection ends whatever is open: because of a flood, or because this node ended
    /// reading.
    pub(super) fn must_close(&self) -> bool {
        let state = self.0.borrow();
        state.flood.is_some() || (state.ended && state.wire.socket().killed().is_some())
    }

    /// Says whether requests are in work.
    pub(super) fn set_busy(&self, busy: bool) {
        self.0.borrow_mut().busy = busy;
    }

    /// A request was served.
    pub(super) fn served(&self) {
        self.0.borrow_mut().meter.served();
    }

    /// Waits until nothing is on its way to the client.
    pub(super) async fn written(&self) {
        loop {
            let written = match &*self.0.borrow() {
                State { writing: Some(_), written, .. } => Rc::clone(written),
                State { writing: None, .. } => return,
            };
            written.notified().await;
        }
    }

    /// Leaves the client little time to take what is still to be sent.
    pub(super) fn hurry(&self) {
        let state = &mut *self.0.borrow_mut();
        state.send_timeout = limits::LINGER;
        if state.writing.is_some() {
            state.wire.socket().arm(limits::LINGER, Reason::ClientTimeout);
        }
    }

    /// Ends the connection once the crate has let go of it: says goodbye, throws away what the client
    /// still sends within the bounds of `limits`, and returns when no operation is in flight. A client
    /// that did not take what was sent gets a reset.
    pub(super) async fn close(&self) {
        let wire = Rc::clone(&self.0.borrow().wire);
        let socket = wire.socket();
        if poll_fn(|context| self.0.borrow_mut().poll_written(context)).await.is_err() {
            socket.reset_on_close();
            socket.kill(Reason::ClientClosed);
        } else {
            wire.say_goodbye().await;
        }
        let mut discarded = 0;
        loop {
            let received = poll_fn(|context| self.0.borrow_mut().poll_inbox(context)).await;
            let state = &mut *self.0.borrow_mut();
            discarded += std::mem::take(&mut state.inbox).len();
            if received.is_err() || state.ended || discarded > limits::DISCARDED_BODY_BYTES_MAX {
                return;
            }
        }
    }
}

impl State {
    /// Has plaintext in `inbox`, or knows the end.
    fn poll_inbox(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.inbox.is_empty() && !self.ended {
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
            match result? {
                0 => self.ended = true,
                count => {
                    self.listener.received_bytes.add(count as u64);
                    self.count_frames()?;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing of what goes beyond the allowance is shown to the crate.
    fn count_frames(&mut self) -> io::Result<()> {
        self.meter.received(&self.inbox, self.began.elapsed()).map_err(|flood| {
            self.flood = Some(flood);
            self.inbox = Buf::default();
            io::ErrorKind::QuotaExceeded.into()
        })
    }

    /// Has all that was sent on its way arrive at the kernel.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(writing) = &mut self.writing {
            let (result, _) = ready!(writing.as_mut().poll(context));
            self.writing = None;
            self.written.notify_waiters();
            self.wire.socket().disarm();
            result?;
        }
        Poll::Ready(Ok(()))
    }

    /// Puts the outbox on its way; nothing else may be.
    fn send(&mut self) {
        let outbox = std::mem::take(&mut self.outbox);
        self.listener.sent_bytes.add(outbox.len() as u64);
        self.meter.sent(outbox.len());
        let wire = Rc::clone(&self.wire);
        wire.socket().arm(self.send_timeout, Reason::ClientTimeout);
        self.writing = Some(Box::pin(async move { wire.write(outbox).await }));
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let state = &mut *self.0.borrow_mut();
        if state.flood.is_some() {
            // The crate gets to say GOAWAY: to it, the client is silent from now on.
            return Poll::Pending;
        }
        match ready!(state.poll_inbox(context)) {
            Ok(()) => {}
            Err(_) if state.flood.is_some() => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
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

impl AsyncWrite for Transport {
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
