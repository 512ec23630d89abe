//! Large bodies flow through without being kept: memory stays flat in both directions, whoever is slow.
use crate::support::client::{connect, handshake, tls_config};
use crate::support::node::piece;
use crate::support::target::read_head;
use crate::support::{Client, Node, Setup, long, target, wait};
use portcullis::limits::BUFFER_BYTES;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How much a node may grow under a body. Issue: "a 2 GiB body each way grows memory by at most 4 MiB".
const GROWTH_KIB_MAX: u64 = 4 * 1024;

fn body_bytes() -> u64 {
    if long() { 2 << 30 } else { 256 << 20 }
}

/// The content of all bodies: a block of an odd length, so that a shifted byte is seen.
pub fn block() -> Vec<u8> {
    (0..65_521_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Writes so many bytes of the pattern; `sent` goes up meanwhile.
fn write_pattern(stream: &mut impl Write, length: u64, sent: &AtomicU64) -> io::Result<()> {
    let block = block();
    let mut left = length;
    while left > 0 {
        let size = left.min(block.len() as u64);
        stream.write_all(&block[..size as usize])?;
        sent.fetch_add(size, Ordering::Relaxed);
        left -= size;
    }
    stream.flush()
}

/// Reads so many bytes and asserts that they are the pattern.
fn read_pattern(stream: &mut impl Read, length: u64) -> io::Result<()> {
    let block = block();
    let mut room = vec![0; block.len()];
    let mut left = length;
    while left > 0 {
        let size = left.min(block.len() as u64) as usize;
        stream.read_exact(&mut room[..size])?;
        assert!(room[..size] == block[..size], "{left} bytes before the end");
        left -= size as u64;
    }
    Ok(())
}

/// A target that takes a body of the pattern and answers with one, never holding either.
pub fn streaming_target(sent: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sent = sent.clone();
            thread::spawn(move || serve(stream, &sent));
        }
    });
    address
}

fn serve(mut stream: TcpStream, sent: &AtomicU64) -> io::Result<()> {
    loop {
        let head = read_head(&mut stream)?;
        let length =
            |name| target::values(&head, name).first().and_then(|value| value.parse().ok());
        read_pattern(&mut stream, length("content-length").unwrap_or(0))?;
        let answer: u64 = length("x-answer-bytes").unwrap_or(0);
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {answer}\r\n\r\n").as_bytes())?;
        write_pattern(&mut stream, answer, sent)?;
    }
}

fn node(address: SocketAddr) -> Node {
    Node::with(
        Setup::default(),
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target::entry(address)]),
            "listeners:\n".to_owned(),
            piece::http("plain", ""),
            piece::https("https", &piece::verify("")),
        ]
        .concat(),
    )
}

/// The largest memory of the node while `work` runs, less that before it.
pub fn growth_kib(node: &Node, work: impl FnOnce() + Send) -> u64 {
    let before = node.resident_kib();
    let mut largest = before;
    thread::scope(|scope| {
        let work = scope.spawn(work);
        while !work.is_finished() {
            largest = largest.max(node.resident_kib());
            wait::pause();
        }
    });
    largest - before
}

/// One request with a body of `up` bytes whose answer has `down` bytes.
fn exchange(stream: &mut (impl Read + Write), up: u64, down: u64) {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {up}\r\nX-Answer-Bytes: {down}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    write_pattern(stream, up, &AtomicU64::new(0)).unwrap();
    let head = read_head(stream).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    read_pattern(stream, down).unwrap();
}

#[test]
fn a_large_body_each_way_grows_memory_by_little() {
    let node = node(streaming_target(Arc::default()));
    let length = body_bytes();
    let mut plain = connect(node.address("plain"));
    let mut tls = handshake(node.address("https"), "localhost", &tls_config(Some("good")));
    // Everything that is made once is made now.
    exchange(&mut plain, 1 << 20, 1 << 20);
    exchange(&mut tls, 1 << 20, 1 << 20);
    let grown = growth_kib(&node, || {
        exchange(&mut plain, length, 0);
        exchange(&mut plain, 0, length);
    });
    assert!(grown <= GROWTH_KIB_MAX, "plain: {grown} KiB");
    let grown = growth_kib(&node, || {
        exchange(&mut tls, length, 0);
        exchange(&mut tls, 0, length);
    });
    assert!(grown <= GROWTH_KIB_MAX, "TLS: {grown} KiB");
}

/// Goal: connections that idle stay cheap. Method: each of many has filled its buffers before; together they have
/// less than one buffer for each.
#[test]
fn an_idle_connection_holds_no_buffer() {
    const CONNECTIONS: u64 = 100;
    let node = node(streaming_target(Arc::default()));
    let config = tls_config(Some("good"));
    holds_no_buffer(&node, CONNECTIONS, || connect(node.address("plain")));
    holds_no_buffer(&node, CONNECTIONS, || handshake(node.address("https"), "localhost", &config));
}

fn holds_no_buffer<S: Read + Write + Send>(node: &Node, count: u64, open: impl Fn() -> S + Sync) {
    let served = || {
        let mut client = open();
        exchange(&mut client, 1 << 15, 1 << 15);
        client
    };
    // Everything that is made once is made now.
    drop((0..10).map(|_| served()).collect::<Vec<_>>());
    let mut idle = Vec::new();
    let grown = growth_kib(node, || idle.extend((0..count).map(|_| served())));
    let each_bytes = grown * 1024 / count;
    assert!(each_bytes < BUFFER_BYTES as u64, "{each_bytes} bytes for each");
}

#[test]
fn a_client_that_does_not_read_holds_its_target_back() {
    let sent = Arc::new(AtomicU64::new(0));
    let node = node(streaming_target(sent.clone()));
    let length = 64 << 20;
    Client::plain(node.address("plain")).get("/");
    let mut stream = connect(node.address("plain"));
    let grown = growth_kib(&node, || {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Answer-Bytes: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // Until nothing more has gone for a good while: all buffers between are full.
        let mut last = (0, 0);
        wait::until("the target to be held back", || {
            let now = sent.load(Ordering::Relaxed);
            last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
            (now > 0 && last.1 > 100).then_some(())
        });
        assert!(sent.load(Ordering::Relaxed) < length, "the node took all of it");
        read_head(&mut stream).unwrap();
        read_pattern(&mut stream, length).unwrap();
    });
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB");
}
