//! The epoll engine: tokio's readiness, for kernels and containers that refuse io_uring.
//!
//! Sockets are in non-blocking mode. An operation that is dropped has done nothing or all of its work,
//! but callers keep to the rules of the other engine.
use super::buffer::{Buf, BufResult};
use super::listen::{accept_now, no_address};
use super::socket::{ConnectError, recv_now, send_now, stream};
use rustix::net::{RecvFlags, SocketFlags};
use socket2::{SockAddr, SockRef};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::timeout;

/// An event loop for the calling thread.
pub(super) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// A socket that the event loop reports on.
fn watched(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(unsafe_code, reason = "tokio asks its caller to vouch for the descriptor")]
    // SAFETY: the descriptor is owned, and nothing here ever replaces or closes it inside `AsyncFd`.
    let watched = unsafe { AsyncFd::register(socket) };
    Ok(watched?)
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    fd: AsyncFd<OwnedFd>,
    /// The last receive filled its room, so that there is probably more.
    has_more: Cell<bool>,
}

impl Socket {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { fd: watched(socket)?, has_more: Cell::new(false) })
    }

    /// Lets the other tasks of the shard go first when there is more than the last receive took. Else
    /// who sends faster than it is served would have 128 turns in a row (tokio's budget), and each may
    /// be hundreds of pipelined requests.
    pub(super) async fn recv(&self, mut buf: Buf, bytes_max: usize) -> BufResult<usize> {
        if self.has_more.take() {
            tokio::task::yield_now().await;
        }
        let room = buf.room_of(bytes_max);
        let room_bytes = room.len();
        let receive = |socket: &OwnedFd| recv_now(socket, room);
        let received = self.fd.async_io(Interest::READABLE, receive).await;
        if let Ok(count) = received {
            self.has_more.set(count == room_bytes);
            buf.wrote(count);
        }
        (received, buf)
    }

    pub(super) async fn send(&self, mut buf: Buf) -> BufResult<()> {
        while !buf.is_empty() {
            match self.fd.async_io(Interest::WRITABLE, |socket| send_now(socket, &buf)).await {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buf),
                Ok(count) => buf.consume(count),
                Err(error) => return (Err(error), buf),
            }
        }
        (Ok(()), buf)
    }

    /// Looks before it believes: readiness is remembered until an operation would have blocked.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.fd.poll_read_ready(context))?;
            if let Ok(seen) = ready.try_io(peek) {
                return Poll::Ready(seen.map(drop));
            }
        }
    }
}

fn peek(socket: impl AsFd) -> io::Result<usize> {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let seen = rustix::io::retry_on_intr(|| rustix::net::recv(&socket, &mut [0; 1], flags))?;
    Ok(seen.1)
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

pub(super) async fn connect(to: SocketAddr, within: Duration) -> Result<Socket, ConnectError> {
    let socket = stream(to)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::from(to)) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    // Registered only now: epoll reports a socket that does not connect as hung up.
    let socket = Socket::new(socket.into())?;
    let connected = socket.fd.async_io(Interest::WRITABLE, is_connected);
    timeout(within, connected).await.map_err(|_| ConnectError::Timeout)??;
    Ok(socket)
}

fn is_connected(socket: &OwnedFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error),
    }
}

/// A listening socket.
pub(super) struct Listener {
    socket: AsyncFd<OwnedFd>,
    stopping: Notify,
}

impl Listener {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        SockRef::from(&socket).set_nonblocking(true)?;
        Ok(Self { socket: watched(socket)?, stopping: Notify::new() })
    }

    pub(super) async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        let accepting = self.socket.async_io(Interest::READABLE, |listener| {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            Ok(rustix::net::acceptfrom_with(listener, flags)?)
        });
        let (socket, peer) = tokio::select! {
            biased;
            accepted = accepting => accepted?,
            () = self.stopping.notified() => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        Ok((Socket::new(socket)?, peer.ok_or_else(no_address)?))
    }

    pub(super) fn accept_waiting(&self) -> io::Result<Option<(Socket, SocketAddr)>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accepted = accept_now(self.socket.get_ref(), flags)?;
        accepted.map(|(socket, peer)| Ok((Socket::new(socket)?, peer))).transpose()
    }

    /// Ends the accepts that are pending now.
    pub(super) fn stop(&self) {
        self.stopping.notify_waiters();
    }
}
