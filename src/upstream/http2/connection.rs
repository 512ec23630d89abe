//! One HTTP/2 connection to a target, and the places that its streams take.
//!
//! A task of its own makes it and drives the `h2` crate ([`run`]); requests hold a [`Place`] each, through
//! which they open their stream. No request is sent before the target's SETTINGS have come: they say how
//! many streams it takes, and that it speaks HTTP/2 at all.
use super::keepalive::{Act, Keepalive, Signs};
use super::{Making, Pool};
use crate::close::Reason;
use crate::http::h2::empty_data::EmptyData;
use crate::limits;
use crate::net::polled::{Polled, Stop, Watch};
use crate::net::{self, Sock};
use crate::observe::count;
use crate::upstream::connect;
use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A connection as the requests of a shard share it.
pub(super) struct Connection {
    pub(super) target: SocketAddr,
    socket: Sock,
    transport: Transport,
    /// Opens streams; gone once it takes no more of them.
    send: RefCell<Option<SendRequest<Bytes>>>,
    pings: RefCell<Option<PingPong>>,
    keepalive: RefCell<Keepalive>,
    /// Places taken.
    open: Cell<usize>,
    /// When the first of them was taken, or the last given back.
    since: Cell<Instant>,
    /// When part of an answer arrived.
    answered: Cell<Instant>,
}

type Transport = Polled<Sock, Heard>;
type H2 = client::Connection<Transport, Bytes>;

/// What the target says, as it comes.
#[derive(Debug)]
pub(super) struct Heard {
    began: Instant,
    last: Instant,
    empty_data: EmptyData,
}

impl Heard {
    fn new(now: Instant) -> Self {
        Self { began: now, last: now, empty_data: EmptyData::default() }
    }
}

impl Watch for Heard {
    fn received(&mut self, bytes: &mut [u8]) -> Result<(), Stop> {
        self.last = Instant::now();
        self.empty_data.received(bytes, self.last.duration_since(self.began));
        Ok(())
    }

    fn sent(&mut self, _: &[u8]) {}
}

/// Connects to `target`, and drives the connection to its end.
pub(super) async fn run(
    pool: Rc<Pool>,
    target: SocketAddr,
    making: Making,
    counts: Arc<count::TargetGroup>,
) {
    let socket = match net::connect(target, pool.connect_timeout).await {
        Ok(socket) => socket,
        Err(error) => {
            // At debug: while a target is down, requests repeat this as often as they come.
            tracing::debug!(%target, %error, "cannot connect to a target");
            return making.failed(connect::reason(&error));
        }
    };
    counts.connections.add(1);
    let send_timeout = limits::PING_AFTER + limits::PING_WITHIN;
    let heard = Heard::new(Instant::now());
    let transport =
        Transport::new(Rc::new(socket.clone()), heard, send_timeout, Reason::TargetTimeout);
    transport.set_busy(true);
    socket.arm_reading(pool.connect_timeout, Reason::ConnectTimeout);
    match settings().handshake(transport.clone()).await {
        Ok((send, h2)) => {
            let connection = Rc::new(Connection::new(target, socket, transport.clone(), send));
            drive(h2, &connection, &pool, making).await;
            pool.forget(&connection);
        }
        Err(_) => making.failed(Reason::ConnectRefused),
    }
    transport.close().await;
}

/// Drives the crate until the connection ends, and lets requests in once the target's SETTINGS have come.
async fn drive(mut h2: H2, connection: &Rc<Connection>, pool: &Pool, making: Making) {
    *connection.pings.borrow_mut() = h2.ping_pong();
    let mut making = Some(making);
    let mut streams_max = 0;
    let ended = poll_fn(|context| {
        let polled = Pin::new(&mut h2).poll(context);
        let before = std::mem::replace(&mut streams_max, connection.streams_max());
        if streams_max > 0
            && let Some(making) = making.take()
        {
            connection.socket.disarm_reading();
            connection.transport.set_busy(false);
            making.made(connection);
        } else if streams_max > before {
            pool.has_grown(connection.target);
        }
        let must_close = polled.is_pending() && connection.transport.must_close();
        if must_close { Poll::Ready(Ok(())) } else { polled }
    })
    .await;
    let malformed = ended.is_err_and(|error| error.is_library());
    if malformed {
        tracing::debug!(target = %connection.target, "a target does not speak HTTP/2");
    }
    if let Some(making) = making {
        // Nothing was sent, so the next target may be tried.
        making.failed(match (connection.socket.killed(), malformed) {
            (Some(reason), _) => reason,
            (None, true) => Reason::TargetMalformed,
            (None, false) => Reason::ConnectRefused,
        });
    }
}

/// What the node announces, and what the crate keeps for a target at most.
fn settings() -> client::Builder {
    let mut settings = client::Builder::new();
    settings
        .enable_push(false)
        // None before the target has said how many.
        .initial_max_send_streams(0)
        .initial_window_size(limits::H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::H2_TARGET_WINDOW_BYTES)
        .max_header_list_size(limits::H2_HEADER_LIST_BYTES_MAX)
        .max_send_buffer_size(limits::H2_SEND_BUFFER_BYTES_MAX);
    settings
}

impl Connection {
    fn new(
        target: SocketAddr,
        socket: Sock,
        transport: Transport,
        send: SendRequest<Bytes>,
    ) -> Self {
        let now = Instant::now();
        Self {
            target,
            socket,
            transport,
            send: RefCell::new(Some(send)),
            pings: RefCell::default(),
            keepalive: RefCell::default(),
            open: Cell::new(0),
            since: Cell::new(now),
            answered: Cell::new(now),
        }
    }

    /// Streams that the target takes at once; none before its SETTINGS.
    fn streams_max(&self) -> usize {
        let of_target = self.send.borrow().as_ref().map(SendRequest::current_max_send_streams);
        of_target.unwrap_or_default().min(limits::H2_TARGET_STREAMS_MAX)
    }

    /// Whether it takes new streams, now or when others have ended: the target has not said GOAWAY, and
    /// the connection has not failed.
    pub(super) fn is_usable(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let send = &mut *self.send.borrow_mut();
        let usable = send.as_mut().is_some_and(|send| {
            matches!(send.poll_ready(&mut context), Poll::Ready(Ok(())))
                && self.socket.killed().is_none()
        });
        if !usable {
            *send = None;
        }
        usable
    }

    /// Whether a stream may be opened.
    pub(super) fn has_room(&self) -> bool {
        self.is_usable() && self.open.get() < self.streams_max()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.open.get() == 0
    }

    /// When its last stream ended, while none is open.
    pub(super) fn idle_since(&self) -> Instant {
        self.since.get()
    }

    /// Takes no more streams; the crate says goodbye once the last one has ended.
    pub(super) fn retire(&self) {
        *self.send.borrow_mut() = None;
    }

    /// Looks whether the target is still there. False when it is not: the connection ends then.
    pub(super) fn keep_alive(&self, now: Instant) -> bool {
        let signs = Signs {
            waiting_since: self.since.get(),
            heard: self.transport.with_watch(|heard| heard.last),
            answered: self.answered.get(),
        };
        match self.keepalive.borrow_mut().judge(signs, now) {
            Act::Nothing => true,
            Act::Ping => {
                self.ping();
                true
            }
            Act::End => {
                tracing::debug!(target = %self.target, "a target does not answer PING");
                self.socket.kill(Reason::TargetTimeout);
                false
            }
        }
    }

    fn ping(&self) {
        if let Some(pings) = &mut *self.pings.borrow_mut() {
            // The answer to the last one makes room for this one.
            let _ = pings.poll_pong(&mut Context::from_waker(Waker::noop()));
            // It fails only on a connection that is gone, which its streams see.
            let _ = pings.send_ping(Ping::opaque());
        }
    }

    /// A stream waited in vain for as long as it may. Where nothing at all came meanwhile, nobody else
    /// should begin on this connection; whose stream is open may have waited for a moment only.
    fn note_timeout(&self, waited_since: Instant) {
        if self.transport.with_watch(|heard| heard.last) <= waited_since {
            self.retire();
        }
    }
}

/// The place of one stream; given back on drop.
pub struct Place {
    connection: Rc<Connection>,
    pool: Rc<Pool>,
}

impl Place {
    pub(super) fn new(connection: &Rc<Connection>, pool: &Rc<Pool>) -> Self {
        if connection.open.replace(connection.open.get() + 1) == 0 {
            connection.since.set(Instant::now());
            connection.transport.set_busy(true);
        }
        Self { connection: Rc::clone(connection), pool: Rc::clone(pool) }
    }

    /// The target's address.
    pub fn target(&self) -> SocketAddr {
        self.connection.target
    }

    /// Opens the stream; `ended` says that no content follows.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn open(
        &self,
        request: http::Request<()>,
        ended: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Lost> {
        // A handle of its own: each may have one stream that waits for its turn.
        let send = self.connection.send.borrow().clone();
        let opened = send.map(|mut send| send.send_request(request, ended));
        match opened {
            Some(Ok(opened)) => Ok(opened),
            Some(Err(error)) => Err(Lost { unprocessed: true, ..self.lost(&error) }),
            None => {
                let reason = self.connection.socket.killed().unwrap_or(Reason::TargetClosed);
                Err(Lost { reason, unprocessed: true, code: None })
            }
        }
    }

    /// Waits until nothing is on its way to the target.
    pub async fn written(&self) {
        self.connection.transport.written().await;
    }

    /// Part of an answer arrived.
    pub fn answered(&self) {
        self.connection.answered.set(Instant::now());
    }

    /// The stream has waited since then, as long as it may.
    pub fn timed_out(&self, waited_since: Instant) {
        self.connection.note_timeout(waited_since);
    }

    /// What an error of the stream means.
    pub fn lost(&self, error: &h2::Error) -> Lost {
        let killed = self.connection.socket.killed();
        let (by_target, code) = (error.is_remote(), error.reason());
        // RFC 9113, section 8.7: REFUSED_STREAM and GOAWAY with a lower stream "guarantee that a request
        // has not been processed". The crate reports GOAWAY to no other streams.
        let refused = error.is_reset() && code == Some(h2::Reason::REFUSED_STREAM);
        Lost {
            reason: match killed {
                Some(reason) => reason,
                None if error.is_library() => Reason::TargetMalformed,
                None => Reason::TargetClosed,
            },
            unprocessed: by_target && (refused || error.is_go_away()),
            code: code.filter(|_| by_target && error.is_reset()),
        }
    }

    /// Gives the place back, of a stream that its target turned away. Whoever tries again does so on another
    /// connection, and must not keep others from this one while it waits.
    pub fn turned_away(self) -> Avoided {
        Avoided(Rc::downgrade(&self.connection))
    }
}

/// A connection that turned a stream away.
pub struct Avoided(Weak<Connection>);

impl Avoided {
    pub(super) fn is(&self, connection: &Rc<Connection>) -> bool {
        std::ptr::eq(self.0.as_ptr(), Rc::as_ptr(connection))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.open.set(connection.open.get() - 1);
        if connection.is_idle() {
            connection.since.set(Instant::now());
            connection.transport.set_busy(false);
        }
        self.pool.freed(connection.target);
    }
}

/// Why a stream has no whole answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lost {
    /// What the client is told.
    pub reason: Reason,
    /// Whether the target has certainly done nothing with the request.
    pub unprocessed: bool,
    /// What the target reset the stream with.
    pub code: Option<h2::Reason>,
}
