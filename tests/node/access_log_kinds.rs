//! The access log's lines by what a request was: answered by the node, over TLS, a WebSocket; its JSON form, and how a log
//! comes and goes.
use crate::access_log::{
    ACTION, CERTIFICATE, CIPHER, CONNECTION, DOMAIN, ELB_STATUS, PROTOCOL, RECEIVED, REQUEST, RULE,
    SENT, TARGET, TARGET_GROUP, TARGET_STATUS, TIMES, TRACE_ID, TYPE, configuration, node,
    only_line,
};
use crate::support::client::{connect, tls_config};
use crate::support::target::{close, ok};
use crate::support::tools::{self, Identity, Tls};
use crate::support::{Client, Node, Setup, Target, wait};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::Shutdown;

#[test]
fn what_the_node_answers_itself_says_which_action() {
    let target = Target::named("hello");
    let node = node(&target);
    let mut client = Client::plain(node.address("fixed"));
    assert_eq!(client.get("/").status, 404);
    let line = node.access_line(0);
    assert_eq!(line.fields([ELB_STATUS, TARGET_STATUS, TARGET]), ["404", "-", "-"]);
    assert_eq!(line.fields([RULE, ACTION, TARGET_GROUP]), ["0", "fixed-response", "-"]);
    assert_eq!(line.fields(TIMES), ["-1"; 3]);
    assert!(line.field(TRACE_ID).starts_with("Root=1-"), "{}", line.text);
    // A client that is refused by 403 got as far as a request, and no further.
    let mut client =
        Client::tls(node.address("asks"), "api.example.com", &tls_config(Some("expired")));
    assert_eq!(client.get("/").status, 403);
    let line = node.access_line(1);
    assert_eq!(line.fields([TYPE, ELB_STATUS, RULE, ACTION]), ["https", "403", "-", "-"]);
    assert!(node.log_line(1).contains(" Failed:ClientCertExpired "));
    assert!(node.log_line(1).contains(line.field(CONNECTION)), "{}", line.text);
}

#[test]
fn what_was_agreed_on_in_the_handshake_is_in_each_line() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("https");
    let ecdsa = "arn:aws:acm:::certificate/ecdsa";
    let config = tls_config(None);
    for (index, (name, domain, certificate)) in [
        ("api.example.com", "api.example.com", ecdsa),
        // The same client comes back by a ticket.
        ("api.example.com", "api.example.com", "session-reused"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::tls(address, name, &config);
        assert_eq!(client.get("/").status, 200);
        let line = node.access_line(index);
        assert_eq!(line.fields([TYPE, PROTOCOL]), ["https", "TLSv1.3"]);
        assert!(line.field(CIPHER).starts_with("TLS_"), "{}", line.text);
        assert_eq!(line.fields([DOMAIN, CERTIFICATE]), [domain, certificate], "{}", line.text);
        assert!(node.log_line(index).contains(line.field(CONNECTION)), "{}", line.text);
        let request = format!("GET https://localhost:{}/ HTTP/1.1", address.port());
        assert_eq!(line.field(REQUEST), request);
    }
    // A name that no certificate answers for gets the default, and clients of TLS 1.2 by its own names.
    let unknown = tools::curl_https(address, "nobody.invalid", Identity::None, Tls::V12, &["-k"]);
    assert!(unknown.stdout.ends_with("200"), "{}", unknown.said());
    let line = node.access_line(2);
    assert_eq!(line.fields([PROTOCOL, DOMAIN, CERTIFICATE]), ["TLSv1.2", "-", ecdsa]);
    assert!(line.field(CIPHER).starts_with("ECDHE-"), "{}", line.text);
}

#[test]
fn a_websocket_has_one_line_when_it_closes() {
    const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let target = Target::with(|_, stream| {
        stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfrom the target",
        )?;
        stream.read_to_end(&mut Vec::new())?;
        close()
    });
    let node = node(&target);
    let mut socket = connect(node.address("plain"));
    socket.write_all(ASK.as_bytes()).unwrap();
    socket.write_all(b"from the client").unwrap();
    let mut client = Client::on(socket.try_clone().unwrap());
    let answer = client.answer();
    assert_eq!(answer.status, 101);
    assert!(node.lines_of("access.log").is_empty(), "it is open");
    socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.until_closed(), b"from the target");
    let line = only_line(&node);
    assert_eq!(line.fields([TYPE, ELB_STATUS, TARGET_STATUS]), ["ws", "101", "101"]);
    assert_eq!(line.number(RECEIVED) as usize, ASK.len() + "from the client".len());
    assert_eq!(line.number(SENT) as usize, answer.head.len() + "from the target".len());
}

#[test]
fn the_json_form_says_why() {
    let target = Target::with(|received, stream| match received.request_line() {
        "GET /closed HTTP/1.1" => close(),
        _ => stream.write_all(ok("hello").as_bytes()),
    });
    let logs = ", access: {path: access.log, format: json}".to_owned();
    let node = Node::with(Setup { logs, ..Setup::default() }, &configuration(&[target.entry()]));
    for request in ["GET / HTTP/1.1", "GET /closed HTTP/1.1", "GET / HTTP/9.9"] {
        let mut client = Client::plain(node.address("plain"));
        client.send(format!("{request}\r\nHost: a\r\nConnection: close\r\n\r\n"));
        client.until_closed();
    }
    let lines = wait::until("three lines", || {
        let lines = node.lines_of("access.log");
        (lines.len() == 3).then_some(lines)
    });
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reasons = ["null", "\"target_closed\"", "\"unsupported_version\""];
    for (line, reason) in lines.iter().zip(reasons) {
        assert_eq!(line["reason"].to_string(), reason, "{line}");
        assert_eq!(
            (&line["listener"], &line["generation"]),
            (&"plain".into(), &1.into()),
            "{line}"
        );
    }
    assert_eq!(lines[0]["target_port"], target.address.port());
    assert_eq!(lines[1]["request_processing_time"], Value::Null);
    assert_eq!(node.log().iter().filter(|line| line.starts_with('{')).count(), 0, "it is ALB's");
}

#[test]
fn an_access_log_may_come_and_go_with_a_reload() {
    let target = Target::named("hello");
    let configuration = configuration(&[target.entry()]);
    let mut node = Node::start(&configuration);
    let mut client = Client::plain(node.address("plain"));
    client.get("/before");
    assert!(!node.path("access.log").exists());
    node.set_logs(", access: access.log");
    node.configure(&configuration);
    node.reload();
    client.get("/logged");
    let line = node.access_line(0);
    assert!(line.field(REQUEST).contains("/logged "), "{}", line.text);
    assert!(node.log_line(0).contains(line.field(CONNECTION)), "its connection is older");
    node.set_logs("");
    node.configure(&configuration);
    node.reload();
    client.send("GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.until_closed();
    assert_eq!(node.lines_of("access.log").len(), 1);
}
