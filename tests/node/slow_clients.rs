//! Clients that send or read slower than their listener asks for are ended; whoever is fast enough is not.
use crate::support::client::{connect, tls_config};
use crate::support::http2::{config, flag, frame, kind};
use crate::support::http2_target::{Call, response};
use crate::support::node::piece;
use crate::support::target::{entry, ok, silent_to_connect};
use crate::support::{Client, Http2, Http2Target, Node, Target, wait};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const CLOSED: &str = "portcullis_connections_closed_total";

/// A listener with these fields of `slow_clients`.
fn node(target: &Target, slow_clients: &str) -> Node {
    let slow_clients = format!("slow_clients: {{{slow_clients}}}");
    Node::start(
        &[
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::http("plain", &slow_clients),
        ]
        .concat(),
    )
}

/// Sends a beginning and then a byte from time to time; what the node says in the end.
fn drip(node: &Node, beginning: &str, byte: &str) -> String {
    let mut stream = connect(node.address("plain"));
    stream.write_all(beginning.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.set_nonblocking(true).unwrap();
    wait::until("a slow client to be told", || {
        let _ = stream.write_all(byte.as_bytes());
        let mut room = [0; 1024];
        match stream.read(&mut room) {
            Ok(count) if count > 0 => {
                answer.extend_from_slice(&room[..count]);
                None
            }
            // The end, or a reset because of what was still sent.
            Ok(_) => Some(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(_) => Some(()),
        }
    });
    String::from_utf8_lossy(&answer).into_owned()
}

fn assert_408(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
}

#[test]
fn a_head_that_is_not_whole_in_time_gets_408_however_it_drips() {
    let target = Target::named("hello");
    let node = node(&target, "request_head_timeout_seconds: 1");
    assert_408(&drip(&node, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", "a"));
    node.metric_becomes(CLOSED, &["reason=\"slow_head\""], 1.0);
    assert_eq!(Client::plain(node.address("plain")).get("/").status, 200);
    assert_eq!(target.so_far().len(), 1, "the target saw nothing of it");
}

#[test]
fn a_body_below_the_floor_gets_408_and_one_above_it_arrives() {
    let target = Target::named("hello");
    let node = node(&target, "request_body_bytes_per_second_min: 4000, window_seconds: 2");
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    assert_408(&drip(&node, head, "a"));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_408(&drip(&node, head, "1\r\na\r\n"));
    node.metric_becomes(CLOSED, &["reason=\"slow_body\""], 2.0);

    // As a busy machine lets it, for several windows.
    let mut client = Client::plain(node.address("plain"));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let part = format!("{:x}\r\n{}\r\n", 4_000, "a".repeat(4_000));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        client.send(&part);
        wait::pause();
    }
    assert_eq!(client.ask("0\r\n\r\n").status, 200);
    node.metric_becomes(CLOSED, &["reason=\"slow_body\""], 2.0);
}

/// Answers with more than the kernel keeps for a client.
fn generous_target() -> Target {
    const BYTES: usize = 64 << 20;
    Target::with(|_, stream| {
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n").as_bytes())?;
        let part = vec![b'a'; 1 << 16];
        (0..BYTES / part.len()).try_for_each(|_| stream.write_all(&part))
    })
}

#[test]
fn a_client_that_reads_below_the_floor_is_reset() {
    let target = generous_target();
    let node = node(&target, "response_bytes_per_second_min: 4000, window_seconds: 1");
    let mut stream = connect(node.address("plain"));
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    wait::until("a slow reader to be ended", || {
        stream.read_exact(&mut [0; 2]).ok();
        (node.metric(CLOSED, &["reason=\"slow_reader\""]) > 0.5).then_some(())
    });
    let mut rest = Vec::new();
    assert!(stream.read_to_end(&mut rest).is_err() || rest.len() < 64 << 20, "it is not whole");
}

/// Goal: the kernel's buffers, which take nothing for seconds and then megabytes, make nobody slow who is not.
#[test]
fn a_client_that_reads_slowly_and_above_the_floor_is_served() {
    let target = generous_target();
    let node = node(&target, "response_bytes_per_second_min: 1000, window_seconds: 2");
    let mut stream = connect(node.address("plain"));
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let began = Instant::now();
    let mut room = vec![0; 8_000];
    while began.elapsed() < Duration::from_secs(8) {
        stream.read_exact(&mut room).unwrap();
        wait::pause();
    }
    // The rest as fast as it comes: all of it is there.
    let mut rest = Vec::new();
    stream.set_nonblocking(false).unwrap();
    while rest.len() < 1 << 20 {
        let count = stream.read(&mut room).unwrap();
        assert!(count > 0, "cut off");
        rest.extend_from_slice(&room[..count]);
    }
    assert!(node.metric(CLOSED, &["reason=\"slow_reader\""]) < 0.5);
}

#[test]
fn a_request_may_take_no_longer_than_its_listener_allows() {
    // It never answers /silent, and never ends what it says to /endless.
    let target = Target::with(|received, stream| {
        match received.request_line().split(' ').nth(1) {
            Some("/silent") => drop(stream.read(&mut [0; 1])),
            Some("/endless") => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                loop {
                    stream.write_all(b"1\r\na\r\n")?;
                    wait::pause();
                }
            }
            _ => stream.write_all(ok("hello").as_bytes())?,
        }
        Ok(())
    });
    let node = node(&target, "request_timeout_seconds: 3, request_body_bytes_per_second_min: 0");
    let mut client = Client::plain(node.address("plain"));
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.get("/silent").status, 504, "the request was whole");
    node.metric_becomes(CLOSED, &["reason=\"target_timeout\""], 1.0);

    assert_408(&drip(&node, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", "a"));
    node.metric_becomes(CLOSED, &["reason=\"request_timeout\""], 1.0);

    let mut client = Client::plain(node.address("plain"));
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    let said = String::from_utf8_lossy(&client.until_closed()).into_owned();
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    assert!(!said.ends_with("0\r\n\r\n"), "half an answer must not look like a whole one");
    node.metric_becomes(CLOSED, &["reason=\"request_timeout\""], 2.0);
    node.assert_no_panic();
}

/// Goal: the time that a request may take has begun while its target is connected to. Method: targets that answer
/// no connection, of either protocol, and clients of either protocol.
#[test]
fn connecting_to_a_target_is_part_of_the_time_that_a_request_may_take() {
    let (address, _kept) = silent_to_connect();
    for version in ["HTTP1", "HTTP2"] {
        let node = Node::start(
            &[
                piece::certificates(),
                piece::targets_of(version, &[entry(address)]),
                "listeners:\n".to_owned(),
                piece::https("https", "slow_clients: {request_timeout_seconds: 1}"),
            ]
            .concat(),
        );
        if version == "HTTP1" {
            let mut client = Client::tls(node.address("https"), "localhost", &tls_config(None));
            let answer = client.get("/");
            assert_eq!((answer.status, answer.values("Connection")), (504, vec!["close"]));
        }
        let mut client = Http2::connect(node.address("https"), &config(None));
        assert_eq!(client.get("/").status, 504, "{version}");
        // Its second is what ran out, and not the ten that a target has to take a connection.
        let errors = "portcullis_upstream_errors_total";
        wait::until("the target to be late", || {
            (node.metric(errors, &["reason=\"target_timeout\""]) > 0.5).then_some(())
        });
        assert!(node.metric(errors, &["reason=\"connect_timeout\""]) < 0.5, "{version}");
    }
}

/// The same listener over TLS, for HTTP/2.
fn node_of_http2(target: &Target, slow_clients: &str) -> Node {
    node_of_streams("HTTP1", &target.entry(), slow_clients)
}

/// The same with a target of this protocol.
fn node_of_streams(version: &str, target: &str, slow_clients: &str) -> Node {
    let slow_clients = format!("slow_clients: {{{slow_clients}}}");
    Node::start(
        &[
            piece::certificates(),
            piece::targets_of(version, &[target.to_owned()]),
            "listeners:\n".to_owned(),
            piece::https("https", &slow_clients),
        ]
        .concat(),
    )
}

const FAILED: &str = "portcullis_http_requests_failed_total";

#[test]
fn a_stream_whose_content_drips_gets_408_and_the_others_go_on() {
    let http1 = Target::named("hello");
    drips("HTTP1", &http1.entry());
    let http2 = Http2Target::with(|mut call: Call| async move {
        call.all().await;
        call.answer(200, "hello").await;
    });
    drips("HTTP2", &http2.entry());
}

fn drips(version: &str, target: &str) {
    let floor = "request_body_bytes_per_second_min: 4000, window_seconds: 2";
    let node = node_of_streams(version, target, floor);
    let mut client = Http2::connect(node.address("https"), &config(None));
    let id = client.request(0, "POST", "/", &[]);
    wait::until("a slow stream to be told", || {
        client.upload(id, b"a", false);
        client.ping();
        client.answers.get(&id).filter(|answer| answer.status == 408).map(drop)
    });
    node.metric_becomes(FAILED, &["reason=\"slow_body\""], 1.0);
    assert_eq!(client.get("/").text(), "hello");

    // As a busy machine lets it, for several windows.
    let id = client.request(0, "POST", "/", &[]);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        client.upload(id, &[b'a'; 4_000], false);
        wait::pause();
    }
    client.send(frame(kind::DATA, flag::END_STREAM, id, b""));
    assert_eq!(client.answer(id).status, 200);
    node.assert_no_panic();
}

#[test]
fn a_stream_that_takes_nothing_of_its_answer_is_reset() {
    let http1 = generous_target();
    takes_nothing("HTTP1", &http1.entry());
    let http2 = Http2Target::with(|mut call: Call| async move {
        let mut answer = call.begin(response(200));
        while answer.send(vec![b'a'; 1 << 16].into()).await {}
    });
    takes_nothing("HTTP2", &http2.entry());
}

fn takes_nothing(version: &str, target: &str) {
    let floor = "response_bytes_per_second_min: 4000, window_seconds: 1";
    let node = node_of_streams(version, target, floor);
    let mut client = Http2::connect(node.address("https"), &config(None));
    client.opens_windows = false;
    let id = client.request(flag::END_STREAM, "GET", "/", &[]);
    node.metric_becomes(FAILED, &["reason=\"slow_reader\""], 1.0);
    client.until(|client| client.answers.get(&id).is_some_and(|answer| answer.reset.is_some()));
    assert!(!client.answers[&id].whole);
    client.ping();
}

#[test]
fn a_stream_may_take_no_longer_than_its_listener_allows() {
    let target = Target::with(|received, stream| {
        if received.request_line().contains("/silent") {
            let _ = stream.read(&mut [0; 1]);
        }
        stream.write_all(ok("hello").as_bytes())
    });
    let node = node_of_http2(&target, "request_timeout_seconds: 3");
    let mut client = Http2::connect(node.address("https"), &config(None));
    assert_eq!(client.get("/silent").status, 504);
    let id = client.request(0, "POST", "/", &[]);
    assert_eq!(client.answer(id).status, 408);
    node.metric_becomes(FAILED, &["reason=\"request_timeout\""], 1.0);
    assert_eq!(client.get("/").text(), "hello");
}
