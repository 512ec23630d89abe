//! Target groups of protocol_version HTTP2 and GRPC: what goes on over HTTP/2, in both directions.
use crate::support::http2::{code, config, flag, frame, kind, reset, window_update};
use crate::support::http2_target::{Call, fields, response};
use crate::support::node::{named, piece};
use crate::support::target::nobody;
use crate::support::{Client, Http2, Http2Target, Node, Target, client, hpack, long, wait};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// A node with one listener `https` that forwards to these targets.
fn node(version: &str, entries: &[String]) -> Node {
    with(version, entries, "", "")
}

/// The same with attributes of the load balancer and fields of the listener.
fn with(version: &str, entries: &[String], attributes: &str, more: &str) -> Node {
    let configuration = [
        piece::certificates(),
        piece::partners(),
        piece::targets_of(version, entries),
        format!("load_balancer: {{name: edge, attributes: {{{attributes}}}}}\n"),
        "listeners:\n".to_owned(),
        piece::https("https", more),
    ];
    Node::start(&configuration.concat())
}

fn client(node: &Node) -> Http2 {
    Http2::connect(node.address("https"), &config(None))
}

const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc"), ("te", "trailers")];

#[test]
fn a_target_gets_a_head_of_http_2_by_the_same_rules() {
    let target = Http2Target::named("hello");
    let node = with("HTTP2", &[target.entry()], "", &piece::verify(""));
    let port = node.address("https").port();
    let mut client = Http2::connect(node.address("https"), &config(Some("good")));
    let answer = client.ask(
        "GET",
        "/a/b?c=d",
        &[
            ("x-amzn-mtls-clientcert-subject", "CN=forged"),
            ("x_amzn_mtls_clientcert_leaf", "forged"),
            ("x-forwarded-for", "198.51.100.7"),
            ("x-forwarded-proto", "http"),
            ("expect", "100-continue"),
            ("te", "trailers"),
            ("accept", "one"),
            ("accept", "two"),
        ],
    );
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    let received = target.received();
    assert_eq!(received.head.method(), "GET");
    assert_eq!(received.head.uri().to_string(), format!("http://localhost:{port}/a/b?c=d"));
    assert_eq!(received.values("accept"), ["one", "two"]);
    assert_eq!(received.value("te"), "trailers");
    assert_eq!(received.value("x-forwarded-for"), "198.51.100.7, 127.0.0.1");
    assert_eq!(received.value("x-forwarded-proto"), "https");
    assert_eq!(received.value("x-forwarded-port"), port.to_string());
    assert!(received.value("x-amzn-trace-id").starts_with("Root=1-"));
    assert!(received.value("x-amzn-mtls-clientcert-subject").contains("CN="));
    assert!(received.value("x-amzn-mtls-clientcert-leaf").starts_with("-----BEGIN"));
    for gone in ["expect", "x_amzn_mtls_clientcert_leaf", "host", "connection", "content-length"] {
        assert_eq!(received.values(gone), [""; 0], "{gone}");
    }
    node.assert_no_panic();
}

/// `alb-contract.md`, section 4.6.
#[test]
fn the_protocol_matrix_is_albs() {
    let (http1, http2) = (Target::named("http1"), Http2Target::named("http2"));
    for (version, entry, expected) in [
        // HTTP/1.1 GET, HTTP/2 GET, HTTP/2 POST, gRPC
        ("HTTP1", http1.entry(), [200, 200, 200, 464]),
        ("HTTP2", http2.entry(), [464, 200, 200, 200]),
        ("GRPC", http2.entry(), [464, 464, 200, 200]),
    ] {
        let node = node(version, &[entry]);
        let address = node.address("https");
        let mut plain = Client::tls(address, "localhost", &client::tls_config(None));
        let mut multiplexed = Http2::connect(address, &config(None));
        let answers = [
            plain.get("/").status,
            multiplexed.get("/").status,
            multiplexed.ask("POST", "/", &[]).status,
            multiplexed.ask("POST", "/", GRPC).status,
        ];
        assert_eq!(answers, expected, "{version}");
        let status = node.status();
        assert_eq!(named(&status["target_groups"], "targets")["protocol_version"], version);
    }
}

#[test]
fn content_flows_both_ways_whole_with_a_length_and_without() {
    let target = Http2Target::with(|mut call: Call| async move {
        let length = call.head.headers().get("content-length").cloned();
        let (content, _) = call.all().await;
        let mut head = response(200);
        if let Some(length) = length {
            head.headers_mut().insert("content-length", length);
        }
        let mut answer = call.begin(head);
        answer.send(content.into()).await;
        answer.end();
    });
    let node = node("HTTP2", &[target.entry()]);
    let mut client = client(&node);
    let content: Vec<u8> = (0..1_000_000_u32).map(|index| (index >> 3) as u8).collect();
    for bytes in [0, 1, 1_023, 16_384, 65_535, 1_000_000] {
        for announced in [true, false] {
            let length = bytes.to_string();
            let more = [("content-length", length.as_str())];
            let id = client.request(0, "POST", "/", if announced { &more } else { &[] });
            client.upload(id, &content[..bytes], true);
            if bytes == 0 {
                client.send(frame(kind::DATA, flag::END_STREAM, id, b""));
            }
            let answer = client.answer(id);
            assert_eq!((answer.status, answer.body.len()), (200, bytes));
            assert!(answer.whole && answer.body == content[..bytes]);
            let expected = if announced { vec![length.as_str()] } else { vec![] };
            assert_eq!(answer.values("content-length"), expected);
            assert_eq!(target.received().values("content-length"), expected);
        }
    }
    node.assert_no_panic();
}

#[test]
fn trailers_go_on_in_both_directions_and_carry_nothing_forged() {
    let (sender, seen) = std::sync::mpsc::channel();
    let target = Http2Target::with(move |mut call: Call| {
        let sender = sender.clone();
        async move {
            let (content, trailers) = call.all().await;
            let _ = sender.send((content, trailers.unwrap_or_default()));
            let mut answer = call.begin(response(200));
            answer.send("answer".into()).await;
            answer.end_with(fields(&[
                ("grpc-status", "5"),
                ("grpc-message", "not here"),
                ("x-checksum-bin", "AAEC"),
                ("content-type", "forged"),
                ("x-amzn-mtls-clientcert-subject", "forged"),
            ]));
        }
    });
    let node = node("GRPC", &[target.entry()]);
    let mut client = client(&node);
    let id = client.request(0, "POST", "/", GRPC);
    client.send(frame(kind::DATA, 0, id, b"question"));
    let trailers = hpack::encode(&[
        ("x-sum", "7"),
        ("x-amzn-mtls-clientcert-subject", "forged"),
        ("x_forwarded_for", "forged"),
        ("authorization", "forged"),
    ]);
    client.send(frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, id, trailers));
    let answer = client.answer(id);
    let (content, trailers) = seen.recv_timeout(wait::PATIENCE).unwrap();
    assert_eq!(content, b"question");
    assert_eq!(trailers, fields(&[("x-sum", "7")]));
    assert_eq!(answer.text(), "answer");
    let expected = [("grpc-status", "5"), ("grpc-message", "not here"), ("x-checksum-bin", "AAEC")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    assert_eq!(answer.trailers, expected);
}

#[test]
fn an_answer_of_trailers_alone_goes_on() {
    let target = Http2Target::with(|mut call: Call| async move {
        let mut head = response(200);
        head.headers_mut().extend(fields(&[
            ("content-type", "application/grpc"),
            ("grpc-status", "12"),
            ("grpc-message", "unknown method"),
        ]));
        call.respond.send_response(head, true).unwrap();
    });
    let node = node("GRPC", &[target.entry()]);
    let answer = client(&node).ask("POST", "/no.Such/Method", GRPC);
    assert_eq!((answer.status, answer.whole, answer.body.len()), (200, true, 0));
    assert_eq!(answer.values("grpc-status"), ["12"]);
}

#[test]
fn interim_answers_pass_and_continue_does_not() {
    let target = Http2Target::with(|mut call: Call| async move {
        for status in [100, 103, 103] {
            let mut interim = response(status);
            interim.headers_mut().extend(fields(&[("link", "</style.css>")]));
            call.respond.send_informational(interim).unwrap();
        }
        call.answer(200, "final").await;
    });
    let node = node("HTTP2", &[target.entry()]);
    let answer = client(&node).get("/");
    let statuses: Vec<u16> = answer.interim.iter().map(|(status, _)| *status).collect();
    assert_eq!((statuses, answer.text().as_str()), (vec![103, 103], "final"));
}

/// A question and its answer at a time, on one stream, for as long as both like.
#[test]
fn both_directions_of_a_stream_flow_at_once() {
    let target = Http2Target::with(|mut call: Call| async move {
        let mut answer = call.begin(response(200));
        while let Some(content) = call.content().await {
            answer.send(content).await;
        }
        answer.end_with(fields(&[("grpc-status", "0")]));
    });
    // Far beyond the idle timeout in all, never between two bytes.
    let node = with("GRPC", &[target.entry()], "idle_timeout.timeout_seconds: 5", "");
    let mut client = client(&node);
    let id = client.request(0, "POST", "/", GRPC);
    let began = std::time::Instant::now();
    let mut sent = Vec::new();
    for index in 0_u32.. {
        let content = [index as u8; 100];
        sent.extend_from_slice(&content);
        client.upload(id, &content, false);
        client.until(|client| client.answers.get(&id).is_some_and(|it| it.body == sent));
        if began.elapsed().as_secs() > 10 {
            break;
        }
        wait::pause();
    }
    client.send(frame(kind::DATA, flag::END_STREAM, id, b""));
    let answer = client.answer(id);
    assert!(answer.whole && answer.body == sent);
    assert_eq!(answer.trailers, [("grpc-status".to_owned(), b"0".to_vec())]);
}

#[test]
fn a_request_that_the_client_takes_back_is_cancelled_at_the_target() {
    let (sender, resets) = std::sync::mpsc::channel();
    let target = Http2Target::with(move |mut call: Call| {
        let sender = sender.clone();
        async move {
            let code = if call.path() == "/begun" {
                let mut answer = call.begin(response(200));
                answer.send("begun".into()).await;
                answer.reset().await
            } else {
                call.reset().await
            };
            let _ = sender.send(code);
        }
    });
    let node = node("GRPC", &[target.entry()]);
    let mut client = client(&node);
    // Before an answer, and in the middle of one; while content is sent, and after it.
    for (path, flags) in
        [("/", 0), ("/", flag::END_STREAM), ("/begun", 0), ("/begun", flag::END_STREAM)]
    {
        let id = client.request(flags, "POST", path, GRPC);
        target.received();
        if path == "/begun" {
            client.until(|client| client.answers.get(&id).is_some_and(|it| it.body == b"begun"));
        }
        client.send(reset(id, code::CANCEL));
        let seen = resets.recv_timeout(wait::PATIENCE).unwrap();
        assert_eq!(seen, Some(h2::Reason::CANCEL), "{path} {flags}");
    }
    // The client's connection ends with all of its streams.
    client.request(0, "POST", "/", GRPC);
    target.received();
    drop(client);
    assert_eq!(resets.recv_timeout(wait::PATIENCE).unwrap(), Some(h2::Reason::CANCEL));
}

#[test]
fn a_target_that_resets_a_stream_is_a_502_or_a_reset_of_what_has_begun() {
    let target = Http2Target::with(|mut call: Call| async move {
        let reason = match call.path().rsplit('/').next() {
            Some("cancel") => h2::Reason::CANCEL,
            Some("calm") => h2::Reason::ENHANCE_YOUR_CALM,
            _ => h2::Reason::STREAM_CLOSED,
        };
        if call.path().starts_with("/begun") {
            let mut answer = call.begin(response(200));
            answer.send("begun".into()).await;
            // Content is the word to go on: a reset drops what has not been sent yet.
            call.content().await;
            answer.0.send_reset(reason);
        } else {
            call.respond.send_reset(reason);
        }
    });
    let node = node("GRPC", &[target.entry()]);
    let mut client = client(&node);
    let answer = client.ask("POST", "/cancel", GRPC);
    assert_eq!(answer.status, 502);
    assert_eq!(
        (answer.values("grpc-status"), answer.values("grpc-message")),
        (vec!["14"], vec!["unavailable"])
    );
    assert_eq!(client.ask("POST", "/cancel", &[]).values("grpc-status"), [""; 0]);
    for (path, expected) in [
        ("/begun/cancel", code::CANCEL),
        ("/begun/calm", code::ENHANCE_YOUR_CALM),
        ("/begun/closed", code::INTERNAL_ERROR),
    ] {
        let id = client.request(0, "POST", path, GRPC);
        client.until(|client| client.answers.get(&id).is_some_and(|it| it.body == b"begun"));
        client.upload(id, b"go on", false);
        assert_eq!(client.answer(id).reset, Some(expected), "{path}");
    }
    assert_eq!(client.ask("POST", "/cancel", GRPC).status, 502, "the connection goes on");
    node.assert_no_panic();
}

#[test]
fn an_answer_before_the_whole_request_is_an_answer() {
    let target = Http2Target::with(|call: Call| call.answer(413, "too much"));
    let node = node("HTTP2", &[target.entry()]);
    let mut client = client(&node);
    let id = client.request(0, "POST", "/", &[("content-length", "1000000")]);
    client.send(frame(kind::DATA, 0, id, [0; 1_000]));
    let answer = client.answer(id);
    assert_eq!((answer.status, answer.text().as_str(), answer.whole), (413, "too much", true));
    // RFC 9113, section 8.1: the client need not send the rest.
    client.until(|client| client.answers.get(&id).is_some_and(|late| late.reset.is_some()));
    assert_eq!(client.answers[&id].reset, Some(code::NO_ERROR));
    assert_eq!(client.get("/").status, 413, "the connection goes on");
}

#[test]
fn what_does_not_speak_http_2_or_is_not_there_is_answered_for() {
    let (http1, gone) = (Target::named("hello"), nobody());
    for (entries, status, reason) in [
        (vec![http1.entry()], 502, "target_malformed"),
        (vec![gone.entry()], 502, "connect_refused"),
        (vec![], 503, "no_target"),
    ] {
        let node = node("GRPC", &entries);
        let answer = client(&node).ask("POST", "/", GRPC);
        assert_eq!((answer.status, answer.values("grpc-status")), (status, vec!["14"]), "{reason}");
        let label = format!("reason=\"{reason}\"");
        node.metric_becomes("portcullis_upstream_errors_total", &[&label], 1.0);
    }
}

#[test]
fn silence_is_answered_by_504_and_408_and_ends_what_has_begun() {
    let target = Http2Target::with(|mut call: Call| async move {
        if call.path() == "/begun" {
            let mut answer = call.begin(response(200));
            answer.send("begun".into()).await;
            answer.reset().await;
        } else {
            call.reset().await;
        }
    });
    let node = with("GRPC", &[target.entry()], "idle_timeout.timeout_seconds: 4", "");
    let mut client = client(&node);
    let answer = client.ask("POST", "/", GRPC);
    assert_eq!((answer.status, answer.values("grpc-status")), (504, vec!["14"]));
    let id = client.request(0, "POST", "/", &[("content-length", "5")]);
    assert_eq!(client.answer(id).status, 408, "the client's content was waited for");
    let answer = client.ask("POST", "/begun", GRPC);
    assert_eq!((answer.status, answer.reset), (200, Some(code::INTERNAL_ERROR)));
    node.metric_becomes("portcullis_upstream_errors_total", &["reason=\"target_timeout\""], 2.0);
}

/// Goal: neither side's slowness grows the node. Method: one side sends as the node lets it while the other
/// takes nothing, then all of it passes, on one stream; 1 GiB in the long run.
#[test]
fn a_stream_of_any_length_takes_little_memory() {
    let bytes: u64 = if long() { 1 << 30 } else { 64 << 20 };
    let sent = Arc::new(AtomicU64::new(0));
    let go = Arc::new(Notify::new());
    let (counted, told) = (Arc::clone(&sent), Arc::clone(&go));
    let target = Http2Target::with(move |mut call: Call| {
        let (sent, go) = (Arc::clone(&counted), Arc::clone(&told));
        async move {
            let mut answer = call.begin(response(200));
            match call.path() {
                "/download" => {
                    let piece = Bytes::from(vec![7; PIECE]);
                    for _ in 0..bytes / PIECE as u64 {
                        sent.fetch_add(PIECE as u64, Ordering::Relaxed);
                        answer.send(piece.clone()).await;
                    }
                }
                "/upload" => {
                    go.notified().await;
                    let mut received = 0;
                    while let Some(content) = call.content().await {
                        received += content.len() as u64;
                    }
                    answer.send(received.to_string().into()).await;
                }
                _ => {}
            }
            answer.end();
        }
    });
    let node = node("HTTP2", &[target.entry()]);
    let mut client = client(&node);
    client.get("/");
    node.forget_most_resident();
    let before = node.resident_kib();

    // Down: at first the client takes what its windows were at the beginning, and no more.
    client.opens_windows = false;
    let id = client.request(flag::END_STREAM, "GET", "/download", &[]);
    client.until(|client| client.answers.get(&id).is_some_and(|it| it.body.len() == WINDOW));
    client.ping();
    assert!(sent.load(Ordering::Relaxed) < 4 << 20, "the node holds the target");
    client.opens_windows = true;
    for stream in [0, id] {
        client.send(window_update(stream, WINDOW as u32));
    }
    let mut received = 0;
    loop {
        let answer = client.answers.get_mut(&id).expect("it has begun");
        received += answer.body.len() as u64;
        answer.body.clear();
        if answer.ended() {
            break;
        }
        client.step().expect("the node goes on");
    }
    assert_eq!((received, client.answers[&id].whole), (bytes, true));

    // Up: at first the target takes nothing.
    let id = client.request(0, "POST", "/upload", &[]);
    let piece = vec![7; PIECE];
    client.upload(id, &piece, false);
    client.ping();
    go.notify_one();
    for _ in 0..bytes / PIECE as u64 - 2 {
        client.upload(id, &piece, false);
    }
    client.upload(id, &piece, true);
    assert_eq!(client.answer(id).text(), bytes.to_string());
    let grown = node.most_resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "grown by {grown} KiB");
    node.assert_no_panic();
}

/// What is sent at a time.
const PIECE: usize = 32 * 1024;
/// What windows are before anybody opens them (RFC 9113, section 6.9.2).
const WINDOW: usize = 65_535;
