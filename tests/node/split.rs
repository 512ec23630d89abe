//! However bytes are split on their way and whoever is left waiting, the messages are the same: seeded runs over
//! the whole node, of both protocols and both directions, each held against one that was not split.
use crate::support::client::{Answer, tls_config};
use crate::support::http2::{self, config, flag, frame, kind};
use crate::support::http2_target::{Call, fields, response};
use crate::support::node::piece;
use crate::support::splitter::Splitter;
use crate::support::{Client, Http2, Http2Target, Node, Target, long, target};
use std::io::{Cursor, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};

/// What one side got of a message: its head without what is new each time, its content, its trailers.
type Seen = (Vec<String>, Vec<u8>, Vec<String>);

fn seeds() -> std::ops::RangeInclusive<u64> {
    1..=if long() { 300 } else { 8 }
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn node(version: &str, address: SocketAddr) -> Node {
    let configuration = [
        piece::certificates(),
        piece::targets_of(version, &[target::entry(address)]),
        "listeners:\n".to_owned(),
        piece::https("https", ""),
    ];
    Node::start(&configuration.concat())
}

/// Lines without those that are new each time.
fn lasting<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let is_new = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        ["x-amzn-trace-id", "date"].iter().any(|new| name.eq_ignore_ascii_case(new))
    };
    lines.filter(|line| !is_new(line) && !line.is_empty()).map(str::to_owned).collect()
}

fn of_fields<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<String> {
    let lines: Vec<String> =
        fields.map(|(name, value)| format!("{name}: {}", value.escape_ascii())).collect();
    lasting(lines.iter().map(String::as_str))
}

fn of_answer(answer: Answer) -> Seen {
    (lasting(answer.head.lines()), answer.body, lasting(answer.trailers.lines()))
}

/// A target of HTTP/1.1 that answers in each of the ways that an answer can be delimited.
fn http1_target() -> Target {
    Target::with(|received, stream| {
        let path = received.request_line().split(' ').nth(1).unwrap_or_default().to_owned();
        let large = content(30_000);
        let chunk =
            |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        match path.as_str() {
            "/chunks" => {
                let mut answer =
                    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\
                                   Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                        .to_vec();
                answer.extend(large.chunks(777).flat_map(chunk));
                answer.extend(b"0;end\r\nX-Sum: 1\r\nServer-Timing: db;dur=2\r\n\r\n");
                stream.write_all(&answer)
            }
            "/none" => stream.write_all(b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"),
            "/close" => {
                stream.write_all(&[&b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n"[..], &large].concat())?;
                target::close()
            }
            _ => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", large.len());
                let is_head = received.request_line().starts_with("HEAD");
                let content = if is_head { &[][..] } else { &large };
                stream.write_all(&[head.as_bytes(), content].concat())
            }
        }
    })
}

/// What such a target has seen; in the order of the paths, as streams come in any.
fn received(target: &Target, count: usize) -> Vec<Seen> {
    let mut all: Vec<Seen> = (0..count)
        .map(|_| {
            let received = target.received();
            let (mut body, mut trailers) = (received.body.clone(), String::new());
            if !received.values("transfer-encoding").is_empty() {
                // Chunks as they were sent are nobody's business.
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                let read = Client::on(Cursor::new([head, body].concat())).answer();
                (body, trailers) = (read.body, read.trailers);
            }
            (lasting(received.head.lines()), body, lasting(trailers.lines()))
        })
        .collect();
    all.sort();
    all
}

/// Requests of HTTP/1.1, pipelined, in each of the ways that one can be delimited.
fn ask_by_http1(address: SocketAddr) -> Vec<Seen> {
    let large = content(20_000);
    let mut requests = format!(
        "POST /length HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\nContent-Length: {}\r\n\r\n",
        "v".repeat(2_000),
        large.len()
    )
    .into_bytes();
    requests.extend_from_slice(&large);
    requests.extend(b"HEAD /length HTTP/1.1\r\nHost: a\r\n\r\n");
    requests.extend(
        b"POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-B\r\n\r\n",
    );
    for part in large.chunks(997) {
        requests.extend(format!("{:X};ext=\"a b\"\r\n", part.len()).as_bytes());
        requests.extend_from_slice(part);
        requests.extend(b"\r\n");
    }
    requests.extend(b"000\r\nX-B: c\r\nHost: forged\r\n\r\n");
    requests.extend(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\nGET /close HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut client = Client::tls(address, "localhost", &tls_config(None));
    client.send(&requests);
    let answers = ["POST", "HEAD", "POST", "POST", "GET", "GET"];
    answers.map(|method| of_answer(client.try_answer(method).expect("the node answers"))).into()
}

/// The same as streams, all at once.
fn ask_by_http2(address: SocketAddr) -> Vec<Seen> {
    let mut client = Http2::connect(address, &config(None));
    let large = content(20_000);
    let long = "v".repeat(2_000);
    let length = large.len().to_string();
    let more = [("x-long", long.as_str()), ("content-length", &length)];
    let with_length = client.request(0, "POST", "/length", &more);
    let in_pieces = client.request(0, "POST", "/chunks", &[("trailer", "x-b")]);
    let others = [("POST", "/none"), ("POST", "/close")]
        .map(|(method, path)| client.request(flag::END_STREAM, method, path, &[]));
    for (index, part) in large.chunks(997).enumerate() {
        client.upload(with_length, part, index == large.len() / 997);
        client.upload(in_pieces, part, false);
        client.send(frame(kind::DATA, flag::PADDED, in_pieces, b"\x03\0\0\0"));
    }
    client.send(http2::head(in_pieces, flag::END_STREAM, &[("x-b", "c"), ("host", "forged")]));
    let ids = [with_length, in_pieces, others[0], others[1]];
    ids.map(|id| {
        let answer = client.answer(id);
        assert!(answer.whole, "{:?}", answer.reset);
        let pairs = |fields: &[(String, Vec<u8>)]| {
            of_fields(fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
        };
        let heads = answer.interim.iter().map(|(_, fields)| fields.clone());
        let head: Vec<_> = heads.chain([answer.fields.clone()]).flatten().collect();
        (pairs(&head), answer.body, pairs(&answer.trailers))
    })
    .into()
}

/// Goal: no split and no stall changes a message. Method: between the node and either side stands a wire that
/// splits by a seed; what both sides see is what they see without it.
fn assert_all_splits_agree(
    version: &str,
    target: SocketAddr,
    ask: impl Fn(SocketAddr) -> Vec<Seen>,
    seen: impl Fn() -> Vec<Seen>,
) {
    let behind = Splitter::before(target);
    let node = node(version, behind.address);
    let address = node.address("https");
    let before = Splitter::before(address);
    let expected = (ask(address), seen());
    for seed in seeds() {
        println!("seed {seed}");
        before.split(seed);
        behind.split(seed);
        let split = (ask(before.address), seen());
        // Content is long: heads first.
        for (got, expected) in
            split.0.iter().zip(&expected.0).chain(split.1.iter().zip(&expected.1))
        {
            assert_eq!((&got.0, &got.2), (&expected.0, &expected.2), "seed {seed}");
            assert!(
                got.1 == expected.1,
                "seed {seed}: {} bytes, {}",
                got.1.len(),
                expected.1.len()
            );
        }
        assert_eq!((split.0.len(), split.1.len()), (expected.0.len(), expected.1.len()));
    }
    node.assert_no_panic();
}

#[test]
fn splits_change_nothing_between_two_sides_of_http_1() {
    let target = http1_target();
    assert_all_splits_agree("HTTP1", target.address, ask_by_http1, || received(&target, 5));
}

#[test]
fn splits_change_nothing_from_http_2_to_http_1() {
    let target = http1_target();
    assert_all_splits_agree("HTTP1", target.address, ask_by_http2, || received(&target, 4));
}

/// A target of HTTP/2, and what it has seen.
fn http2_target() -> (Http2Target, Receiver<Seen>) {
    let (sender, seen) = channel();
    let target = Http2Target::with(move |mut call: Call| {
        let sender = sender.clone();
        async move {
            let (content_seen, trailers) = call.all().await;
            let trailers = trailers.unwrap_or_default();
            let of_map = |map: &http::HeaderMap| {
                of_fields(map.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
            };
            let mut head = vec![format!("{} {}", call.head.method(), call.path())];
            head.extend(of_map(call.head.headers()));
            let _ = sender.send((head, content_seen, of_map(&trailers)));
            if call.path() == "/none" {
                let _ = call.respond.send_response(response(204), true);
                return;
            }
            let _ = call.respond.send_informational(response(103));
            let mut answer = call.begin(response(200));
            for part in content(30_000).chunks(777) {
                answer.send(part.to_vec().into()).await;
            }
            match call.path() {
                "/chunks" => answer.end_with(fields(&[("x-sum", "1")])),
                _ => answer.end(),
            }
        }
    });
    (target, seen)
}

#[test]
fn splits_change_nothing_between_two_sides_of_http_2() {
    let (target, seen) = http2_target();
    let received = || {
        let one = |_| seen.recv_timeout(crate::support::wait::PATIENCE).expect("four were sent");
        let mut all: Vec<Seen> = (0..4).map(one).collect();
        all.sort();
        all
    };
    assert_all_splits_agree("HTTP2", target.address, ask_by_http2, received);
}
