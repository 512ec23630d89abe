//! HTTP/2 from clients, to targets that speak HTTP/1.1: streams, their content, and how they end.
use crate::support::http2::{code, config, flag, frame, kind, reset, setting};
use crate::support::node::piece;
use crate::support::target::{nobody, ok};
use crate::support::{Http2, Node, Target, target, wait};
use std::io::{Read, Write};
use std::sync::mpsc::channel;

/// A node with one listener `https` that forwards to these targets.
fn node(entries: &[String], more: &str) -> Node {
    let configuration = [
        piece::certificates(),
        piece::partners(),
        piece::targets(entries),
        "listeners:\n".to_owned(),
        piece::https("https", more),
    ];
    Node::start(&configuration.concat())
}

/// One that waits for silent clients and targets no longer than that.
fn impatient_node(entries: &[String]) -> Node {
    let configuration = [
        piece::certificates(),
        piece::targets(entries),
        piece::idle_timeout(4),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    Node::start(&configuration.concat())
}

fn client(node: &Node) -> Http2 {
    Http2::connect(node.address("https"), &config(None))
}

#[test]
fn many_streams_of_one_connection_are_served_at_once() {
    // Nobody is answered before all have come.
    let (sender, all) = channel();
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(STREAMS));
    let target = Target::with(move |received, stream| {
        barrier.wait();
        let _ = sender.send(());
        let path = received.request_line().split(' ').nth(1).unwrap_or_default();
        stream.write_all(ok(path).as_bytes())
    });
    let node = node(&[target.entry()], "");
    let mut client = client(&node);
    let ids: Vec<u32> = (0..STREAMS)
        .map(|index| client.request(flag::END_STREAM, "GET", &format!("/{index}"), &[]))
        .collect();
    for (index, id) in ids.into_iter().enumerate() {
        let answer = client.answer(id);
        assert_eq!((answer.status, answer.text()), (200, format!("/{index}")));
        assert!(answer.whole);
    }
    assert_eq!(all.try_iter().count(), STREAMS);
    let announced = client.announced[&setting::MAX_CONCURRENT_STREAMS];
    assert_eq!(announced as usize, STREAMS, "ALB's number");
    node.assert_no_panic();
}

/// ALB: 128 concurrent streams.
const STREAMS: usize = 128;

#[test]
fn a_stream_too_many_is_refused_and_may_be_tried_again() {
    let (target, go) = Target::slow();
    let node = node(&[target.entry()], "");
    let mut client = client(&node);
    let ids: Vec<u32> =
        (0..STREAMS).map(|_| client.request(flag::END_STREAM, "GET", "/slow", &[])).collect();
    let id = client.request(flag::END_STREAM, "GET", "/", &[]);
    assert_eq!(client.answer(id).reset, Some(code::REFUSED_STREAM));
    go.store(true, std::sync::atomic::Ordering::Relaxed);
    for id in ids {
        assert_eq!(client.answer(id).text(), "firstother");
    }
    assert_eq!(client.get("/").text(), "hello");
    node.metric_becomes("portcullis_http2_streams_refused_total", &["listener=\"https\""], 1.0);
}

#[test]
fn content_of_requests_arrives_whole_with_a_length_and_without() {
    let target = Target::named("hello");
    let node = node(&[target.entry()], "");
    let mut client = client(&node);
    let content: Vec<u8> = (0..300_000_u32).map(|index| (index >> 3) as u8).collect();
    let length = content.len().to_string();
    let id = client.request(0, "POST", "/", &[("content-length", &length)]);
    client.upload(id, &content, true);
    assert_eq!(client.answer(id).text(), "hello");
    let received = target.received();
    assert_eq!(received.value("content-length"), length);
    assert!(received.values("transfer-encoding").is_empty());
    assert!(received.body == content);

    let id = client.request(0, "POST", "/", &[]);
    client.upload(id, &content, true);
    assert_eq!(client.answer(id).text(), "hello");
    let received = target.received();
    assert_eq!(received.value("transfer-encoding"), "chunked");
    assert!(received.values("content-length").is_empty());
    assert!(unchunked(&received.body) == content);
}

/// The content of a chunked body, read strictly.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let end = target::find(body, b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        let (chunk, rest) = body[end + 2..].split_at(size);
        assert!(rest.starts_with(b"\r\n"), "a chunk ends with CRLF");
        body = &rest[2..];
        if size == 0 {
            assert!(body.is_empty());
            return content;
        }
        content.extend_from_slice(chunk);
    }
}

#[test]
fn answers_without_content_have_none() {
    let target = Target::with(|received, stream| {
        let answer = match received.request_line() {
            line if line.starts_with("HEAD") => "200 OK\r\nContent-Length: 1234\r\n",
            line if line.contains("/204") => "204 No Content\r\n",
            line if line.contains("/304") => {
                "304 Not Modified\r\nContent-Length: 77\r\nETag: x\r\n"
            }
            _ => "200 OK\r\nContent-Length: 0\r\n",
        };
        stream.write_all(format!("HTTP/1.1 {answer}\r\n").as_bytes())
    });
    let node = node(&[target.entry()], "");
    let mut client = client(&node);
    for (method, path, status, length) in [
        ("HEAD", "/", 200, Some("1234")),
        ("GET", "/204", 204, None),
        ("GET", "/304", 304, Some("77")),
        ("GET", "/", 200, Some("0")),
    ] {
        let answer = client.ask(method, path, &[]);
        assert!(answer.whole && answer.body.is_empty(), "{method} {path}");
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.values("content-length").first().copied(), length, "{method} {path}");
    }
    // All on one connection of the target's, which nothing has got out of step.
    assert!(target.so_far().iter().all(|received| received.connection == 0));
}

#[test]
fn an_answer_of_unknown_length_is_whole_at_its_end_and_only_there() {
    let target = Target::with(|received, stream| match received.request_line() {
        line if line.contains("/chunked") => stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
        line if line.contains("/close") => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello")?;
            target::close()
        }
        line if line.contains("/cut-chunk") => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello")?;
            target::close()
        }
        _ => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")?;
            target::close()
        }
    });
    let node = node(&[target.entry()], "");
    let mut client = client(&node);
    for path in ["/chunked", "/close"] {
        let answer = client.get(path);
        assert!(answer.whole, "{path}");
        assert_eq!(answer.text(), "hello", "{path}");
    }
    for path in ["/cut-chunk", "/cut-length"] {
        let answer = client.get(path);
        assert!(!answer.whole, "{path}");
        assert_eq!(answer.reset, Some(code::INTERNAL_ERROR), "{path}");
    }
    let labels = ["target_group=\"targets\"", "reason=\"target_closed\""];
    node.metric_becomes("portcullis_upstream_errors_total", &labels, 2.0);
    assert_eq!(client.get("/chunked").status, 200, "the connection goes on");
}

#[test]
fn early_hints_pass_and_continue_does_not() {
    let target = Target::answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let node = node(&[target.entry()], "");
    let answer = client(&node).get("/");
    let interim: Vec<u16> = answer.interim.iter().map(|(status, _)| *status).collect();
    assert_eq!(interim, [103]);
    assert!(answer.interim[0].1.contains(&("link".to_owned(), b"</a.css>".to_vec())));
    assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()));
}

/// RFC 9113, section 8.1: a server "MAY request that the client abort transmission of a request without error
/// by sending a RST_STREAM with an error code of NO_ERROR after sending a complete response".
#[test]
fn an_answer_before_the_request_is_whole_ends_the_upload_without_error() {
    let target = early_target();
    let node = node(&[entry(&target)], "");
    let mut client = client(&node);
    let id = client.request(0, "POST", "/", &[]);
    client.upload(id, b"a beginning", false);
    client.until(|client| client.answers.get(&id).is_some_and(|answer| answer.whole));
    let answer = client.answers[&id].clone();
    assert_eq!((answer.status, answer.text()), (200, "enough".to_owned()));
    client.until(|client| client.answers[&id].reset.is_some());
    assert_eq!(client.answers[&id].reset, Some(code::NO_ERROR));
    // What the client sends meanwhile hurts nobody.
    client.upload(id, b"more", true);
    client.ping();
    assert!(client.goaways.is_empty());
}

/// A target that answers as soon as it has read a head.
fn early_target() -> std::net::SocketAddr {
    target::on_head(|_, mut stream| {
        stream.write_all(ok("enough").as_bytes())?;
        stream.read_to_end(&mut Vec::new()).map(|_| ())
    })
}

fn entry(address: &std::net::SocketAddr) -> String {
    target::entry(*address)
}

#[test]
fn a_request_that_is_taken_back_ends_its_targets_connection() {
    let (sender, ends) = channel();
    let target = Target::with(move |received, stream| {
        if received.request_line().contains("/hang") {
            // The node closes; a script that reads before would be told more.
            let _ = sender.send(stream.read(&mut [0]).map_or(0, |count| count));
            return target::close();
        }
        stream.write_all(ok("hello").as_bytes())
    });
    let node = node(&[target.entry()], "");
    let mut client = client(&node);
    let id = client.request(flag::END_STREAM, "GET", "/hang", &[]);
    target.received();
    client.send(reset(id, code::CANCEL));
    assert_eq!(ends.recv_timeout(wait::PATIENCE), Ok(0));
    assert_eq!(client.get("/").text(), "hello", "the connection goes on");
    // It is nobody's error.
    assert!(node.metric("portcullis_upstream_errors_total", &[]) < 0.5);
    node.assert_no_panic();
}

#[test]
fn a_target_that_fails_is_answered_by_502_503_and_504() {
    let target = Target::with(|received, stream| match received.request_line() {
        line if line.contains("/garbage") => stream.write_all(b"garbage\r\n\r\n"),
        line if line.contains("/silent") => stream.read(&mut [0]).map(|_| ()),
        _ => target::close(),
    });
    let targets = impatient_node(&[target.entry()]);
    let mut client_of_targets = client(&targets);
    for (path, status) in [("/closed", 502), ("/garbage", 502), ("/silent", 504)] {
        let answer = client_of_targets.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.whole && answer.text().contains(&status.to_string()), "{path}");
    }
    let nobody = nobody();
    let refused = node(&[nobody.entry()], "");
    assert_eq!(client(&refused).get("/").status, 502);
    let empty = node(&[], "");
    assert_eq!(client(&empty).get("/").status, 503);
}

#[test]
fn a_client_that_stops_sending_its_content_gets_408() {
    let target = Target::named("hello");
    let node = impatient_node(&[target.entry()]);
    let mut client = client(&node);
    let id = client.request(0, "POST", "/", &[("content-length", "10")]);
    client.upload(id, b"12345", false);
    let answer = client.answer(id);
    assert_eq!((answer.status, answer.whole), (408, true));
    client.until(|client| client.answers.get(&id).is_some_and(|answer| answer.reset.is_some()));
    assert_eq!(client.get("/").text(), "hello", "the connection goes on");
}

#[test]
fn padding_and_priority_are_nothing_to_a_target() {
    let target = Target::named("hello");
    let node = node(&[target.entry()], "");
    let mut client = client(&node);
    let fields = [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "a")];
    let mut head = vec![7, 0, 0, 0, 0, 16];
    head.extend(crate::support::hpack::encode(&fields));
    head.extend([0; 7]);
    let flags = flag::END_HEADERS | flag::PADDED | flag::PRIORITY;
    let id = client.next_id();
    client.send(frame(kind::HEADERS, flags, id, head));
    client.send(frame(kind::DATA, flag::PADDED, id, b"\x03abc\0\0\0"));
    client.send(frame(kind::DATA, flag::PADDED | flag::END_STREAM, id, b"\x02def\0\0"));
    assert_eq!(client.answer(id).text(), "hello");
    assert_eq!(unchunked(&target.received().body), b"abcdef");
}
