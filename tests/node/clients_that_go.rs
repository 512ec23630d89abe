//! A client that goes while its target works on its request takes the request along; whoever has only said more
//! already is answered.
use crate::access_log::{ELB_STATUS, TIMES};
use crate::support::client::{connect, handshake, tls_config};
use crate::support::http2::{code, config, flag, reset};
use crate::support::node::piece;
use crate::support::target::{connecting_to, entry, ok, silent_to_connect};
use crate::support::{Client, Http2, Node, Setup, Target, wait};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A target that works on `/work` for as long as the node is there; how often it saw the node go.
fn working() -> (Target, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(0));
    let gone = Arc::clone(&left);
    let target = Target::with(move |received, stream| {
        if received.request_line().contains("/work") {
            while stream.read(&mut [0; 1]).is_ok_and(|count| count > 0) {}
            gone.fetch_add(1, Ordering::Relaxed);
            return crate::support::target::close();
        }
        stream.write_all(ok(received.request_line()).as_bytes())
    });
    (target, left)
}

fn node(target: &Target) -> Node {
    Node::start(&configuration(&target.entry()))
}

fn configuration(target: &str) -> String {
    [
        piece::certificates(),
        piece::targets(&[target.to_owned()]),
        "listeners:\n".to_owned(),
        piece::http("plain", ""),
        piece::https("https", ""),
    ]
    .concat()
}

fn closed(node: &Node, listener: &str, count: f64) {
    let labels = [&*format!("listener=\"{listener}\""), "reason=\"client_closed\""];
    node.metric_becomes("portcullis_connections_closed_total", &labels, count);
}

fn left_becomes(left: &AtomicUsize, count: usize) {
    wait::until("the target to be let go", || {
        (left.load(Ordering::Relaxed) == count).then_some(())
    });
}

/// Goal: what is counted as a failed request was one. Method: connections that end as most do, and one request
/// that breaks off.
#[test]
fn who_goes_between_two_requests_has_failed_none() {
    let (target, _left) = working();
    let node = node(&target);
    for served in [0, 1, 3] {
        for address in [node.address("plain"), node.address("https")] {
            let mut client = match address == node.address("plain") {
                true => Client::plain(address),
                false => Client::tls(address, "localhost", &tls_config(None)),
            };
            for _ in 0..served {
                assert_eq!(client.get("/").status, 200);
            }
            drop(client);
        }
    }
    closed(&node, "plain", 3.0);
    let failed = |count| node.metric_becomes("portcullis_http_requests_failed_total", &[], count);
    failed(0.0);
    let mut client = Client::plain(node.address("plain"));
    client.send("GET / HTTP/1.1\r\nHos");
    drop(client);
    failed(1.0);
}

#[test]
fn the_target_is_let_go_when_its_client_has_gone() {
    let (target, left) = working();
    let node = node(&target);
    let bodies = [
        "GET /work HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /work HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST /work HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    ];
    for (index, request) in bodies.into_iter().enumerate() {
        let mut stream = connect(node.address("plain"));
        // On a kept connection to client and target, where a failed request would be tried again.
        let warm = "GET /warm HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(warm.as_bytes()).unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        assert!(target.received().request_line().contains("/warm"));
        stream.write_all(request.as_bytes()).unwrap();
        assert!(target.received().request_line().contains("/work"));
        drop(stream);
        left_becomes(&left, index + 1);
        closed(&node, "plain", (index + 1) as f64);
    }
    let errors = node.metric("portcullis_upstream_errors_total", &[]);
    assert!(errors < 0.5, "{errors}: it was not the target's fault");
    assert!(target.so_far().is_empty(), "nothing was tried again");
    assert_eq!(Client::plain(node.address("plain")).get("/").status, 200);
}

#[test]
fn a_reset_is_noticed_as_well() {
    let (target, left) = working();
    let node = node(&target);
    let stream = connect(node.address("plain"));
    (&stream).write_all(b"GET /work HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    target.received();
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
    left_becomes(&left, 1);
    closed(&node, "plain", 1.0);
}

#[test]
fn over_tls_a_goodbye_and_a_closed_connection_are_the_same() {
    let (target, left) = working();
    let node = node(&target);
    for (index, says_goodbye) in [true, false].into_iter().enumerate() {
        let mut stream = handshake(node.address("https"), "localhost", &tls_config(None));
        stream.write_all(b"GET /work HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        target.received();
        if says_goodbye {
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        } else {
            stream.sock.shutdown(Shutdown::Both).unwrap();
        }
        left_becomes(&left, index + 1);
        closed(&node, "https", (index + 1) as f64);
    }
}

#[test]
fn what_a_client_says_meanwhile_is_its_next_request_however_it_is_cut() {
    // It answers once it is told to.
    let (target, go) = Target::slow();
    let node = node(&target);
    for listener in ["plain", "https"] {
        go.store(false, Ordering::Relaxed);
        let address = node.address(listener);
        let mut client = match listener {
            "plain" => Client::plain(address),
            _ => Client::tls(address, "localhost", &tls_config(None)),
        };
        client.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
        target.received();
        client.send("GET /next HT");
        client.send("TP/1.1\r\nHost: localhost\r\n\r\nGET /la");
        go.store(true, Ordering::Relaxed);
        assert_eq!(client.answer().text(), "firstother");
        assert_eq!(client.answer().text(), "hello");
        client.send("st HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(client.answer().text(), "hello");
        let lines: Vec<_> = (0..2).map(|_| target.received().request_line().to_owned()).collect();
        assert_eq!(lines, ["GET /next HTTP/1.1", "GET /last HTTP/1.1"]);
    }
    node.assert_no_panic();
}

#[test]
fn a_client_that_has_said_all_it_has_to_say_gets_every_answer() {
    let (target, _) = working();
    let node = node(&target);
    let mut stream = connect(node.address("plain"));
    let requests: String =
        (0..5).map(|index| format!("GET /{index} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    stream.write_all(requests.as_bytes()).unwrap();
    let mut client = Client::on(stream);
    for index in 0..5 {
        assert_eq!(client.answer().text(), format!("GET /{index} HTTP/1.1"));
    }
}

/// Goal: who takes a request back while its target is connected to keeps nothing of the node. Method: a target that
/// answers no connection, and two streams, of which one had not sent its content.
#[test]
fn a_stream_that_is_taken_back_before_its_target_is_reached_ends_at_once() {
    let (address, _kept) = silent_to_connect();
    let logs = ", access: access.log".to_owned();
    let node = Node::with(Setup { logs, ..Setup::default() }, &configuration(&entry(address)));
    let before = connecting_to(address);
    let connecting = |count: usize| {
        wait::until("the node to connect, or to give it up", || {
            (connecting_to(address) == before + count).then_some(())
        });
    };
    let mut client = Http2::connect(node.address("https"), &config(None));
    for (index, (ends, status)) in [(flag::END_STREAM, "460"), (0, "400")].into_iter().enumerate() {
        let id = client.request(ends, "POST", "/", &[]);
        connecting(1);
        client.send(reset(id, code::CANCEL));
        connecting(0);
        let line = node.access_line(index);
        assert_eq!(line.field(ELB_STATUS), status, "{}", line.text);
        assert_eq!(line.fields(TIMES), ["-1"; 3], "{}", line.text);
    }
    let label = "reason=\"client_closed\"";
    node.metric_becomes("portcullis_http_requests_failed_total", &[label], 2.0);
    // Nobody waited for a connect to come to its end.
    assert!(node.metric("portcullis_upstream_errors_total", &[]) < 0.5);
    client.ping();
    node.assert_no_panic();
}
