//! gRPC by another implementation: PyPI's `grpcio` on both sides, over TLS with a client certificate.
use crate::support::node::piece;
use crate::support::pki::pki;
use crate::support::{Node, Setup, tools};
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
