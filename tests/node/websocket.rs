//! WebSockets: an Upgrade that target and client agree on becomes an opaque tunnel, and nothing else does.
use crate::support::client::tls_config;
use crate::support::node::piece;
use crate::support::target::{close, ok};
use crate::support::wait::PATIENCE;
use crate::support::{Client, Node, Setup, Target, open_many_files, tools};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn node(target: &Target) -> Node {
    Node::start(&configuration(&target.entry()))
}

fn configuration(entry: &str) -> String {
    [piece::targets(&[entry.to_owned()]), "listeners:\n".to_owned(), piece::http("plain", "")]
        .concat()
}

/// Agrees and sends back what comes, until the other side has no more; says goodbye with `bye`.
fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(AGREE.as_bytes())?;
    let mut room = [0; 16 * 1024];
    loop {
        match stream.read(&mut room)? {
            0 => break,
            count => stream.write_all(&room[..count])?,
        }
    }
    stream.write_all(b"bye")?;
    stream.shutdown(Shutdown::Write)?;
    close()
}

fn echoing() -> Target {
    Target::with(|_, stream| echo(stream))
}

#[test]
fn an_upgrade_becomes_a_tunnel_for_any_bytes() {
    let target = echoing();
    let node = node(&target);
    let mut client = Client::plain(node.address("plain"));
    let answer = client.ask(ASK);
    assert_eq!(answer.status, 101);
    assert_eq!(answer.values("upgrade"), ["websocket"]);
    assert_eq!(answer.values("connection"), ["Upgrade"]);
    assert_eq!(answer.values("sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    let asked = target.received();
    assert_eq!((asked.value("upgrade"), asked.value("connection")), ("websocket", "Upgrade"));
    assert_eq!(asked.value("sec-websocket-version"), "13");
    // Not frames, and what looks like a request is none any more.
    for bytes in [&b"\x81\x05hello"[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &[0; 100_000]] {
        client.send(bytes);
        assert_eq!(client.exactly(bytes.len()).unwrap(), bytes);
    }
    assert!(target.so_far().is_empty());
}

#[test]
fn what_is_sent_behind_the_request_waits_for_the_agreement() {
    let target = echoing();
    let node = node(&target);
    let mut client = Client::plain(node.address("plain"));
    client.send(format!("{ASK}early bytes"));
    assert_eq!(client.answer().status, 101);
    assert_eq!(client.exactly(11).unwrap(), b"early bytes");
    assert_eq!(target.received().body, b"", "the target had none of it before");
}

/// CVE-2026-2833 and its kin: bytes behind a request whose upgrade is refused are the next request.
#[test]
fn an_upgrade_that_is_refused_leaves_an_ordinary_connection() {
    let target = Target::with(|received, stream| match received.index {
        0 => stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
        _ => stream.write_all(ok("served").as_bytes()),
    });
    let node = node(&target);
    let mut client = Client::plain(node.address("plain"));
    client.send(format!("{ASK}GET /next HTTP/1.1\r\nHost: a\r\n\r\n"));
    let refused = client.answer();
    assert_eq!((refused.status, refused.text().as_str()), (403, "no"));
    assert_eq!(client.answer().text(), "served");
    let requests = [target.received(), target.received()];
    assert_eq!(requests[1].request_line(), "GET /next HTTP/1.1");
}

#[test]
fn other_upgrades_are_dropped_and_an_agreement_to_them_is_an_error() {
    let target = Target::with(|received, stream| {
        let unasked = received.request_line().contains("/unasked");
        stream.write_all(if unasked { AGREE.as_bytes() } else { b"HTTP/1.1 204 A\r\n\r\n" })
    });
    let node = node(&target);
    for upgrade in ["h2c", "TLS/1.0", "websocket2"] {
        let mut client = Client::plain(node.address("plain"));
        let ask = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: {upgrade}\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        );
        assert_eq!(client.ask(&ask).status, 204);
        let received = target.received();
        for name in ["upgrade", "connection", "http2-settings"] {
            assert!(received.values(name).is_empty(), "{name} of {upgrade}: {}", received.head);
        }
    }
    let mut client = Client::plain(node.address("plain"));
    assert_eq!(client.get("/unasked").status, 502);
}

#[test]
fn what_one_side_ends_is_passed_on_and_the_rest_arrives() {
    let target = echoing();
    let node = node(&target);
    let mut stream = crate::support::client::connect(node.address("plain"));
    stream.write_all(ASK.as_bytes()).unwrap();
    let mut head = vec![0; AGREE.len()];
    stream.read_exact(&mut head[..1]).unwrap();
    stream.write_all(b"last words").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"last wordsbye"), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn a_silent_tunnel_ends_after_the_idle_timeout_and_a_byte_either_way_keeps_it() {
    let target = Target::with(|_, stream| {
        stream.write_all(AGREE.as_bytes())?;
        // Longer than the idle timeout, from the target alone.
        for _ in 0..6 {
            stream.write_all(b".")?;
            let mut room = [0];
            stream.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
            let _ = stream.read(&mut room);
        }
        stream.set_read_timeout(Some(PATIENCE))?;
        let _ = stream.read(&mut [0]);
        close()
    });
    let node = Node::start(&(piece::idle_timeout(4) + &configuration(&target.entry())));
    let mut client = Client::plain(node.address("plain"));
    assert_eq!(client.ask(ASK).status, 101);
    assert_eq!(client.until_closed(), b"......");
    node.metric_becomes(
        "portcullis_connections_closed_total",
        &["listener=\"plain\"", "reason=\"idle\""],
        1.0,
    );
}

#[test]
fn a_tunnel_whose_target_goes_away_ends() {
    let target = Target::with(|_, stream| {
        stream.write_all(AGREE.as_bytes())?;
        stream.write_all(b"some")?;
        close()
    });
    let node = node(&target);
    let mut client = Client::plain(node.address("plain"));
    assert_eq!(client.ask(ASK).status, 101);
    assert_eq!(client.until_closed(), b"some");
    assert_eq!(Client::plain(node.address("plain")).ask(ASK).status, 101, "the node serves on");
    node.assert_no_panic();
}

#[test]
fn websockets_go_through_tls_and_carry_the_clients_identity() {
    let target = echoing();
    let node = Node::with(
        Setup::default(),
        &[
            piece::targets(&[target.entry()]),
            piece::certificates(),
            piece::partners(),
            "listeners:\n".to_owned(),
            piece::https("verify", &piece::verify("")),
        ]
        .concat(),
    );
    let config = tls_config(Some("good"));
    let mut client = Client::tls(node.address("verify"), "localhost", &config);
    assert_eq!(client.ask(ASK).status, 101);
    client.send(b"over TLS");
    assert_eq!(client.exactly(8).unwrap(), b"over TLS");
    assert!(target.received().value("x-amzn-mtls-clientcert-subject").contains("CN="));
}

/// Both ends by PyPI's `websockets`: 1,000 connections at once, streams that are equal by hash, close
/// codes and reasons as the other side gave them.
#[test]
fn a_thousand_websockets_of_another_implementation_go_through() {
    open_many_files();
    let mut pair = Command::new(tools::PYTHON)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/websocket_pair.py"))
        .env("PYTHONPATH", tools::PYTHON_PACKAGES)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut said = BufReader::new(pair.stdout.take().expect("stdout is piped"));
    let mut line = String::new();
    said.read_line(&mut line).expect("the server says where it listens");
    let entry = format!("{{id: 127.0.0.1, port: {}}}", line.trim());
    // The first of them waits until the last one stands.
    let node = Node::start(&(piece::idle_timeout(4_000) + &configuration(&entry)));
    let mut told = pair.stdin.take().expect("stdin is piped");
    writeln!(told, "{}", node.address("plain").port()).expect("the client is told where to go");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("the pair ends");
    assert!(pair.wait().expect("the pair can be waited for").success(), "{rest}");
    assert_eq!(rest, "1000 connections, 3 close codes\n");
    node.assert_no_panic();
}
