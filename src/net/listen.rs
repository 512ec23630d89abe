//! Listening sockets: bound on the control thread, accepted from on a shard.
use super::engine::{self, Engine};
use super::socket::{Io, Sock};
use super::{epoll, uring};
use crate::limits;
use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::cell::Cell;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::{fmt, io, mem};

/// How the kernel spreads new connections over the shards of one listener.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Steering {
    /// The kernel's hash over addresses and ports.
    #[default]
    Hash,
    /// To the shard whose CPU took the packet, by `SO_INCOMING_CPU`. Kernels before about 6.1 take
    /// the option and go by the hash.
    IncomingCpu,
    /// The same by a classic BPF program on the group (`SO_ATTACH_REUSEPORT_CBPF`). A CPU that no
    /// shard has for itself goes by the hash. The program counts the sockets of the group, so it holds
    /// only while this node alone listens on the address.
    Cbpf,
}

/// Socket options of a listener.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Connections that may wait to be accepted on each shard.
    pub backlog: u32,
    /// Wake only once the client has sent something (`TCP_DEFER_ACCEPT`).
    pub defer_accept: bool,
    /// How connections spread over the shards.
    pub steering: Steering,
}

/// The listening sockets of one listener, one for each shard, in shard order.
#[derive(Debug)]
pub struct Bound {
    /// The address, its port filled in where the configuration says 0.
    pub address: SocketAddr,
    /// One socket for each shard.
    pub sockets: Vec<OwnedFd>,
}

/// Binds one `SO_REUSEPORT` socket for each of `cpus` (the CPU of each shard, in shard order).
/// An IPv6 address is bound for IPv6 alone (`IPV6_V6ONLY`).
///
/// # Errors
/// What the kernel said; nothing stays bound.
pub fn bind(address: SocketAddr, cpus: &[usize], options: &Options) -> io::Result<Bound> {
    let mut bound = Bound { address, sockets: Vec::with_capacity(cpus.len()) };
    for &cpu in cpus {
        let socket = listening(bound.address, cpu, options)?;
        if bound.address.port() == 0 {
            let port = socket.local_addr()?.as_socket().map_or(0, |local| local.port());
            bound.address.set_port(port);
        }
        bound.sockets.push(socket.into());
    }
    if let (Steering::Cbpf, Some(first)) = (options.steering, bound.sockets.first()) {
        attach(first, &steer_by_cpu(cpus))?;
    }
    Ok(bound)
}

/// Fails when somebody else listens on `address`, also one who would share it (`SO_REUSEPORT`). Port 0 is
/// always free.
///
/// # Errors
/// What the kernel said.
pub fn check_free(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Past connections of an earlier node, in TIME_WAIT, are in nobody's way.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))
}

fn listening(address: SocketAddr, cpu: usize, options: &Options) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit it, which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if options.defer_accept {
        let seconds = libc::c_int::try_from(limits::DEFER_ACCEPT.as_secs()).unwrap_or(1);
        set_option(&socket, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &seconds)?;
    }
    if options.steering == Steering::IncomingCpu {
        socket.set_cpu_affinity(cpu)?;
    }
    socket.bind(&SockAddr::from(address))?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// A program that answers the number of the socket, in the order in which they began to listen, whose
/// CPU handles the packet; any other CPU gets a number that no socket has, which means the hash.
///
/// `cpu mod n`, the usual program, is right only for the CPUs 0 to n - 1; an affinity mask may hold
/// others. A CPU that two shards share is left to the hash too: the program could name only one of them.
fn steer_by_cpu(cpus: &[usize]) -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const SKIP_UNLESS_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const ANSWER: u32 = libc::BPF_RET | libc::BPF_K;
    let instruction = |code: u32, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(0),
        jt: 0,
        jf,
        k,
    };
    let cpu_number = (libc::SKF_AD_OFF + libc::SKF_AD_CPU).cast_unsigned();
    let mut program = vec![instruction(LOAD, 0, cpu_number)];
    for (shard, cpu) in (0..).zip(cpus) {
        let alone = cpus.iter().filter(|other| *other == cpu).count() == 1;
        if let (true, Ok(cpu)) = (alone, u32::try_from(*cpu)) {
            program.push(instruction(SKIP_UNLESS_EQUAL, 1, cpu));
            program.push(instruction(ANSWER, 0, shard));
        }
    }
    program.push(instruction(ANSWER, 0, u32::MAX));
    program
}

fn attach(socket: &OwnedFd, program: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, &program)
}

/// For the two options that neither socket2 nor rustix knows.
fn set_option<T>(socket: &impl AsRawFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(mem::size_of::<T>()).map_err(io::Error::other)?;
    #[expect(unsafe_code, reason = "setsockopt for options that no safe wrapper has")]
    // SAFETY: the kernel reads `length` bytes of `value`, and what a filter program points to, during
    // the call; both are borrowed by the callers above.
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const *value).cast(), length)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A shard's listening socket.
pub struct Listener {
    inner: Inner,
    stopped: Cell<bool>,
}

enum Inner {
    Uring(uring::Listener),
    Epoll(epoll::Listener),
}

impl Listener {
    /// Takes over a socket that [`bind`] made, on the shard's thread.
    ///
    /// # Errors
    /// When this is not a shard's thread, or the kernel refuses to watch the socket.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let inner = match engine::current()?.engine {
            Engine::IoUring => Inner::Uring(uring::Listener::new(socket)?),
            Engine::Epoll => Inner::Epoll(epoll::Listener::new(socket)?),
        };
        Ok(Self { inner, stopped: Cell::new(false) })
    }

    /// The next connection, with `TCP_NODELAY` set.
    ///
    /// # Errors
    /// The kernel's answer to this one attempt, which says nothing about the next: the caller counts
    /// it, waits a little (with no file descriptor left every attempt fails at once) and tries again.
    /// After [`Listener::stop`] always an error; a connection that came just before is still answered.
    pub async fn accept(&self) -> io::Result<(Sock, SocketAddr)> {
        if self.stopped.get() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let (io, peer) = match &self.inner {
            Inner::Uring(listener) => {
                listener.accept().await.map(|(socket, peer)| (Io::Uring(socket), peer))?
            }
            Inner::Epoll(listener) => {
                listener.accept().await.map(|(socket, peer)| (Io::Epoll(socket), peer))?
            }
        };
        Ok((Sock::new(io, peer)?, peer))
    }

    /// Ends a pending accept (it completes with an error) so that the listener can be dropped; the
    /// accept future is still awaited by its owner. Idempotent.
    ///
    /// Dropping the listener after that closes the socket at once, which resets connections that wait
    /// to be accepted.
    pub fn stop(&self) {
        if self.stopped.replace(true) {
            return;
        }
        match &self.inner {
            Inner::Uring(listener) => listener.stop(),
            Inner::Epoll(listener) => listener.stop(),
        }
    }

    /// A connection that waits to be accepted, once the listener is stopped and its last accept is over.
    /// `None` when none waits.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub fn accept_waiting(&self) -> io::Result<Option<(Sock, SocketAddr)>> {
        debug_assert!(self.stopped.get(), "an accept may be pending");
        let accepted = match &self.inner {
            Inner::Uring(listener) => {
                listener.accept_waiting()?.map(|(socket, peer)| (Io::Uring(socket), peer))
            }
            Inner::Epoll(listener) => {
                listener.accept_waiting()?.map(|(socket, peer)| (Io::Epoll(socket), peer))
            }
        };
        accepted.map(|(io, peer)| Ok((Sock::new(io, peer)?, peer))).transpose()
    }
}

/// Takes a waiting connection from a listening socket that does not block.
pub(super) fn accept_now(
    listener: impl AsFd,
    flags: SocketFlags,
) -> io::Result<Option<(OwnedFd, SocketAddr)>> {
    match rustix::net::acceptfrom_with(listener, flags) {
        Ok((socket, peer)) => {
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            let peer = peer.ok_or_else(no_address)?;
            Ok(Some((socket, peer)))
        }
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What cannot come to a TCP listener.
pub(super) fn no_address() -> io::Error {
    io::Error::other("a client without an internet address")
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("stopped", &self.stopped.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use std::net::{TcpListener, TcpStream};

    fn options(steering: Steering) -> Options {
        Options { backlog: 128, defer_accept: false, steering }
    }

    fn allowed_cpus() -> Vec<usize> {
        let mask = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU).filter(|cpu| mask.is_set(*cpu)).collect()
    }

    #[test]
    fn all_shards_share_the_port_that_the_first_one_got() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let address = address.parse().unwrap();
            let bound = bind(address, &[0, 1, 2], &options(Steering::Hash)).unwrap();
            assert_ne!(bound.address.port(), 0);
            for socket in bound.sockets {
                let local = TcpListener::from(socket).local_addr().unwrap();
                assert_eq!(local, bound.address);
            }
        }
    }

    #[test]
    fn a_taken_port_is_an_error() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = bind(taken.local_addr().unwrap(), &[0], &options(Steering::Hash)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_ipv6_listener_leaves_ipv4_to_others() {
        let six = bind("[::]:0".parse().unwrap(), &[0], &options(Steering::Hash)).unwrap();
        assert!(TcpStream::connect(("127.0.0.1", six.address.port())).is_err());
        assert!(TcpStream::connect(("::1", six.address.port())).is_ok());
    }

    #[test]
    fn each_socket_knows_the_cpu_of_its_shard() {
        let cpus = [5, 0];
        let options = options(Steering::IncomingCpu);
        let bound = bind("127.0.0.1:0".parse().unwrap(), &cpus, &options).unwrap();
        for (socket, cpu) in bound.sockets.into_iter().zip(cpus) {
            assert_eq!(Socket::from(socket).cpu_affinity().unwrap(), cpu);
        }
    }

    /// In reverse, so that neither the hash nor `cpu mod n` would do.
    #[test]
    fn the_program_steers_to_the_shard_of_the_cpu() {
        let mut cpus = allowed_cpus();
        cpus.reverse();
        let bound = bind("127.0.0.1:0".parse().unwrap(), &cpus, &options(Steering::Cbpf)).unwrap();
        let address = bound.address;
        for (cpu, socket) in cpus.into_iter().zip(bound.sockets) {
            let clients = std::thread::spawn(move || {
                let mut mask = CpuSet::new();
                mask.set(cpu);
                sched_setaffinity(None, &mask).unwrap();
                (0..10).map(|_| TcpStream::connect(address).unwrap()).collect::<Vec<_>>()
            });
            let clients = clients.join().unwrap();
            let listener = TcpListener::from(socket);
            listener.set_nonblocking(true).unwrap();
            for client in clients {
                let (_, peer) = listener.accept().expect("steered to another shard");
                assert_eq!(peer, client.local_addr().unwrap());
            }
        }
    }

    #[test]
    fn a_cpu_of_two_shards_and_an_unknown_one_are_left_to_the_hash() {
        let answers = |cpus: &[usize]| -> Vec<u32> {
            let program = steer_by_cpu(cpus);
            let answer = u16::try_from(libc::BPF_RET).unwrap();
            program.iter().filter(|i| i.code == answer).map(|i| i.k).collect()
        };
        assert_eq!(answers(&[3, 1]), [0, 1, u32::MAX]);
        assert_eq!(answers(&[0, 1, 0]), [1, u32::MAX]);
    }

    #[test]
    fn the_program_for_the_most_shards_is_taken() {
        let socket =
            listening("127.0.0.1:0".parse().unwrap(), 0, &options(Steering::Hash)).unwrap();
        let cpus: Vec<usize> = (0..limits::SHARDS_MAX).collect();
        attach(&socket.into(), &steer_by_cpu(&cpus)).unwrap();
    }
}
