//! A ClientHello may come in any pieces, and must come in time.
use crate::support::client::{connect, is_late, tls_config, tls_config_for};
use crate::support::node::piece;
use crate::support::{Node, Target, target};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest time that a handshake may be given.
const PATIENT_MS: u32 = 60_000;

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
    let node = node(&target, PATIENT_MS);
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

/// The parts of a hello of one record: all before its extensions, and each of them.
fn taken_apart(hello: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let two = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    // Headers of record and message, version, random; then session, suites, compressions.
    let session = 5 + 4 + 2 + 32;
    let suites = session + 1 + usize::from(hello[session]);
    let compressions = suites + 2 + two(suites);
    let extensions = compressions + 1 + usize::from(hello[compressions]);
    let (mut at, mut all) = (extensions + 2, Vec::new());
    while at < hello.len() {
        let end = at + 4 + two(at + 2);
        all.push(hello[at..end].to_vec());
        at = end;
    }
    (hello[9..extensions].to_vec(), all)
}

/// A hello of these parts, in records of so many bytes.
fn put_together(start: &[u8], extensions: &[Vec<u8>], record_bytes: usize) -> Vec<u8> {
    let extensions = extensions.concat();
    let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
    let body = [start, &length, &extensions].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    let record = |part: &[u8]| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[0x16, 3, 1][..], &length, part].concat()
    };
    message.chunks(record_bytes).flat_map(record).collect()
}

/// Whether the node asks for a certificate: in TLS 1.2 it says so in the clear.
fn asks_for_a_certificate(mut stream: &TcpStream) -> bool {
    const CERTIFICATE_REQUEST: u8 = 13;
    const SERVER_HELLO_DONE: u8 = 14;
    let mut messages: Vec<u8> = Vec::new();
    let mut asks = false;
    loop {
        while messages.len() >= 4 {
            let length = u32::from_be_bytes([0, messages[1], messages[2], messages[3]]) as usize;
            if messages.len() < 4 + length {
                break;
            }
            match messages[0] {
                SERVER_HELLO_DONE => return asks,
                kind => asks |= kind == CERTIFICATE_REQUEST,
            }
            messages.drain(..4 + length);
        }
        let mut header = [0; 5];
        stream.read_exact(&mut header).expect("the node answers the hello");
        assert_eq!(header[0], 0x16, "a handshake record, no alert: {header:?}");
        let mut record = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        stream.read_exact(&mut record).expect("a record is whole");
        messages.extend(record);
    }
}

/// CVE-2026-32305. A name that is rearranged cannot end a handshake of rustls' (its transcript is another),
/// so what the node asks for is read off its answer.
#[test]
fn a_hello_of_any_order_and_size_is_under_the_policy_of_its_name() {
    let target = Target::named("hello");
    let node = node(&target, PATIENT_MS);
    let address = node.address("https");
    // RFC 7685, section 3: zeros.
    let padding = [&[0, 21, 0x40, 0][..], &[0; 0x4000]].concat();
    for (name, asked) in [("open.example.com", false), ("api.example.com", true)] {
        let config = Arc::new(tls_config_for(None, "root.crt", &[&TLS12]));
        let mut connection =
            ClientConnection::new(config, ServerName::try_from(name).unwrap()).unwrap();
        let mut hello = Vec::new();
        connection.write_tls(&mut hello).unwrap();
        let (start, extensions) = taken_apart(&hello);
        assert_eq!(put_together(&start, &extensions, 0x4000), hello, "taken apart rightly");
        for padded in [false, true] {
            // Turned round, the name comes to stand in each place; with the padding before and after it.
            let mut extensions = extensions.clone();
            extensions.extend(padded.then(|| padding.clone()));
            for turn in 0..extensions.len() {
                extensions.rotate_left(1);
                for record_bytes in [0x4000, 1_000, 1] {
                    if padded && record_bytes == 1 {
                        // Headers of records would be more than all that a hello may have.
                        continue;
                    }
                    let mut stream = connect(address);
                    stream.write_all(&put_together(&start, &extensions, record_bytes)).unwrap();
                    let asks = asks_for_a_certificate(&stream);
                    assert_eq!(asks, asked, "{name}, {padded}, {turn}, {record_bytes}");
                }
            }
        }
    }
    node.assert_no_panic();
}

/// Reads until the node ends the connection, in whatever way.
fn until_closed(stream: &mut TcpStream) {
    let in_vain = stream.read_to_end(&mut Vec::new()).is_err_and(|error| is_late(&error));
    assert!(!in_vain, "the node does not close");
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
        until_closed(&mut stream);
        assert!(since.elapsed() >= Duration::from_millis(350), "ended after {:?}", since.elapsed());
    }
    let labels = ["listener=\"https\"", "outcome=\"timed_out\""];
    node.metric_becomes("portcullis_tls_handshakes_total", &labels, 3.0);
}

#[test]
fn a_client_that_drips_its_hello_is_ended_in_time_too() {
    let target = Target::named("hello");
    let node = node(&target, 400);
    let (_connection, hello) = hello(&TLS13);
    let mut stream = connect(node.address("https"));
    // The deadline counts from the accept: bytes that drip in do not move it. They are half a minute's worth.
    let taken = hello.chunks(1).take_while(|byte| {
        std::thread::park_timeout(Duration::from_millis(20));
        stream.write_all(byte).is_ok()
    });
    let taken = taken.count();
    assert!(taken < hello.len() / 4, "{taken} of {} bytes were taken", hello.len());
    until_closed(&mut stream);
}

/// What is no TLS gets no target, no panic, and ends its connection alone.
#[test]
fn garbage_instead_of_a_hello_ends_its_connection_alone() {
    let target = Target::named("hello");
    let node = node(&target, PATIENT_MS);
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
        until_closed(&mut stream);
        assert!(good_client_gets_in(address), "after {what}");
    }
    // A hello cut off anywhere.
    for length in (1..hello.len()).step_by(37) {
        let mut stream = connect(address);
        let _ = stream.write_all(&hello[..length]);
        let _ = stream.shutdown(Shutdown::Write);
        until_closed(&mut stream);
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
    let node = node(&target, PATIENT_MS);
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
    until_closed(&mut stream);
    // By its bytes, not by time.
    let labels = ["listener=\"https\"", "outcome=\"failed\""];
    node.metric_becomes("portcullis_tls_handshakes_total", &labels, 1.0);
    node.assert_no_panic();
}
