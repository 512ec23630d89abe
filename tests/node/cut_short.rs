//! An answer that only the end of its connection delimits, and that is cut off: its client gets a reset, never an
//! end that looks like that of a whole answer (RFC 9112, section 8).
use crate::support::client::connect;
use crate::support::node::piece;
use crate::support::target::close;
use crate::support::{Node, Setup, Target, wait};
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

/// More than the kernel keeps for a client that does not read.
const MUCH: usize = 64 << 20;

/// Answers `/stalls` with a beginning, `/breaks` with a beginning and its end, `/much` with more than anybody
/// reads, and `/whole` with all that there is.
fn target() -> Target {
    Target::with(|received, stream| {
        let path = received.request_line().split(' ').nth(1).unwrap_or_default().to_owned();
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}5\r\nbegin\r\n").as_bytes())?;
        match path.as_str() {
            "/stalls" => drop(stream.read(&mut [0; 1])),
            "/much" => {
                let part = format!("10000\r\n{}\r\n", "a".repeat(1 << 16));
                (0..MUCH >> 16).try_for_each(|_| stream.write_all(part.as_bytes()))?;
            }
            "/whole" => stream.write_all(b"0\r\n\r\n")?,
            _ => {}
        }
        close()
    })
}

fn node(target: &Target, setup: &'static str, listener: &str) -> Node {
    Node::with(Setup { node: setup, ..Setup::default() }, &configuration(target, listener))
}

fn configuration(target: &Target, listener: &str) -> String {
    let targets = piece::targets(&[target.entry()]);
    [targets, "listeners:\n".to_owned(), piece::http("plain", listener)].concat()
}

/// A client of HTTP/1.0, for whom what is chunked ends with its connection, after the first bytes of an answer.
fn begun(node: &Node, path: &str) -> TcpStream {
    let mut stream = connect(node.address("plain"));
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    stream
}

/// What comes until the end, which must be a reset.
fn until_reset(mut stream: TcpStream) -> usize {
    let (mut count, mut room) = (0, vec![0; 1 << 16]);
    loop {
        match stream.read(&mut room) {
            Ok(0) => panic!("after {count} bytes the answer looks whole"),
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return count,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn an_answer_that_its_target_does_not_end_is_reset() {
    let target = target();
    let node = Node::start(&(piece::idle_timeout(4) + &configuration(&target, "")));
    until_reset(begun(&node, "/breaks"));
    until_reset(begun(&node, "/stalls"));
    let mut whole = Vec::new();
    begun(&node, "/whole").read_to_end(&mut whole).unwrap();
    assert!(whole.ends_with(b"begin"), "{}", whole.escape_ascii());
    node.assert_no_panic();
}

#[test]
fn an_answer_that_takes_too_long_is_reset() {
    let target = target();
    let node = node(&target, "", "slow_clients: {request_timeout_seconds: 4}");
    until_reset(begun(&node, "/stalls"));
    node.metric_becomes(
        "portcullis_connections_closed_total",
        &["reason=\"request_timeout\""],
        1.0,
    );
}

#[test]
fn an_answer_that_is_read_too_slowly_is_reset() {
    let target = target();
    let floor = "slow_clients: {response_bytes_per_second_min: 4000, window_seconds: 1}";
    let node = node(&target, "", floor);
    let stream = begun(&node, "/much");
    node.metric_becomes("portcullis_connections_closed_total", &["reason=\"slow_reader\""], 1.0);
    assert!(until_reset(stream) < MUCH);
}

#[test]
fn an_answer_under_way_at_the_end_of_the_node_is_reset() {
    let target = target();
    let mut node = node(&target, ", drain_timeout_seconds: 1", "");
    let stream = begun(&node, "/much");
    node.signal(Signal::TERM);
    assert_eq!(node.ended().code(), Some(0), "{}", node.stderr());
    assert!(until_reset(stream) < MUCH);
}

/// Goal: a reset is for what is cut off alone. Method: a client that has its whole answer and still sends.
#[test]
fn a_whole_answer_ends_properly_whatever_its_client_still_sends() {
    let target = target();
    let node = node(&target, "", "");
    for _ in 0..20 {
        let mut stream = connect(node.address("plain"));
        stream.write_all(b"GET /whole HTTP/1.0\r\n\r\nand something behind it").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(b"\r\n\r\nbegin"), "{}", answer.escape_ascii());
        let _ = stream.shutdown(Shutdown::Both);
    }
    wait::until("every connection to end", || {
        (node.metric("portcullis_connections_open", &[]) < 0.5).then_some(())
    });
}
