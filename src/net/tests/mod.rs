//! The same promises on both engines, over real sockets on loopback.
use super::*;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Longer than anything here takes: reaching it is a failure.
const HANG: Duration = Duration::from_secs(60);

/// Each named function as a test on io_uring and one on epoll.
macro_rules! on_both_engines {
    ($($name:ident)*) => {
        mod io_uring {
            $(#[test] fn $name() { super::shard(super::Engine::IoUring, super::$name); })*
        }
        mod epoll {
            $(#[test] fn $name() { super::shard(super::Engine::Epoll, super::$name); })*
        }
    };
}

mod connect;
mod engine;
mod listen;
mod socket;

fn shard<F, Fut>(engine: Engine, test: F)
where
    F: FnOnce() -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let timed = || async { tokio::time::timeout(HANG, test()).await.expect("it hangs") };
    run(engine, timed).expect("this machine refuses the engine");
}

fn options() -> Options {
    Options { backlog: 128, defer_accept: false, steering: Steering::Hash }
}

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn listen(address: SocketAddr, options: &Options) -> (Listener, SocketAddr) {
    let mut bound = bind(address, &[0], options).unwrap();
    (Listener::new(bound.sockets.remove(0)).unwrap(), bound.address)
}

/// A client and what the listener accepted.
async fn pair() -> (Sock, Sock) {
    let (listener, address) = listen(loopback(0), &options());
    let client = connect(address, HANG).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

fn buf(bytes: &[u8]) -> Buf {
    let mut buf = Buf::take();
    buf.extend_from_slice(bytes);
    buf
}

async fn send(socket: &Sock, bytes: &[u8]) {
    socket.send_all(buf(bytes)).await.0.unwrap();
}

async fn receive(socket: &Sock) -> Vec<u8> {
    let (received, buf) = socket.recv(Buf::take()).await;
    assert_eq!(received.unwrap(), buf.len());
    buf.to_vec()
}

async fn ended(socket: &Sock) {
    assert_eq!(socket.recv(Buf::take()).await.0.unwrap(), 0);
}

/// Lets every task that can run do so, and the kernel see what they submitted.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Waits for what happens on the other side of the kernel.
async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < HANG / 2, "never: {what}");
        settle().await;
    }
}

/// Identifies a socket for as long as it is open; numbers of descriptors are reused by other tests.
fn inode(socket: impl AsFd) -> u64 {
    rustix::fs::fstat(socket).unwrap().st_ino
}

fn open_inodes() -> HashSet<u64> {
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets
        .filter_map(|target| {
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}
