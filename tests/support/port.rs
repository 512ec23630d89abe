//! Ports for servers that cannot be given a socket.
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nobody has, below those that the kernel hands out, so that nobody gets it meanwhile. Processes
/// that run at the same time begin far from each other.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000 * 1_237 % 20_000).expect("it is small");
    loop {
        let port = 12_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed) % 20_000) % 20_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
