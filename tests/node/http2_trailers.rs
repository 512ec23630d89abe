//! Trailers of HTTP/2 clients: from and to targets of either protocol, by the same rules.
//!
//! Those between two sides of HTTP/1.1 are in `bodies` of the library; with gRPC, in `http2_targets`.
use crate::support::http2::{code, config, flag, frame, head, kind};
use crate::support::http2_target::{Call, fields, raw, response};
use crate::support::node::piece;
use crate::support::{Http2, Http2Target, Node, Target, hpack, target, wait};
use std::io::Write;
use std::sync::mpsc::{Receiver, channel};

fn node(version: &str, entries: &[String]) -> Node {
    let configuration = [
        piece::certificates(),
        piece::targets_of(version, entries),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    Node::start(&configuration.concat())
}

fn client(node: &Node) -> Http2 {
    Http2::connect(node.address("https"), &config(None))
}

/// POST with this content and these trailers; with more fields in its head.
fn post<V: AsRef<[u8]>>(
    client: &mut Http2,
    more: &[(&str, &str)],
    content: &[u8],
    trailers: &[(&str, V)],
) -> u32 {
    let id = client.request(0, "POST", "/", more);
    client.upload(id, content, false);
    client.send(head(id, flag::END_STREAM, trailers));
    id
}

/// What HTTP/2 has as names and values.
fn pairs(expected: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    expected.iter().map(pair).collect()
}

/// RFC 9110, section 6.5.1, and what this node makes or removes in heads.
const FORBIDDEN: &[(&str, &str)] = &[
    ("x-amzn-mtls-clientcert-subject", "forged"),
    ("x_amzn_mtls_clientcert_leaf", "forged"),
    ("x_forwarded_for", "forged"),
    ("x-amzn-trace-id", "forged"),
    ("authorization", "forged"),
    ("content-length", "7"),
    ("content-type", "forged"),
    ("cookie", "forged=1"),
    ("host", "forged"),
    ("trailer", "forged"),
];

#[test]
fn a_requests_trailers_reach_a_target_of_http_1_behind_its_chunks() {
    let target = Target::named("hello");
    let node = node("HTTP1", &[target.entry()]);
    let mut client = client(&node);
    let mut trailers = vec![("x-sum", "7"), ("x-two", "a b"), ("x-two", "")];
    trailers.extend_from_slice(FORBIDDEN);
    for (content, chunks) in [(&b"content"[..], "7\r\ncontent\r\n"), (b"", "")] {
        let id = post(&mut client, &[("trailer", "x-sum, host, x-two")], content, &trailers);
        assert_eq!(client.answer(id).text(), "hello");
        let received = target.received();
        assert_eq!(received.value("trailer"), "x-sum, x-two");
        let expected = format!("{chunks}0\r\nx-sum: 7\r\nx-two: a b\r\nx-two: \r\n\r\n");
        assert_eq!(String::from_utf8_lossy(&received.body), expected);
    }
    // Nothing got out of step.
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!(target.received().connection, 0);
    node.assert_no_panic();
}

#[test]
fn content_with_a_length_has_no_place_for_trailers_in_http_1() {
    let target = Target::named("hello");
    let node = node("HTTP1", &[target.entry()]);
    let mut client = client(&node);
    let id = post(&mut client, &[("content-length", "7")], b"content", &[("x-sum", "7")]);
    assert_eq!(client.answer(id).text(), "hello");
    assert_eq!(target.received().body, b"content");
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!(target.received().request_line(), "GET / HTTP/1.1");
}

#[test]
fn an_answers_trailers_reach_the_client_from_a_target_of_http_1() {
    let section: String =
        FORBIDDEN.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let target = Target::with(move |received, stream| {
        let path = received.request_line().split(' ').nth(1).unwrap_or_default().to_owned();
        let (connection, content) = match path.as_str() {
            "/nominated" => ("Connection: x-sum\r\n", "6\r\nanswer\r\n"),
            "/empty" => ("", ""),
            _ => ("", "6\r\nanswer\r\n"),
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n{connection}\r\n\
             {content}0;x=y\r\nX-Sum: 6\r\n{section}Server-Timing:\tdb;dur=5 \r\n\r\n"
        );
        // In two pieces, so that the section is not there at once.
        let (first, second) = answer.split_at(answer.len() - 20);
        stream.write_all(first.as_bytes())?;
        if path == "/slow" {
            wait::pause();
        }
        stream.write_all(second.as_bytes())
    });
    let node = node("HTTP1", &[target.entry()]);
    let mut client = client(&node);
    let timing = ("server-timing", "db;dur=5");
    for (path, text, expected) in [
        ("/", "answer", &[("x-sum", "6"), timing][..]),
        ("/slow", "answer", &[("x-sum", "6"), timing]),
        ("/empty", "", &[("x-sum", "6"), timing]),
        // RFC 9110, section 7.6.1: what is for one hop ends here, and so does all that is behind.
        ("/nominated", "answer", &[]),
    ] {
        let answer = client.get(path);
        assert!(answer.whole, "{path}");
        assert_eq!((answer.text().as_str(), answer.trailers), (text, pairs(expected)), "{path}");
    }
    assert!(target.so_far().iter().all(|received| received.connection == 0), "it is kept");
}

/// Trailers that a target of HTTP/2 gets, and the ones of its answer.
fn echoing() -> (Http2Target, Receiver<http::HeaderMap>) {
    let (sender, seen) = channel();
    let target = Http2Target::with(move |mut call: Call| {
        let sender = sender.clone();
        async move {
            let trailers = call.all().await.1.unwrap_or_default();
            let _ = sender.send(trailers.clone());
            let mut answer = call.begin(response(200));
            answer.send("answer".into()).await;
            let mut all = trailers;
            all.extend(fields(FORBIDDEN_BY_TARGET));
            answer.end_with(all);
        }
    });
    (target, seen)
}

const FORBIDDEN_BY_TARGET: &[(&str, &str)] = &[
    ("x-amzn-mtls-clientcert-subject", "forged"),
    ("set-cookie", "forged=1"),
    ("content-type", "forged"),
];

#[test]
fn trailers_go_to_a_target_of_http_2_and_back_with_a_length_and_without() {
    let (target, seen) = echoing();
    let node = node("HTTP2", &[target.entry()]);
    let mut client = client(&node);
    let mut trailers = vec![("x-sum", "7"), ("x-two", "a"), ("x-two", "b")];
    trailers.extend_from_slice(FORBIDDEN);
    // The crate takes a known pseudo-header field away; nothing of it goes on.
    trailers.push((":path", "/evil"));
    trailers.rotate_right(1);
    for more in [&[][..], &[("content-length", "7")]] {
        let id = post(&mut client, more, b"content", &trailers);
        let answer = client.answer(id);
        let expected = [("x-sum", "7"), ("x-two", "a"), ("x-two", "b")];
        assert_eq!(seen.recv_timeout(wait::PATIENCE).unwrap(), fields(&expected));
        assert_eq!((answer.whole, answer.trailers), (true, pairs(&expected)), "{more:?}");
    }
    node.assert_no_panic();
}

/// Over the bound of their size, and of their number.
fn too_large() -> [Vec<(&'static str, Vec<u8>)>; 2] {
    [vec![("x", vec![b'a'; 11_000]); 3], vec![("x", b"y".to_vec()); 201]]
}

#[test]
fn a_requests_trailers_that_are_too_large_are_a_bad_request() {
    let early = Http2Target::with(|mut call: Call| async move {
        let mut answer = call.begin(response(200));
        answer.send("begun".into()).await;
        call.all().await;
        answer.reset().await;
    });
    let (http1, http2) = (
        Target::named("hello"),
        Http2Target::with(|mut call: Call| async move {
            call.reset().await;
        }),
    );
    for trailers in too_large() {
        for (version, entry) in [("HTTP1", http1.entry()), ("HTTP2", http2.entry())] {
            let node = node(version, &[entry]);
            let mut client = client(&node);
            let id = post(&mut client, &[], b"content", &trailers);
            assert_eq!(client.answer(id).status, 400, "{version}, {} of them", trailers.len());
            assert!(client.goaways.is_empty(), "the connection goes on");
            node.metric_becomes("portcullis_upstream_errors_total", &[], 0.0);
        }
        let node = node("HTTP2", &[early.entry()]);
        let mut client = client(&node);
        let id = client.request(0, "POST", "/", &[]);
        client.until(|client| client.answers.get(&id).is_some_and(|it| it.body == b"begun"));
        client.send(head(id, flag::END_STREAM, &trailers));
        assert_eq!(client.answer(id).reset, Some(code::PROTOCOL_ERROR));
    }
    // A target of HTTP/1.1 has seen content without its end, and that is no request.
    assert!(http1.so_far().is_empty());
}

#[test]
fn an_answers_trailers_that_are_too_large_end_it() {
    for trailers in too_large() {
        let lines =
            trailers.iter().map(|(name, value)| [name.as_bytes(), b": ", value, b"\r\n"].concat());
        // HTTP/1.1 has a bound for the bytes of a section alone.
        let section = [lines.collect::<Vec<_>>().concat(), b"\r\n".to_vec()].concat();
        let fits = section.len() < 16 * 1024;
        let http1 = Target::with(move |_, stream| {
            let begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n";
            stream.write_all(&[&begin[..], &section].concat())
        });
        let http2 = raw(move |_, id, stream| {
            let begin = hpack::encode(&[(":status", "200")]);
            stream.write_all(&frame(kind::HEADERS, flag::END_HEADERS, id, begin))?;
            stream.write_all(&frame(kind::DATA, 0, id, b"a"))?;
            stream.write_all(&head(id, flag::END_STREAM, &trailers))
        });
        for (version, entry) in [("HTTP1", http1.entry()), ("HTTP2", target::entry(http2))] {
            let node = node(version, &[entry]);
            let mut client = client(&node);
            let answer = client.get("/");
            if version == "HTTP1" && fits {
                assert_eq!((answer.whole, answer.trailers.len()), (true, 201));
                continue;
            }
            assert_eq!((answer.whole, answer.reset), (false, Some(code::INTERNAL_ERROR)));
            let label = ["reason=\"target_malformed\""];
            node.metric_becomes("portcullis_upstream_errors_total", &label, 1.0);
        }
    }
}

/// RFC 9113, section 8.1: trailers "MUST NOT include pseudo-header fields".
#[test]
fn pseudo_header_fields_in_an_answers_trailers_do_not_go_on() {
    for name in [":status", ":path", ":unknown"] {
        let address = raw(move |_, id, stream| {
            let begin = hpack::encode(&[(":status", "200")]);
            stream.write_all(&frame(kind::HEADERS, flag::END_HEADERS, id, begin))?;
            stream.write_all(&frame(kind::DATA, 0, id, b"a"))?;
            stream.write_all(&head(id, flag::END_STREAM, &[(name, "500"), ("x-sum", "1")]))
        });
        let node = node("HTTP2", &[target::entry(address)]);
        let answer = client(&node).get("/");
        // The crate takes known ones away, and resets the stream for others: a head that was
        // still to be sent is lost with it.
        match name {
            ":unknown" => assert!(answer.reset.is_some() && answer.trailers.is_empty()),
            _ => {
                assert_eq!(answer.status, 200, "{name}");
                assert_eq!(answer.trailers, pairs(&[("x-sum", "1")]), "{name}");
            }
        }
        node.assert_no_panic();
    }
}
