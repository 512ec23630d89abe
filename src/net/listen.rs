//! Listening sockets: bound on the control thread, accepted from on a shard.
#![expect(clippy::todo, reason = "interface only")]
use super::Sock;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// How the kernel spreads new connections over the shards of one listener.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Steering {
    /// The kernel's hash over addresses and ports.
    #[default]
    Hash,
    /// To the shard whose CPU took the packet, by `SO_INCOMING_CPU`.
    IncomingCpu,
    /// The same by a classic BPF program on the group (`SO_ATTACH_REUSEPORT_CBPF`).
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
    let _ = (address, cpus, options);
    todo!()
}

/// A shard's listening socket.
#[derive(Debug)]
pub struct Listener(());

impl Listener {
    /// Takes over a socket that [`bind`] made, on the shard's thread.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let _ = socket;
        todo!()
    }
    /// The next connection, with `TCP_NODELAY` set, or the kernel's error for this one attempt.
    /// After [`Listener::stop`] it answers `ErrorKind::ConnectionAborted`... see `is_stopped`.
    pub async fn accept(&self) -> io::Result<(Sock, SocketAddr)> {
        todo!()
    }
    /// Ends a pending accept (it completes with an error) so that the listener can be dropped; the
    /// accept future is still awaited by its owner. Idempotent.
    pub fn stop(&self) {
        todo!()
    }
    /// Whether [`Listener::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        todo!()
    }
}
