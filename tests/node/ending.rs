//! The end: no new work, what is under way is finished, exit 0.
use crate::support::node::piece;
use crate::support::target::ok;
use crate::support::{Client, Node, Setup, Target, wait};
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, mpsc};

/// A target that answers when it is told to.
fn waiting_target() -> (Target, Sender<()>) {
    let (go, wait) = channel();
    #[expect(clippy::disallowed_types, reason = "the target's threads share one receiver")]
    let wait: Arc<std::sync::Mutex<mpsc::Receiver<()>>> = Arc::new(std::sync::Mutex::new(wait));
    let target = Target::with(move |received, stream| {
        if received.request_line().contains("/slow") {
            let receiver = wait.lock().expect("no thread of the target panics");
            let _ = receiver.recv_timeout(10 * wait::PATIENCE);
        }
        stream.write_all(ok("done").as_bytes())
    });
    (target, go)
}

/// One that gives requests far more time for their end than a test waits.
fn node(target: &Target) -> Node {
    node_with(", drain_timeout_seconds: 600", target)
}

fn node_with(setup: &'static str, target: &Target) -> Node {
    Node::with(
        Setup { shards: 2, node: setup, ..Setup::default() },
        &[piece::targets(&[target.entry()]), "listeners:\n".to_owned(), piece::http("plain", "")]
            .concat(),
    )
}

/// Begins the end in some way while one request is under way and one connection is idle.
fn ends_well(begin: impl FnOnce(&Node)) {
    let (target, go) = waiting_target();
    let mut node = node(&target);
    let address = node.address("plain");
    let mut idle = Client::plain(address);
    assert_eq!(idle.get("/").status, 200);
    let mut slow = Client::plain(address);
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    wait::until("the slow request to arrive", || {
        target.so_far().iter().any(|received| received.head.contains("/slow")).then_some(())
    });
    assert_eq!(node.probe("/readyz"), Some(200));
    begin(&node);
    wait::until("/readyz to turn 503", || (node.probe("/readyz") == Some(503)).then_some(()));
    assert_eq!(node.probe("/livez"), Some(200), "it still lives");
    wait::until("the listener to close", || TcpStream::connect(address).is_err().then_some(()));
    assert!(idle.until_closed().is_empty(), "an idle connection just ends");
    assert!(node.is_running(), "the request under way is waited for");
    go.send(()).unwrap();
    let answer = slow.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert_eq!(answer.values("Connection"), ["close"], "{}", answer.head);
    assert_eq!(node.ended().code(), Some(0), "{}", node.stderr());
    assert!(!node.path("portcullis.sock").exists(), "the admin socket is removed");
}

#[test]
fn a_term_signal_ends_the_node_well() {
    ends_well(|node| node.signal(Signal::TERM));
}

#[test]
fn an_interrupt_signal_ends_the_node_well() {
    ends_well(|node| node.signal(Signal::INT));
}

#[test]
fn an_idle_node_ends_at_once() {
    let target = Target::named("hello");
    let mut node = node(&target);
    assert_eq!(Client::plain(node.address("plain")).get("/").status, 200);
    node.signal(Signal::TERM);
    assert_eq!(node.ended().code(), Some(0));
}

/// `drain` prepares an end or a move: the node stops accepting and says that it is not ready.
#[test]
fn the_drain_command_turns_the_node_unready() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("plain");
    node.command("drain").success();
    wait::until("/readyz to turn 503 or the node to end", || {
        (node.probe("/readyz") != Some(200)).then_some(())
    });
    wait::until("the listener to close", || TcpStream::connect(address).is_err().then_some(()));
}

#[test]
fn the_time_for_the_end_is_bounded() {
    let (target, _go) = waiting_target();
    let mut node = node_with(", drain_timeout_seconds: 1", &target);
    let mut slow = Client::plain(node.address("plain"));
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(target.received().head.contains("/slow"));
    node.signal(Signal::TERM);
    assert_eq!(node.ended().code(), Some(0), "{}", node.stderr());
    let rest = String::from_utf8_lossy(&slow.until_closed()).into_owned();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 503 "), "{rest}");
}
