//! Target groups of protocol_version HTTP2 and GRPC.
use crate::support::node::piece;
use crate::support::pki;
use crate::support::tools::curl;
use crate::support::{Http2Target, Node};

/// A node with one listener `https` that forwards to these targets.
fn node(version: &str, entries: &[String], more: &str) -> Node {
    let configuration = [
        piece::certificates(),
        piece::partners(),
        piece::targets_of(version, entries),
        "listeners:\n".to_owned(),
        piece::https("https", more),
    ];
    Node::start(&configuration.concat())
}

#[test]
fn a_request_by_http_2_reaches_a_target_by_http_2() {
    let target = Http2Target::named("hello");
    let node = node("HTTP2", &[target.entry()], "");
    let url = format!("https://localhost:{}/a/b?c=d", node.address("https").port());
    let root = pki().path("root.crt");
    let said = curl(&["--http2", "--cacert", &root, "-i", &url]).success();
    assert!(said.stdout.starts_with("HTTP/2 200"), "{}", said.said());
    assert!(said.stdout.ends_with("hello"), "{}", said.said());
    let received = target.received();
    assert_eq!(received.head.uri().to_string(), format!("{}", url.replace("https", "http")));
    assert_eq!(received.value("x-forwarded-proto"), "https");
}
