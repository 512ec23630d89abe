//! How old a client's connection may grow, by either protocol. Source: `alb-contract.md`, section 5.1.
use crate::support::http2::{code, config};
use crate::support::node::piece;
use crate::support::{Client, Http2, Node, Target, wait};
use std::time::{Duration, Instant};

fn configuration(target: &Target, keep_alive_seconds: u32) -> String {
    [
        piece::certificates(),
        piece::targets(&[target.entry()]),
        format!(
            "load_balancer: {{name: edge, attributes: {{idle_timeout.timeout_seconds: 600, \
             client_keep_alive.seconds: {keep_alive_seconds}}}}}\n"
        ),
        "listeners:\n".to_owned(),
        piece::http("plain", ""),
        piece::https("https", ""),
    ]
    .concat()
}

/// A connection of each protocol, which has served a request.
fn clients(node: &Node) -> (Client, Http2) {
    let mut http1 = Client::plain(node.address("plain"));
    assert_eq!(http1.get("/").text(), "hello");
    let mut http2 = Http2::connect(node.address("https"), &config(None));
    assert_eq!(http2.get("/").text(), "hello");
    (http1, http2)
}

/// ALB's least is a minute, so that this takes one. A connection lives by the attribute as it was when it was made:
/// the old ones here were made with a minute, the young ones with an hour, and each meets the other's at the end.
#[test]
fn an_old_connection_serves_one_more_request() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target, 60));
    let (mut old_http1, mut old_http2) = clients(&node);
    node.configure(&configuration(&target, 3_600));
    node.reload();
    let (mut young_http1, mut young_http2) = clients(&node);
    let made = Instant::now();
    let is_over = || (made.elapsed() > Duration::from_secs(61)).then_some(());
    wait::within(3 * wait::PATIENCE, "a minute to pass", is_over);

    let answer = old_http1.get("/");
    assert_eq!((answer.text(), answer.values("Connection")), ("hello".to_owned(), vec!["close"]));
    assert!(old_http1.until_closed().is_empty());
    assert!(old_http2.goaways.is_empty(), "age alone ends nothing");
    assert_eq!(old_http2.get("/").text(), "hello");
    let ending = old_http2.ending();
    assert_eq!((ending.code(), ending.clean), (Some(code::NO_ERROR), true));

    node.configure(&configuration(&target, 60));
    node.reload();
    for _ in 0..2 {
        let answer = young_http1.get("/");
        assert_eq!((answer.text(), answer.values("Connection")), ("hello".to_owned(), vec![]));
        assert_eq!(young_http2.get("/").text(), "hello");
    }
    assert!(young_http2.goaways.is_empty());
}
