//! At its limits the node sheds what is too much, serves what it has, and recovers.
use crate::support::client::{connect, tls_config};
use crate::support::node::piece;
use crate::support::{Client, Node, Setup, Target, wait};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

fn configuration(target: &Target) -> String {
    [
        piece::certificates(),
        piece::targets(&[target.entry()]),
        piece::idle_timeout(4_000),
        "listeners:\n".to_owned(),
        piece::http("plain", piece::SLOW_HEADS),
        piece::https("https", "handshakes_in_flight_max: 4\nhandshake_timeout_ms: 7000"),
    ]
    .concat()
}

/// A connection that has sent the beginning of a request and now waits.
fn half_a_request(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    // The node may have closed it already.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n");
    stream
}

#[test]
fn a_node_out_of_files_sheds_connections_and_recovers() {
    let target = Target::named("hello");
    let setup = Setup { under: vec!["prlimit", "--nofile=256:256"], ..Setup::default() };
    let node = Node::with(setup, &configuration(&target));
    let address = node.address("plain");
    let mut first = Client::plain(address);
    assert_eq!(first.get("/").status, 200);
    for round in 0..3 {
        let mut crowd: Vec<TcpStream> = (0..400).map(|_| half_a_request(address)).collect();
        wait::until("connections to be shed", || {
            (node.metric("portcullis_connections_shed_total", &[]) > f64::from(round * 50))
                .then_some(())
        });
        assert_eq!(first.get("/").status, 200, "who is in is served");
        // Who is in may still finish; who was shed has been closed.
        let finished = crowd.iter_mut().filter_map(|stream| {
            stream.write_all(b"\r\n").ok()?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).ok().filter(|()| &answer == b"HTTP/1.1 200")
        });
        let finished = finished.count();
        assert!((1..400).contains(&finished), "{finished} of 400");
        drop(crowd);
        wait::until("a new client to be served", || {
            let mut client = Client::plain(address);
            client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
            client.try_answer("GET").ok().filter(|answer| answer.status == 200)
        });
    }
    node.assert_no_panic();
}

#[test]
fn the_limit_of_open_files_is_raised_to_the_hard_one_and_told() {
    let target = Target::named("hello");
    let setup = Setup { under: vec!["prlimit", "--nofile=200:3000"], ..Setup::default() };
    let node = Node::with(setup, &configuration(&target));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("3000"), "{line}");
    assert!(node.stderr().contains("3000"), "{}", node.stderr());
}

#[test]
fn handshakes_over_the_bound_are_shed_and_the_rest_goes_on() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target));
    let address = node.address("https");
    // The header of a record, and nothing of it.
    let mut crowd: Vec<TcpStream> = (0..20).map(|_| connect(address)).collect();
    for stream in &mut crowd {
        let _ = stream.write_all(&[0x16, 3, 1, 2, 0]);
    }
    let labels = ["listener=\"https\"", "outcome=\"shed\""];
    node.metric_becomes("portcullis_tls_handshakes_total", &labels, 16.0);
    // Those in flight run into their deadline, and the next is welcome.
    let labels = ["listener=\"https\"", "outcome=\"timed_out\""];
    node.metric_becomes("portcullis_tls_handshakes_total", &labels, 4.0);
    let mut client = Client::tls(address, "localhost", &tls_config(None));
    assert_eq!(client.get("/").status, 200);
}
