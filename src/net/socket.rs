//! A connected TCP socket over either engine.
use super::buffer::{Buf, BufResult};
use super::deadline::{End, Slot};
use super::engine::{self, Engine};
use super::{epoll, tcp_info, uring};
use crate::close::Reason;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::cell::Cell;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

/// A connected socket. Clones are handles to the same one; it closes when the last is dropped.
///
/// Invariant: no future of an operation is dropped before it completes. What must end early is ended
/// by [`Sock::kill`], after which every pending operation completes.
#[derive(Clone)]
pub struct Sock(Rc<Inner>);

impl Sock {
    /// A socket of this shard.
    pub(super) fn new(io: Io, peer: SocketAddr) -> io::Result<Self> {
        let deadlines = engine::current()?.deadlines;
        Ok(Self(Rc::new_cyclic(|inner| Inner {
            io,
            peer,
            killed: Cell::new(None),
            resets: Cell::new(false),
            reading: deadlines.slot(inner.clone()),
            whole: deadlines.slot(inner.clone()),
        })))
    }

    /// Appends received bytes to the spare room of `buf` (which must have some); `Ok(0)` is the end of
    /// the stream, or a [`Sock::kill`].
    pub async fn recv(&self, buf: Buf) -> BufResult<usize> {
        self.recv_at_most(buf, usize::MAX).await
    }

    /// As [`Sock::recv`], but leaves what is over `bytes_max` in the kernel.
    pub async fn recv_at_most(&self, buf: Buf, bytes_max: usize) -> BufResult<usize> {
        debug_assert!(buf.spare() > 0, "a receive without room looks like the end of the stream");
        if buf.spare() == 0 {
            return (Err(io::ErrorKind::InvalidInput.into()), buf);
        }
        if self.killed().is_some() {
            return (Ok(0), buf);
        }
        match &self.0.io {
            Io::Uring(socket) => socket.recv(buf, bytes_max).await,
            Io::Epoll(socket) => socket.recv(buf, bytes_max).await,
        }
    }

    /// Sends all unconsumed bytes; on success the buffer comes back empty.
    ///
    /// Tries at once and leaves only the rest to the engine: on io_uring an operation is not seen before
    /// all tasks wait, so in a burst the first answer would leave after the last was computed.
    pub async fn send_all(&self, mut buf: Buf) -> BufResult<()> {
        if buf.is_empty() {
            return (Ok(()), buf);
        }
        match send_now(self.0.io.as_fd(), &buf) {
            Ok(count) => buf.consume(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return (Err(error), buf),
        }
        if buf.is_empty() {
            return (Ok(()), buf);
        }
        match &self.0.io {
            Io::Uring(socket) => socket.send(buf).await,
            Io::Epoll(socket) => socket.send(buf).await,
        }
    }

    /// Waits until there is something to receive (bytes, end of stream, error), holding no buffer. It
    /// may be kept beside other operations on the socket; of several, one task polls all.
    ///
    /// An error of the connection may be answered here instead of by the receive that follows.
    pub fn readable(&self) -> Readable {
        match &self.0.io {
            Io::Uring(socket) => Readable::Uring(socket.readable()),
            Io::Epoll(_) => Readable::Epoll(self.clone()),
        }
    }

    /// Ends both directions now; pending and later operations complete at once. The first reason stays.
    pub fn kill(&self, why: Reason) {
        self.0.end(End::Both(why));
    }

    /// Ends reading alone, so that an answer can still be sent: a pending receive completes with
    /// `Ok(0)`. The first reason stays.
    pub fn stop_reading(&self, why: Reason) {
        self.0.end(End::Reading(why));
    }

    /// Why this node ended it, if it did.
    pub fn killed(&self) -> Option<Reason> {
        self.0.killed.get()
    }

    /// Kills the socket with `why` unless disarmed or armed anew within `after` (late by at most one
    /// `limits::DEADLINE_TICK`).
    pub fn arm(&self, after: Duration, why: Reason) {
        self.0.whole.arm(after, End::Both(why));
    }

    /// A second deadline, which ends reading alone as [`Sock::stop_reading`] does, so that an answer can
    /// still be sent. For receives: it never moves the deadline of a send that is under way.
    pub fn arm_reading(&self, after: Duration, why: Reason) {
        self.0.reading.arm(after, End::Reading(why));
    }

    /// Moves the reading deadline to `after` from now, if there is one: bytes went the other way.
    pub fn extend_reading(&self, after: Duration) {
        self.0.reading.extend(after);
    }

    /// Takes the reading deadline away.
    pub fn disarm_reading(&self) {
        self.0.reading.disarm();
    }

    /// Takes the deadline of [`Sock::arm`] away.
    pub fn disarm(&self) {
        self.0.whole.disarm();
    }

    /// Says that no more bytes will be sent (FIN).
    pub fn shutdown_write(&self) {
        // It fails only on a connection that is gone already, as the next operation will say.
        let _ = rustix::net::shutdown(self.0.io.as_fd(), Shutdown::Write);
    }

    /// Makes the coming close, or a kill before it, send RST instead of FIN (`SO_LINGER` 0).
    pub fn reset_on_close(&self) {
        self.reset_on_kill(true);
        // The kernel knows the option; should it refuse, the client gets FIN.
        let _ = SockRef::from(&self.0.io).set_linger(Some(Duration::ZERO));
    }

    /// Whether a kill sends RST instead of FIN: for as long as the other side would take what it has got for
    /// whole, were its connection closed properly.
    pub fn reset_on_kill(&self, resets: bool) {
        self.0.resets.set(resets);
    }

    /// Whether an idle connection cannot be used again: closed, failed, or with bytes nobody asked
    /// for. One `recv(MSG_PEEK | MSG_DONTWAIT)`.
    pub fn is_stale(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let seen = rustix::net::recv(self.0.io.as_fd(), &mut [0; 1], flags);
        !matches!(seen, Err(rustix::io::Errno::AGAIN))
    }

    /// Bytes that the other side has acknowledged since it connected; none on kernels that do not count
    /// them (before 4.1). What a send was given may wait in the kernel for long, and then leaves in a
    /// burst: this alone says how fast the other side takes it. One system call.
    pub fn acknowledged_bytes(&self) -> Option<u64> {
        tcp_info::acknowledged_bytes(self.0.io.as_fd())
    }

    /// The address of the other side, as accepted from or connected to.
    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// The address of this side.
    ///
    /// # Errors
    /// When the kernel does not know it any more.
    pub fn local(&self) -> io::Result<SocketAddr> {
        let address = SockRef::from(&self.0.io).local_addr()?;
        address.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }
}

#[cfg(test)]
impl AsFd for Sock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.io.as_fd()
    }
}

impl fmt::Debug for Sock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sock")
            .field("fd", &self.0.io.as_fd())
            .field("peer", &self.0.peer)
            .field("killed", &self.0.killed.get())
            .finish_non_exhaustive()
    }
}

/// Waits until there is something to receive. As every operation it is not dropped before it is done.
pub enum Readable {
    /// On io_uring.
    #[expect(private_interfaces, reason = "nobody but this module looks into it")]
    Uring(uring::Readable),
    /// On epoll.
    Epoll(Sock),
}

impl Future for Readable {
    type Output = io::Result<()>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Uring(readable) => readable.poll(context),
            Self::Epoll(socket) => match &socket.0.io {
                Io::Epoll(socket) => socket.poll_readable(context),
                Io::Uring(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
            },
        }
    }
}

impl fmt::Debug for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readable")
    }
}

/// What the handles of a socket share.
#[derive(Debug)]
pub(super) struct Inner {
    io: Io,
    peer: SocketAddr,
    killed: Cell<Option<Reason>>,
    /// Whether a kill resets the connection.
    resets: Cell<bool>,
    /// The deadline of a receive.
    reading: Slot,
    /// The deadline of everything else.
    whole: Slot,
}

impl Inner {
    pub(super) fn end(&self, end: End) {
        let (End::Both(why) | End::Reading(why)) = end;
        if self.killed.get().is_none() {
            self.killed.set(Some(why));
        }
        let socket = self.io.as_fd();
        // connect(2): "may dissolve the association by connecting to an address with the sa_family member of
        // sockaddr set to AF_UNSPEC". TCP then sends RST, and whatever is pending completes.
        let resets = self.resets.get() && matches!(end, End::Both(_));
        if resets && rustix::net::connect_unspec(socket).is_ok() {
            return;
        }
        let how = match end {
            End::Both(_) => Shutdown::Both,
            End::Reading(_) => Shutdown::Read,
        };
        // It fails only on a connection that is gone already, where nothing stays pending.
        let _ = rustix::net::shutdown(socket, how);
    }
}

/// A socket as its engine has it.
#[derive(Debug)]
pub(super) enum Io {
    Uring(uring::Socket),
    Epoll(epoll::Socket),
}

impl AsFd for Io {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Uring(socket) => socket.as_fd(),
            Self::Epoll(socket) => socket.as_fd(),
        }
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

/// Connects with `TCP_NODELAY`, giving up after `within` (late by at most one tick). Alone among operations it
/// may be dropped before it completes: that ends it.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(to: SocketAddr, within: Duration) -> Result<Sock, ConnectError> {
    let io = match engine::current()?.engine {
        Engine::IoUring => Io::Uring(uring::connect(to, within).await?),
        Engine::Epoll => Io::Epoll(epoll::connect(to, within).await?),
    };
    Ok(Sock::new(io, to)?)
}

/// A socket to connect to `to` with.
pub(super) fn stream(to: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// Receives what is there without waiting.
pub(super) fn recv_now(socket: impl AsFd, room: &mut [u8]) -> io::Result<usize> {
    let receive = || rustix::net::recv(&socket, &mut *room, RecvFlags::DONTWAIT);
    Ok(rustix::io::retry_on_intr(receive)?.1)
}

/// Sends what fits without waiting.
pub(super) fn send_now(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::io::retry_on_intr(|| rustix::net::send(&socket, bytes, flags))?)
}
