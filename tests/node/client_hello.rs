//! A ClientHello may come in any pieces, and must come in time.
use crate::support::client::{connect, tls_config, tls_config_for};
use crate::support::node::piece;
use crate::support::{Node, Target, target};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// `open.example.com` needs no certificate; every other name does.
fn node(target: &Target, handshake_timeout_ms: u32) -> Node {
    Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https(
                "https",
                &format!(
                    "handshake_timeout_ms: {handshake_timeout_ms}\n{}\nserver_name_policies:\n\
                     - {{server_names: [open.example.com], mutual_authentication: {{mode: \"off\"}}}}",
                    piece::verify("")
                ),
            ),
        ]
        .concat(),
    )
}

/// A ClientHello of rustls, and the connection that it begins.
fn hello(version: &'static rustls::SupportedProtocolVersion) -> (ClientConnection, Vec<u8>) {
    let config = Arc::new(tls_config_for(None, "root.crt", &[version]));
    let name = ServerName::try_from("open.example.com").unwrap();
    let mut connection = ClientConnection::new(config, name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    (connection, bytes)
}

/// The same handshake message in records of one byte each (RFC 8446, section 5.1 allows it).
fn in_records_of_one_byte(hello: &[u8]) -> Vec<u8> {
    let (header, message) = hello.split_at(5);
    message.iter().flat_map(|&byte| [header[0], header[1], header[2], 0, 1, byte]).collect()
}

/// What to do with a hello before it is cut, and the size of the pieces.
type Cut = (&'static str, fn(&[u8]) -> Vec<u8>, usize);

#[test]
fn the_name_is_seen_however_the_hello_is_cut() {
    let target = Target::answering(target::ok("hello"));
    let node = node(&target, 10_000);
    let address = node.address("https");
    for version in [&TLS12, &TLS13] {
        let cuts: [Cut; 5] = [
            ("one byte at a time", <[u8]>::to_vec, 1),
            ("in small pieces", <[u8]>::to_vec, 7),
            ("in records of one byte", in_records_of_one_byte, usize::MAX),
            ("in records of one byte, one byte at a time", in_records_of_one_byte, 1),
            ("whole", <[u8]>::to_vec, usize::MAX),
        ];
        for (how, record, size) in cuts {
            let (connection, hello) = hello(version);
            let mut stream = connect(address);
            for piece in record(&hello).chunks(size) {
                stream.write_all(piece).expect("the node reads on");
            }
            let mut stream = StreamOwned::new(connection, stream);
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: open.example.com\r\nConnection: close\r\n\r\n")
                .unwrap_or_else(|error| panic!("{how}, {version:?}: {error}"));
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{how}, {version:?}");
        }
    }
}

/// Reads until the node ends the connection; how long that took.
fn until_closed(stream: &mut TcpStream, since: Instant) -> Duration {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    since.elapsed()
}

#[test]
fn a_handshake_that_is_not_finished_in_time_is_ended() {
    let target = Target::named("hello");
    let node = node(&target, 400);
    let address = node.address("https");
    let (_connection, hello) = hello(&TLS13);
    // Nothing, a little, and all of the hello without an answer to what the node says then.
    let beginnings = [&hello[..1], &hello[..40], &hello[..]];
    for beginning in beginnings {
        let since = Instant::now();
        let mut stream = connect(address);
        stream.write_all(beginning).unwrap();
        let took = until_closed(&mut stream, since);
        assert!(took >= Duration::from_millis(350), "ended after {took:?}");
        assert!(took < Duration::from_secs(10), "ended only after {took:?}");
    }
    let labels = ["listener=\"https\"", "outcome=\"timed_out\""];
    node.metric_becomes("portcullis_tls_handshakes_total", &labels, 3.0);
}

#[test]
fn a_client_that_drips_its_hello_is_ended_in_time_too() {
    let target = Target::named("hello");
    let node = node(&target, 400);
    let (_connection, hello) = hello(&TLS13);
    let since = Instant::now();
    let mut stream = connect(node.address("https"));
    let mut writer = stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        for byte in hello.chunks(1) {
            if writer.write_all(byte).is_err() {
                return;
            }
            // The deadline counts from the accept: bytes that drip in do not move it.
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    let took = until_closed(&mut stream, since);
    assert!(took < Duration::from_secs(3), "ended only after {took:?}");
    dripping.join().unwrap();
}

/// What is no TLS gets no target, no panic, and ends its connection alone.
#[test]
fn garbage_instead_of_a_hello_ends_its_connection_alone() {
    let target = Target::named("hello");
    let node = node(&target, 2_000);
    let address = node.address("https");
    let (_connection, hello) = hello(&TLS13);
    let mut altered = hello.clone();
    altered[60] ^= 0xff;
    let oversized = [&[0x16, 3, 1, 0x40, 0][..], &[1, 0xff, 0xff, 0xff], &[0; 0x3ffc]].concat();
    let cases: [(&str, Vec<u8>); 8] = [
        ("plain HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("zeros", vec![0; 512]),
        ("an alert", vec![0x15, 3, 1, 0, 2, 1, 0]),
        ("application data", vec![0x17, 3, 3, 0, 1, 0]),
        ("an empty record", vec![0x16, 3, 1, 0, 0]),
        ("a record too long", vec![0x16, 3, 1, 0xff, 0xff, 1, 2, 3]),
        ("a hello of 16 MiB", oversized.repeat(6)),
        ("a hello and its end", hello.clone()),
    ];
    for (what, bytes) in &cases {
        let mut stream = connect(address);
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        until_closed(&mut stream, Instant::now());
        assert!(good_client_gets_in(address), "after {what}");
    }
    // A hello cut off anywhere.
    for length in (1..hello.len()).step_by(37) {
        let mut stream = connect(address);
        let _ = stream.write_all(&hello[..length]);
        let _ = stream.shutdown(Shutdown::Write);
        until_closed(&mut stream, Instant::now());
    }
    assert!(good_client_gets_in(address));
    let failed = ["listener=\"https\"", "outcome=\"failed\""];
    assert!(node.metric("portcullis_tls_handshakes_total", &failed) > 0.0);
    node.assert_no_panic();
}

fn good_client_gets_in(address: SocketAddr) -> bool {
    let mut client = crate::support::Client::tls(address, "localhost", &tls_config(Some("good")));
    client.get("/").status == 200
}

/// The bound on all bytes of a handshake, as the ClientHello has its own.
#[test]
fn a_handshake_of_too_many_bytes_ends() {
    let target = Target::answering(target::ok("hello"));
    let node = node(&target, 10_000);
    let config = Arc::new(tls_config_for(None, "root.crt", &[&TLS12]));
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(config, name).unwrap();
    let mut stream = connect(node.address("https"));
    connection.write_tls(&mut stream).unwrap();
    // A Certificate message that is within its own bound, in records that make six bytes of each.
    let mut message = vec![0x0b, 0x00, 0xff, 0xf0];
    message.resize(64 * 1024, 0);
    let records: Vec<u8> =
        message.iter().flat_map(|&byte| [0x16, 3, 3, 0, 1, byte]).take(256 * 1024).collect();
    // The node may end it before everything is sent.
    let _ = stream.write_all(&records);
    assert!(
        until_closed(&mut stream, Instant::now()) < Duration::from_secs(9),
        "by its bytes, not by time"
    );
    let labels = ["listener=\"https\"", "outcome=\"failed\""];
    node.metric_becomes("portcullis_tls_handshakes_total", &labels, 1.0);
    node.assert_no_panic();
}
