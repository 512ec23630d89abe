//! Messages whose form says less, or more, than their content: HEAD, 204, 304, 1xx, lengths that are wrong and
//! answers that come early, from and to targets of either protocol.
use crate::support::http2::{code, config, flag, frame, head, kind};
use crate::support::http2_target::{Call, raw};
use crate::support::node::piece;
use crate::support::target::{on_head, read_head};
use crate::support::{Http2, Http2Target, Node, Target, target, wait};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::channel;

fn node(version: &str, address: SocketAddr) -> Node {
    let configuration = [
        piece::certificates(),
        piece::targets_of(version, &[target::entry(address)]),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    Node::start(&configuration.concat())
}

fn client(node: &Node) -> Http2 {
    Http2::connect(node.address("https"), &config(None))
}

/// What becomes of an answer.
#[derive(Debug, Eq, PartialEq)]
enum Became {
    /// It goes on: status, length, content.
    Whole(u16, Option<&'static str>, &'static str),
    /// It is none, or not to its end: 502, or a reset.
    Broken,
}
use Became::{Broken, Whole};

/// What a client gets of `method /` from a target.
fn assert_became(version: &str, address: SocketAddr, method: &str, expected: &Became, what: &str) {
    let node = node(version, address);
    let mut client = client(&node);
    let answer = client.ask(method, "/", &[]);
    match *expected {
        Whole(status, length, content) => {
            assert!(answer.whole, "{what}: {:?}", answer.reset);
            assert_eq!((answer.status, answer.text().as_str()), (status, content), "{what}");
            assert_eq!(answer.values("content-length").first().copied(), length, "{what}");
        }
        Broken => {
            let reset = answer.reset == Some(code::INTERNAL_ERROR);
            assert!(reset && !answer.whole || answer.status == 502, "{what}: {answer:?}");
            let label = ["reason=\"target_malformed\""];
            node.metric_becomes("portcullis_upstream_errors_total", &label, 1.0);
        }
    }
    assert!(client.goaways.is_empty(), "{what}: the connection goes on");
    node.assert_no_panic();
}

/// Fields of a head, and the DATA behind it.
type Frames = (&'static [(&'static str, &'static str)], &'static [&'static str]);

#[test]
fn an_answer_of_a_target_of_http_2_has_the_content_that_its_form_says() {
    const OK: (&str, &str) = (":status", "200");
    const NONE: (&str, &str) = (":status", "204");
    const SAME: (&str, &str) = (":status", "304");
    let cases: [(&str, &str, Frames, Became); 18] = [
        (
            "a length",
            "GET",
            (&[OK, ("content-length", "5")], &["ab", "cde"]),
            Whole(200, Some("5"), "abcde"),
        ),
        ("no length", "GET", (&[OK], &["ab", "", "cde", ""]), Whole(200, None, "abcde")),
        ("no content", "GET", (&[OK], &[]), Whole(200, None, "")),
        (
            "no content, a length of 0",
            "GET",
            (&[OK, ("content-length", "0")], &[]),
            Whole(200, Some("0"), ""),
        ),
        ("HEAD", "HEAD", (&[OK, ("content-length", "1234")], &[]), Whole(200, Some("1234"), "")),
        (
            "HEAD, ended apart",
            "HEAD",
            (&[OK, ("content-length", "1234")], &[""]),
            Whole(200, Some("1234"), ""),
        ),
        ("204", "GET", (&[NONE], &[]), Whole(204, None, "")),
        ("204, ended apart", "GET", (&[NONE], &[""]), Whole(204, None, "")),
        ("304", "GET", (&[SAME, ("content-length", "77")], &[]), Whole(304, Some("77"), "")),
        ("too little", "GET", (&[OK, ("content-length", "5")], &["abc"]), Broken),
        ("too much", "GET", (&[OK, ("content-length", "5")], &["abc", "defg"]), Broken),
        ("nothing in place of five", "GET", (&[OK, ("content-length", "5")], &[]), Broken),
        (
            "two lengths",
            "GET",
            (&[OK, ("content-length", "5"), ("content-length", "6")], &["abcde"]),
            Broken,
        ),
        ("no number", "GET", (&[OK, ("content-length", "+5")], &["abcde"]), Broken),
        ("HEAD with content", "HEAD", (&[OK], &["abc"]), Broken),
        ("204 with content", "GET", (&[NONE], &["abc"]), Broken),
        ("304 with content", "GET", (&[SAME], &["abc"]), Broken),
        ("101", "GET", (&[(":status", "101")], &["abc"]), Broken),
    ];
    for (what, method, (fields, data), expected) in cases {
        let address = raw(move |_, id, stream| {
            let ends = |last: bool| if last { flag::END_STREAM } else { 0 };
            let mut frames = head(id, ends(data.is_empty()), fields);
            for (index, content) in data.iter().enumerate() {
                frames.extend(frame(kind::DATA, ends(index + 1 == data.len()), id, content));
            }
            stream.write_all(&frames)
        });
        assert_became("HTTP2", address, method, &expected, what);
    }
}

#[test]
fn an_answer_of_a_target_of_http_1_has_the_content_that_its_form_says() {
    for (what, method, answer, expected) in [
        (
            "too much",
            "GET",
            "200 OK\r\nContent-Length: 5\r\n\r\nabcdefg",
            Whole(200, Some("5"), "abcde"),
        ),
        (
            "HEAD with content",
            "HEAD",
            "200 OK\r\nContent-Length: 3\r\n\r\nabc",
            Whole(200, Some("3"), ""),
        ),
        ("204 with content", "GET", "204 No\r\n\r\nabc", Whole(204, None, "")),
        (
            "204 with chunks",
            "GET",
            "204 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            Whole(204, None, ""),
        ),
        (
            "304 with content",
            "GET",
            "304 Same\r\nContent-Length: 3\r\n\r\nabc",
            Whole(304, Some("3"), ""),
        ),
        (
            "two lengths",
            "GET",
            "200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
            Broken,
        ),
        (
            "a length and chunks",
            "GET",
            "200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            Broken,
        ),
        ("101", "GET", "101 Switch\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", Broken),
    ] {
        // What is behind an answer must never be the beginning of the next one.
        let answer = format!("HTTP/1.1 {answer}");
        let address = on_head(move |_, mut stream| {
            stream.write_all(answer.as_bytes())?;
            while read_head(&mut stream).is_ok() {
                stream.write_all(b"HTTP/1.1 500 Kept\r\nContent-Length: 0\r\n\r\n")?;
            }
            Ok(())
        });
        assert_became("HTTP1", address, method, &expected, what);
        let node = node("HTTP1", address);
        let mut client = client(&node);
        let statuses = [0; 3].map(|_| client.ask(method, "/", &[]).status);
        assert!(!statuses.contains(&500), "{what}: {statuses:?}");
    }
}

#[test]
fn interim_answers_have_a_bound_from_either_protocol() {
    let http1 = Target::with(|_, stream| {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(INTERIM_MAX + 1);
        stream.write_all(format!("{interim}{}", target::ok("final")).as_bytes())
    });
    let http2 = raw(|_, id, stream| {
        for _ in 0..=INTERIM_MAX {
            stream.write_all(&head(id, 0, &[(":status", "103"), ("link", "</a>")]))?;
        }
        stream.write_all(&head(id, flag::END_STREAM, &[(":status", "200")]))
    });
    for (version, address) in [("HTTP1", http1.address), ("HTTP2", http2)] {
        let node = node(version, address);
        let answer = client(&node).get("/");
        assert_eq!(answer.status, 502, "{version}");
        assert!(answer.interim.len() <= INTERIM_MAX + 1, "{}", answer.interim.len());
    }
}

/// `limits::INTERIM_ANSWERS_MAX`.
const INTERIM_MAX: usize = 1_000;

/// RFC 9113, section 8.1.1: a request "is also malformed if the value of a content-length header field does not
/// equal the sum of the DATA frame payload lengths".
#[test]
fn no_target_gets_content_of_another_length_than_announced() {
    let http1 = Target::named("hello");
    let (sender, seen) = channel();
    let http2 = Http2Target::with(move |mut call: Call| {
        let sender = sender.clone();
        async move {
            let whole = loop {
                match call.body.data().await {
                    Some(Ok(content)) => {
                        let _ = call.body.flow_control().release_capacity(content.len());
                    }
                    Some(Err(_)) => break false,
                    None => break true,
                }
            };
            let _ = sender.send(whole);
            call.answer(200, "hello").await;
        }
    });
    for (version, address) in [("HTTP1", http1.address), ("HTTP2", http2.address)] {
        let node = node(version, address);
        for (content, ends) in [("abc", true), ("abcdefg", true), ("abcdefg", false)] {
            let mut client = client(&node);
            let id = client.request(0, "POST", "/", &[("content-length", "5")]);
            client.send(frame(kind::DATA, u8::from(ends), id, content));
            let answer = client.answer(id);
            let refused = answer.status == 400 || answer.reset == Some(code::PROTOCOL_ERROR);
            assert!(refused, "{version} {content}: {answer:?}");
        }
        let mut client = client(&node);
        let id = client.request(0, "POST", "/", &[("content-length", "5")]);
        client.upload(id, b"abcde", true);
        assert_eq!(client.answer(id).text(), "hello");
        node.assert_no_panic();
    }
    // Of the others none has come to its end.
    assert_eq!(http1.received().body, b"abcde");
    assert!(http1.so_far().is_empty());
    assert_eq!(seen.try_iter().filter(|whole| *whole).count(), 1);
}

#[test]
fn a_target_that_answers_early_is_not_used_again_unless_it_gets_all() {
    let (sender, ends) = channel();
    let address = on_head(move |_, mut stream| {
        stream.write_all(target::ok("enough").as_bytes())?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest)?;
        let _ = sender.send(rest.len());
        Ok(())
    });
    let node = node("HTTP1", address);
    let mut client = client(&node);
    for more in [&[][..], &[("content-length", "1000000")]] {
        let id = client.request(0, "POST", "/", more);
        client.upload(id, b"a beginning", false);
        client.until(|client| client.answers.get(&id).is_some_and(|answer| answer.reset.is_some()));
        let answer = client.answer(id);
        assert_eq!((answer.status, answer.text().as_str()), (200, "enough"));
        assert_eq!((answer.whole, answer.reset), (true, Some(code::NO_ERROR)));
        // The node closes; the rest of the request has no end.
        assert!(ends.recv_timeout(wait::PATIENCE).unwrap() < 1_000);
    }
    // With the whole request it is used again, however early the answer came.
    let kept = Target::named("hello");
    let node = self::node("HTTP1", kept.address);
    let mut client = self::client(&node);
    for _ in 0..3 {
        let id = client.request(0, "POST", "/", &[]);
        client.upload(id, b"content", true);
        assert_eq!(client.answer(id).text(), "hello");
        assert_eq!(kept.received().connection, 0);
    }
}
