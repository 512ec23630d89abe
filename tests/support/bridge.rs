//! A bridge for clients that speak HTTP/2 without TLS, which the node does not: each connection to it is one over
//! TLS to the node.
use super::client::{connect, tls_over};
use rustls::{ClientConfig, ClientConnection};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

#[expect(clippy::disallowed_types, reason = "two threads share one TLS connection")]
type Shared = Arc<std::sync::Mutex<ClientConnection>>;

/// Where such clients come to; for as long as the test runs.
pub fn to(node: SocketAddr, config: &Arc<ClientConfig>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let config = Arc::clone(config);
    thread::spawn(move || {
        for plain in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || join(plain, node, &config));
        }
    });
    address
}

/// Joins two connections until both have ended.
fn join(plain: TcpStream, node: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<()> {
    let mut tls = tls_over(connect(node), "localhost", config);
    tls.conn.complete_io(&mut tls.sock)?;
    let shared = Arc::new(tls.conn.into());
    let (outward, inward) = (Arc::clone(&shared), shared);
    let (from, to) = (plain.try_clone()?, tls.sock.try_clone()?);
    let sending = thread::spawn(move || send(from, to, &outward));
    let received = receive(tls.sock, plain, &inward);
    let _ = sending.join();
    received
}

/// From the client to the node.
fn send(mut plain: TcpStream, mut tls: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut room = [0; 16 * 1024];
    loop {
        let count = plain.read(&mut room).unwrap_or(0);
        let mut conn = shared.lock().expect("the other thread does not panic");
        if count == 0 {
            conn.send_close_notify();
        } else {
            conn.writer().write_all(&room[..count])?;
        }
        while conn.wants_write() {
            conn.write_tls(&mut tls)?;
        }
        if count == 0 {
            return tls.shutdown(Shutdown::Write);
        }
    }
}

/// From the node to the client.
fn receive(mut tls: TcpStream, mut plain: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut room = [0; 32 * 1024];
    loop {
        let count = tls.read(&mut room).unwrap_or(0);
        let mut received = &room[..count];
        let mut content = Vec::new();
        let mut conn = shared.lock().expect("the other thread does not panic");
        while !received.is_empty() {
            conn.read_tls(&mut received)?;
            conn.process_new_packets().map_err(io::Error::other)?;
            let _ = conn.reader().read_to_end(&mut content);
        }
        drop(conn);
        plain.write_all(&content)?;
        if count == 0 {
            return plain.shutdown(Shutdown::Both);
        }
    }
}
