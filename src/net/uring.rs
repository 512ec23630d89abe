//! The io_uring engine: one-shot operations over tokio-uring's ring.
//!
//! Only tokio-uring's runtime and its raw operations are used: its own sockets have no receive, cancel
//! or timeout, and panic when dropped late. An operation owns the descriptor and the memory that it
//! names, so nothing that is dropped early is unsound: the ring keeps both until the kernel is done.
//! No operation may complete more than once (tokio-uring panics), so nothing here is multishot.
//!
//! Sockets stay in blocking mode: the kernel waits for them, not we. What an operation was lent (a
//! counted descriptor, a buffer, an address) may be dropped while the ring is borrowed, so none of it
//! has a destructor that submits.
#![allow(unsafe_code, reason = "the kernel is handed raw pointers and descriptors")]
use super::buffer::{Buf, BufResult};
use super::engine;
use super::listen::{accept_now, no_address};
use super::socket::{ConnectError, recv_now, stream};
use crate::limits;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use rustix::net::{Shutdown, SocketFlags};
use socket2::{SockAddr, SockAddrStorage, SockRef};
use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio_uring::{InFlightOneshot, OneshotOutputTransform, UnsubmittedOneshot};

/// Whether this kernel lets this process use io_uring as we do.
///
/// One cancellation by descriptor is carried out, because a seccomp filter may let a ring be made and
/// refuse to enter it, and because kernels before 5.19 do not know this kind of cancellation.
pub(super) fn probe() -> io::Result<()> {
    let mut ring: IoUring = builder()?.build(limits::RING_ENTRIES)?;
    let entry = cancellation(ring.as_raw_fd());
    // SAFETY: the entry names no memory, and the ring's own descriptor outlives the call.
    unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let answer = ring.completion().next().map_or(-libc::EIO, |cqe| cqe.result());
    match answer {
        // There was nothing to cancel.
        0.. => Ok(()),
        error if error == -libc::ENOENT => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

/// A runtime with its ring, for the calling thread.
pub(super) fn runtime() -> io::Result<tokio_uring::Runtime> {
    let ring = builder()?;
    tokio_uring::Runtime::new(
        tokio_uring::builder().entries(limits::RING_ENTRIES).uring_builder(&ring),
    )
}

/// The flags that this kernel takes. `DEFER_TASKRUN` is left out: tokio-uring would wait for ever.
///
/// Kernels before 6.0 refuse the flags with EINVAL and do without. Each is tried with a ring of its
/// own, because tokio-uring leaks an epoll descriptor when its ring cannot be made.
fn builder() -> io::Result<io_uring::Builder> {
    let mut plain = IoUring::builder();
    plain.setup_cqsize(limits::RING_COMPLETIONS).setup_clamp();
    let mut flagged = plain.clone();
    flagged.setup_coop_taskrun().setup_single_issuer();
    match flagged.build(limits::RING_ENTRIES) {
        Ok(_) => Ok(flagged),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            plain.build(limits::RING_ENTRIES).map(|_| plain)
        }
        Err(error) => Err(error),
    }
}

/// An operation under way, with what it was lent.
type Op<D> = InFlightOneshot<D, Answer<D>>;

/// Gives the kernel's answer, and back what it was lent.
struct Answer<D>(PhantomData<D>);

impl<D> OneshotOutputTransform for Answer<D> {
    type Output = (io::Result<u32>, D);
    type StoredData = D;
    fn transform_oneshot_output(self, lent: D, cqe: cqueue::Entry) -> Self::Output {
        let answer = u32::try_from(cqe.result())
            .map_err(|_| io::Error::from_raw_os_error(cqe.result().wrapping_neg()));
        (answer, lent)
    }
}

/// Queues an operation; the kernel sees it once all tasks of the shard wait.
///
/// # Safety
/// Descriptor and memory that `entry` names are owned by `lent`, nobody else uses that memory, and it
/// does not move when `lent` does.
unsafe fn submit<D: Unpin + 'static>(lent: D, entry: squeue::Entry) -> Op<D> {
    UnsubmittedOneshot::new(lent, Answer(PhantomData), entry).submit()
}

/// Ends all operations that are pending on the descriptor.
fn cancellation(descriptor: i32) -> squeue::Entry {
    opcode::AsyncCancel2::new(types::CancelBuilder::fd(types::Fd(descriptor)).all()).build()
}

fn cancel(socket: &Rc<OwnedFd>) -> Op<Rc<OwnedFd>> {
    // SAFETY: the entry names no memory; the operation owns the descriptor, whose number therefore
    // cannot come to mean another file.
    unsafe { submit(Rc::clone(socket), cancellation(socket.as_raw_fd())) }
}

/// A connected socket. Every operation under way holds a count of its descriptor.
#[derive(Debug)]
pub(super) struct Socket {
    fd: Rc<OwnedFd>,
    /// How many receives may look at once, because there is probably something.
    looks: Cell<u8>,
}

impl Socket {
    /// One that has just been accepted: its client's first bytes came with it (`TCP_DEFER_ACCEPT`).
    fn accepted(fd: OwnedFd) -> Self {
        Self { fd: Rc::new(fd), looks: Cell::new(1) }
    }

    fn connected(fd: Rc<OwnedFd>) -> Self {
        Self { fd, looks: Cell::new(0) }
    }

    /// Takes at once what is probably there, else leaves the waiting to the ring. As an operation is not seen
    /// before all tasks wait, that spares a turn; only a few times in a row, so that all others have theirs.
    pub(super) async fn recv(&self, mut buf: Buf, bytes_max: usize) -> BufResult<usize> {
        if let Some(looks) = self.looks.get().checked_sub(1) {
            let room = buf.room_of(bytes_max);
            let (room_bytes, received) = (room.len(), recv_now(&*self.fd, room));
            match received {
                Ok(count) => {
                    buf.wrote(count);
                    self.looks.set(if count == room_bytes { looks } else { 0 });
                    return (Ok(count), buf);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.looks.set(0),
                Err(error) => return (Err(error), buf),
            }
        }
        loop {
            let room = buf.room_of(bytes_max);
            let (room_bytes, at) = (room.len(), room.as_mut_ptr());
            let length = u32::try_from(room_bytes).unwrap_or(u32::MAX);
            let entry = opcode::Recv::new(self.target(), at, length).build();
            // SAFETY: the operation owns the descriptor and the buffer, whose heap memory stays in
            // place and is initialised; `an_aborted_task_leaves_the_memory_to_the_kernel` drops one.
            let op = unsafe { submit((Rc::clone(&self.fd), buf), entry) };
            let (answer, (_, lent)) = op.await;
            buf = lent;
            match answer {
                Ok(count) => {
                    let count = count as usize;
                    buf.wrote(count);
                    if count == room_bytes {
                        self.looks.set(limits::RECEIVES_AT_ONCE);
                    }
                    return (Ok(count), buf);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buf),
            }
        }
    }

    /// Sends all of `buf`. `MSG_WAITALL` makes the kernel finish short sends by itself.
    pub(super) async fn send(&self, mut buf: Buf) -> BufResult<()> {
        while !buf.is_empty() {
            let length = u32::try_from(buf.len()).unwrap_or(u32::MAX);
            let entry = opcode::Send::new(self.target(), buf.as_ptr(), length)
                .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
                .build();
            // SAFETY: as in `recv`; the kernel only reads.
            let op = unsafe { submit((Rc::clone(&self.fd), buf), entry) };
            let (answer, (_, lent)) = op.await;
            buf = lent;
            match answer {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buf),
                Ok(count) => buf.consume(count as usize),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buf),
            }
        }
        (Ok(()), buf)
    }

    /// The receive that follows looks at once.
    pub(super) fn readable(&self) -> Readable {
        let entry =
            opcode::PollAdd::new(self.target(), libc::POLLIN.cast_unsigned().into()).build();
        self.looks.set(1);
        // SAFETY: the entry names no memory, and the operation owns the descriptor.
        Readable(unsafe { submit(Rc::clone(&self.fd), entry) })
    }

    fn target(&self) -> types::Fd {
        types::Fd(self.fd.as_raw_fd())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Waits until there is something to receive.
pub(super) struct Readable(Op<Rc<OwnedFd>>);

impl Readable {
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll(context).map(|(answer, _)| answer.map(drop))
    }
}

/// Whoever dropped an operation's future left it pending, with its descriptor and its buffer, until the
/// other side speaks. Shutting down completes it, which frees both.
impl Drop for Socket {
    fn drop(&mut self) {
        if Rc::strong_count(&self.fd) > 1 {
            let _ = rustix::net::shutdown(&*self.fd, Shutdown::Both);
        }
    }
}

/// Connects, and cancels the operation when it takes too long: shutting down does not end it.
pub(super) async fn connect(to: SocketAddr, within: Duration) -> Result<Socket, ConnectError> {
    let socket = Rc::new(OwnedFd::from(stream(to)?));
    let address = Rc::new(SockAddr::from(to));
    let entry =
        opcode::Connect::new(types::Fd(socket.as_raw_fd()), address.as_ptr().cast(), address.len())
            .build();
    // Declared first and so dropped last, when the caller drops this future.
    let mut unfinished = CancelOnDrop(Some(Rc::clone(&socket)));
    // SAFETY: the operation owns the descriptor and shares the address, which nobody writes to.
    let mut op = unsafe { submit((Rc::clone(&socket), address), entry) };
    let (answer, _) = tokio::select! {
        biased;
        done = &mut op => done,
        () = tokio::time::sleep(within) => {
            cancel(&socket).await.0.ok();
            op.await
        }
    };
    unfinished.0 = None;
    match answer {
        // It may also have been connected just before the cancellation.
        Ok(_) => Ok(Socket::connected(socket)),
        Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => Err(ConnectError::Timeout),
        Err(error) => Err(error.into()),
    }
}

/// Ends what is pending on a socket when the future that waits for it is dropped.
struct CancelOnDrop(Option<Rc<OwnedFd>>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(socket) = &self.0
            && engine::is_running()
        {
            // Not awaited: the ring owns it.
            drop(cancel(socket));
        }
    }
}

/// A listening socket.
pub(super) struct Listener {
    socket: Rc<OwnedFd>,
    /// The cancellation that [`Listener::stop`] began, for the accept to see through to its end.
    cancelling: Cell<Option<Op<Rc<OwnedFd>>>>,
}

/// Where the kernel writes who connected.
struct Peer {
    address: SockAddrStorage,
    length: libc::socklen_t,
}

impl Listener {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        socket2::SockRef::from(&socket).set_nonblocking(false)?;
        Ok(Self { socket: Rc::new(socket), cancelling: Cell::new(None) })
    }

    pub(super) async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        let address = SockAddrStorage::zeroed();
        let length = address.size_of();
        // A `Vec` for its one element, for the reason that `Buf` has.
        let mut lent = vec![Peer { address, length }];
        let peer = lent.as_mut_ptr();
        // SAFETY: `peer` points to the element; no reference to it is made while the kernel writes.
        let length = unsafe { &raw mut (*peer).length };
        let listener = types::Fd(self.socket.as_raw_fd());
        let entry =
            opcode::Accept::new(listener, peer.cast(), length).flags(libc::SOCK_CLOEXEC).build();
        // SAFETY: the operation owns the descriptor and the heap memory of `lent`.
        let op = unsafe { submit((Rc::clone(&self.socket), lent), entry) };
        let (answer, (_, mut lent)) = op.await;
        if let Some(cancelling) = self.cancelling.take() {
            cancelling.await.0.ok();
        }
        // SAFETY: the kernel has just made this descriptor and nobody else knows of it.
        let socket = unsafe { OwnedFd::from_raw_fd(answer?.cast_signed()) };
        let peer = lent.pop().and_then(|Peer { address, length }| {
            // SAFETY: the kernel wrote an address of this length, in the size that it was told.
            unsafe { SockAddr::new(address, length) }.as_socket()
        });
        Ok((Socket::accepted(socket), peer.ok_or_else(no_address)?))
    }

    pub(super) fn accept_waiting(&self) -> io::Result<Option<(Socket, SocketAddr)>> {
        SockRef::from(&*self.socket).set_nonblocking(true)?;
        let accepted = accept_now(&*self.socket, SocketFlags::CLOEXEC)?;
        Ok(accepted.map(|(socket, peer)| (Socket::accepted(socket), peer)))
    }

    /// Cancels a pending accept. Once that has completed, nothing but this holds the socket.
    pub(super) fn stop(&self) {
        if Rc::strong_count(&self.socket) > 1 && engine::is_running() {
            self.cancelling.set(Some(cancel(&self.socket)));
        }
    }
}

/// A dropped accept would keep the socket in its group, and with it connections that nobody accepts.
impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}
