//! gRPC by another implementation, PyPI's `grpcio` on both sides, over TLS with a client certificate; and how
//! a call is logged.
use crate::access_log::{
    ACTION, ELB_STATUS, PROTOCOL, RECEIVED, REQUEST, SENT, TARGET, TARGET_GROUP, TARGET_STATUS,
    TIMES, TYPE, USER_AGENT,
};
use crate::support::http2::{self, flag};
use crate::support::http2_target::{self, Call, response};
use crate::support::node::piece;
use crate::support::pki::pki;
use crate::support::{Http2, Http2Target, Node, Setup, tools};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The server, and its port.
fn server() -> (Child, u16) {
    let mut server = Command::new(tools::PYTHON)
        .args([PAIR, "serve"])
        .env("PYTHONPATH", tools::PYTHON_PACKAGES)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut line = String::new();
    let mut said = BufReader::new(server.stdout.take().expect("stdout is piped"));
    said.read_line(&mut line).expect("the server says where it listens");
    let port = line.trim().parse().expect("the server says its port");
    (server, port)
}

const PAIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/grpc_pair.py");

#[test]
fn the_usual_cases_of_interoperability_go_through() {
    let (mut server, port) = server();
    let configuration = [
        piece::certificates(),
        piece::partners(),
        piece::targets_of("GRPC", &[format!("{{id: 127.0.0.1, port: {port}}}")]),
        "listeners:\n".to_owned(),
        piece::https("https", &piece::verify("")),
    ];
    let logs = ", access: access.log".to_owned();
    let node = Node::with(Setup { logs, ..Setup::default() }, &configuration.concat());
    let path = format!("PYTHONPATH={}", tools::PYTHON_PACKAGES);
    let port = node.address("https").port().to_string();
    let (root, chain, key) =
        (pki().path("root.crt"), pki().path("good.crt"), pki().path("good.key"));
    let call = [&path, tools::PYTHON, PAIR, "call", &port, &root, &chain, &key];
    let ended = tools::run("env", &call, b"").success();
    assert_eq!(ended.stdout, "16 cases\n", "{}", ended.stderr);
    // Its last case ended it.
    assert!(server.wait().expect("the server can be waited for").success());
    node.assert_no_panic();
    let lines = node.lines_of("access.log");
    assert!(lines.iter().all(|line| line.starts_with("grpcs ")), "{lines:?}");
}

/// What fields count, as lines of HTTP/1.1 do.
fn fields_bytes<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> usize {
    let line = |(name, value): &(N, V)| name.as_ref().len() + value.as_ref().len() + ": \r\n".len();
    fields.iter().map(line).sum()
}

#[test]
fn a_call_is_logged_with_its_target_and_all_its_bytes_once() {
    let target = Http2Target::with(|mut call: Call| async move {
        call.all().await;
        call.respond.send_informational(response(103)).expect("the stream is open");
        let mut answer = call.begin(response(200));
        answer.send("answer".into()).await;
        answer.end_with(http2_target::fields(&[("grpc-status", "5"), ("grpc-message", "gone")]));
    });
    let configuration = [
        piece::certificates(),
        piece::targets_of("GRPC", &[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    let logs = ", access: access.log".to_owned();
    let node = Node::with(Setup { logs, ..Setup::default() }, &configuration.concat());
    let address = node.address("https");
    let mut client = Http2::connect(address, &http2::config(None));
    let more = [("content-type", "application/grpc+proto"), ("user-agent", "grpc-test/1")];
    let trailers = [("x-sum", "7")];
    let id = client.request(0, "POST", "/orders.Orders/Get", &more);
    client.upload(id, b"question", false);
    client.send(http2::head(id, flag::END_STREAM, &trailers));
    let answer = client.answer(id);
    let line = node.access_line(0);
    let entry = target.address.to_string();
    assert_eq!(line.fields([TYPE, TARGET, USER_AGENT]), ["grpcs", entry.as_str(), "grpc-test/1"]);
    assert_eq!(line.fields([ELB_STATUS, TARGET_STATUS, ACTION]), ["200", "200", "forward"]);
    assert_eq!(line.field(PROTOCOL), "TLSv1.3");
    assert!(line.field(TARGET_GROUP).contains("targetgroup/targets/"), "{}", line.text);
    let request = format!("POST https://localhost:{}/orders.Orders/Get HTTP/2.0", address.port());
    assert_eq!(line.field(REQUEST), request);
    assert!(!line.fields(TIMES).contains(&"-1"), "{}", line.text);
    let head = "POST".len() + "/orders.Orders/Get".len() + "localhost".len() + fields_bytes(&more);
    let received = head + "question".len() + fields_bytes(&trailers);
    assert_eq!(line.number(RECEIVED) as usize, received);
    let (_, interim) = &answer.interim[0];
    let heads = [interim, &answer.fields, &answer.trailers].map(|fields| fields_bytes(fields));
    assert_eq!(line.number(SENT) as usize, heads.iter().sum::<usize>() + "answer".len());
    assert_eq!(node.metric("portcullis_upstream_requests_total", &[]) as usize, 1);
}
