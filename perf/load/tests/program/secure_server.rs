//! A server of ours that does what a test has it do.
use crate::pki::{Ca, Pki};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

pub(crate) type Stream = StreamOwned<ServerConnection, TcpStream>;

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// A request as it came.
pub(crate) struct Request {
    /// Which connection of the server it is on.
    pub(crate) connection: u64,
    pub(crate) head: String,
    pub(crate) body_bytes: usize,
}

/// Serves whoever shows a certificate of `clients`, if there are such; `answer` answers every request.
pub(crate) fn serve(
    pki: &Pki,
    clients: Option<&Ca>,
    answer: impl Fn(&Request, &mut Stream) + Send + Sync + 'static,
) -> SocketAddr {
    let builder = ServerConfig::builder();
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder(roots.into()).build().unwrap(),
            )
        }
        None => builder.with_no_client_auth(),
    };
    let (certificate, key) = pki.issue();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let (config, answer) = (Arc::new(config), Arc::new(answer));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, socket) in (0..).zip(listener.incoming()) {
            let (config, answer) = (Arc::clone(&config), Arc::clone(&answer));
            thread::spawn(move || {
                let (connection, socket) =
                    (ServerConnection::new(config).unwrap(), socket.unwrap());
                socket.set_nodelay(true).unwrap();
                let mut stream = StreamOwned::new(connection, socket);
                while let Some(request) = read_request(number, &mut stream) {
                    answer(&request, &mut stream);
                }
                stream.conn.send_close_notify();
                let _ = stream.flush();
            });
        }
    });
    address
}

/// The next request; none when the client has gone.
fn read_request(connection: u64, stream: &mut Stream) -> Option<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.extend(byte),
            Ok(_) | Err(_) => return None,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let body_bytes = length.map_or(0, |length| length.parse().unwrap());
    stream.read_exact(&mut vec![0; body_bytes]).ok()?;
    Some(Request { connection, head, body_bytes })
}

/// Sends an answer; one that says that the connection closes is the last thing on it.
pub(crate) fn send(stream: &mut Stream, answer: &str) {
    stream.write_all(answer.as_bytes()).unwrap();
    stream.flush().unwrap();
    if answer.contains("Connection: close") {
        stream.sock.shutdown(Shutdown::Both).unwrap();
    }
}
