//! What breaks HTTP/2: by which error the client is told, and what is counted and logged of it.
use crate::support::http2::{
    PREFACE, code, config, flag, frame, kind, request, reset, setting, settings, window_update,
};
use crate::support::node::piece;
use crate::support::{Http2, Node, Setup, Target, hpack, wait};
use serde_json::Value;

fn node_with(setup: Setup, target: &Target) -> Node {
    let configuration = [
        piece::certificates(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    Node::with(setup, &configuration.concat())
}

fn node(target: &Target) -> Node {
    node_with(Setup::default(), target)
}

fn client(node: &Node) -> Http2 {
    Http2::connect(node.address("https"), &config(None))
}

/// RFC 9113 names the error of each.
#[test]
fn broken_frames_end_the_connection_by_the_error_that_the_standard_names() {
    let target = Target::named("hello");
    let node = node(&target);
    let get = || request(1, flag::END_STREAM, "GET", "/", &[]);
    let post = || request(1, 0, "POST", "/", &[]);
    let window = |value: u32| settings(&[(setting::INITIAL_WINDOW_SIZE, value)]);
    let cases = [
        // Section 4.2 and those of each type.
        ("PING of 7 bytes", frame(kind::PING, 0, 0, [0; 7]), code::FRAME_SIZE_ERROR),
        ("SETTINGS of 7 bytes", frame(kind::SETTINGS, 0, 0, [0; 7]), code::FRAME_SIZE_ERROR),
        (
            "acknowledged SETTINGS with some",
            frame(kind::SETTINGS, flag::ACK, 0, [0; 6]),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "WINDOW_UPDATE of 3 bytes",
            frame(kind::WINDOW_UPDATE, 0, 0, [0; 3]),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "RST_STREAM of 5 bytes",
            [get(), frame(kind::RST_STREAM, 0, 1, [0; 5])].concat(),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "PRIORITY of 4 bytes",
            [get(), frame(kind::PRIORITY, 0, 1, [0; 4])].concat(),
            code::FRAME_SIZE_ERROR,
        ),
        (
            "DATA over the size that was announced",
            [post(), frame(kind::DATA, 0, 1, vec![0; 16_385])].concat(),
            code::FRAME_SIZE_ERROR,
        ),
        // Sections 6.5.2 and 6.9.1.
        ("a window of 2 GiB", window(0x8000_0000), code::FLOW_CONTROL_ERROR),
        (
            "windows that add up to 2 GiB",
            [window_update(0, 0x7fff_ffff), window_update(0, 0x7fff_ffff)].concat(),
            code::FLOW_CONTROL_ERROR,
        ),
        // Section 5.1.
        (
            "content behind the end",
            [get(), frame(kind::DATA, flag::END_STREAM, 1, b"x")].concat(),
            code::STREAM_CLOSED,
        ),
        ("a head behind the end", [get(), get()].concat(), code::STREAM_CLOSED),
        (
            "content behind a reset",
            [post(), reset(1, code::CANCEL), frame(kind::DATA, 0, 1, b"x")].concat(),
            code::STREAM_CLOSED,
        ),
        (
            "a head behind a reset",
            [post(), reset(1, code::CANCEL), post()].concat(),
            code::STREAM_CLOSED,
        ),
        // Sections 5.1.1, 6.2, 6.10 and 8.4.
        (
            "a lower number",
            [request(5, flag::END_STREAM, "GET", "/", &[]), get()].concat(),
            code::PROTOCOL_ERROR,
        ),
        (
            "a head that is broken off",
            [frame(kind::HEADERS, 0, 1, b""), frame(kind::PING, 0, 0, [0; 8])].concat(),
            code::PROTOCOL_ERROR,
        ),
        (
            "CONTINUATION of nothing",
            [get(), frame(kind::CONTINUATION, 0, 1, b"")].concat(),
            code::PROTOCOL_ERROR,
        ),
        (
            "a push",
            [post(), frame(kind::PUSH_PROMISE, 0, 1, [0, 0, 0, 2, 0x88])].concat(),
            code::PROTOCOL_ERROR,
        ),
    ];
    for (what, bytes, expected) in &cases {
        let mut client = client(&node);
        client.send(bytes);
        let ending = client.ending();
        assert_eq!((ending.code(), ending.clean), (Some(*expected), true), "{what}");
    }
    let count = cases.len() as f64;
    let reason = ["reason=\"http2_malformed\""];
    node.metric_becomes("portcullis_connections_closed_total", &reason, count);
    assert_eq!(client(&node).get("/").status, 200);
    node.assert_no_panic();
}

/// The preface is taken before what follows is judged, or nobody could be told.
#[test]
fn a_client_whose_first_frame_is_broken_is_told_so() {
    let target = Target::named("hello");
    let node = node(&target);
    let mut client = Http2::silent(node.address("https"), "localhost", &config(None));
    let broken = settings(&[(setting::INITIAL_WINDOW_SIZE, 0x8000_0000)]);
    client.send([PREFACE, &broken].concat());
    let ending = client.ending();
    assert_eq!((ending.code(), ending.clean), (Some(code::FLOW_CONTROL_ERROR), true));
}

/// Goal: what never comes out of the crate is seen by the operator nevertheless. Method: a head with a
/// field of the connection and one over 128 KiB, between good ones.
#[test]
fn what_the_crate_refuses_itself_is_counted_and_has_its_line() {
    let target = Target::named("hello");
    let logs = ", access: {path: access.log, format: json}".to_owned();
    let node = node_with(Setup { logs, ..Setup::default() }, &target);
    let mut client = client(&node);
    assert_eq!(client.get("/").status, 200);
    let block = |more: &[(&str, &str)]| {
        let get = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a")];
        hpack::encode(&[&get[..], more].concat())
    };
    let malformed = block(&[("connection", "close")]);
    let id = client.next_id();
    client.send(frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, id, &malformed));
    let answer = client.answer(id);
    assert_eq!((answer.status, answer.reset), (0, Some(code::PROTOCOL_ERROR)));
    let part = "a".repeat(8_000);
    let id = client.next_id();
    let huge = block(&[("x", &*part); 17]);
    let mut parts = huge.chunks(16_384);
    client.send(frame(kind::HEADERS, flag::END_STREAM, id, parts.next().unwrap_or_default()));
    parts.for_each(|part| client.send(frame(kind::CONTINUATION, 0, id, part)));
    client.send(frame(kind::CONTINUATION, flag::END_HEADERS, id, b""));
    client.until(|client| client.answers.get(&id).is_some_and(|answer| answer.status != 0));
    assert_eq!(client.answers[&id].status, 431);
    assert_eq!(client.get("/").status, 200);
    let lines = wait::until("four lines", || {
        let lines = node.lines_of("access.log");
        (lines.len() == 4).then_some(lines)
    });
    let mut told: Vec<String> = lines
        .iter()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let what = format!("{} {} {}", line["type"], line["elb_status_code"], line["reason"]);
            match line["reason"].is_null() {
                true => what,
                // What came of a head that nobody has read: its frames.
                false => format!("{what} {} {}", line["received_bytes"], line["sent_bytes"]),
            }
        })
        .collect();
    // The line of a request that the node serves is written when its stream has ended.
    told.sort();
    assert_eq!(
        told,
        [
            r#""h2" 200 null"#.to_owned(),
            r#""h2" 200 null"#.to_owned(),
            format!(r#""h2" 431 "head_too_long" {} 14"#, huge.len()),
            format!(r#""h2" null "breaks_http2" {} 0"#, malformed.len()),
        ]
    );
    for (reason, count) in [("breaks_http2", 1.0), ("head_too_long", 1.0)] {
        let label = format!("reason=\"{reason}\"");
        node.metric_becomes("portcullis_http_malformed_total", &[&label], count);
    }
    node.metric_becomes("portcullis_http_responses_total", &["status_class=\"4xx\""], 1.0);
    assert_eq!(target.so_far().len(), 2);
}

/// RFC 9113, sections 8.2.1, 8.3.1 and 8.5: malformed by HTTP/2 alone, where HTTP/1.1 has another answer or none.
#[test]
fn requests_that_are_malformed_by_http_2_alone_are_reset() {
    let target = Target::named("hello");
    let node = node(&target);
    let mut client = client(&node);
    for more in [("x", " a"), ("x", "a\t"), ("host", "other.example")] {
        let answer = client.ask("GET", "/", &[more]);
        assert_eq!((answer.status, answer.reset), (0, Some(code::PROTOCOL_ERROR)), "{more:?}");
    }
    let id = client.next_id();
    let connect = hpack::encode(&[(":method", "CONNECT")]);
    client.send(frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, id, connect));
    assert_eq!(client.answer(id).reset, Some(code::PROTOCOL_ERROR));
    assert_eq!(client.get("/").status, 200);
    node.metric_becomes("portcullis_http_malformed_total", &["reason=\"breaks_http2\""], 4.0);
    assert_eq!(target.so_far().len(), 1);
}
