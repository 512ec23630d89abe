//! What is broken is refused before a byte of it reaches a target, and its connection closed.
//! The cases: `threats`, section 3.
use crate::support::node::piece;
use crate::support::{Client, Node, Target};

/// A case: what it is called, what is sent, the status.
type Case = (&'static str, String, u16);

fn cases() -> Vec<Case> {
    let get = |headers: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    let post =
        |headers: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}");
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    let many: String = (0..300).map(|index| format!("X-{index}: 1\r\n")).collect();
    let block: String =
        (0..6).map(|index| format!("X-{index}: {}\r\n", "x".repeat(12_000))).collect();
    vec![
        // Two lengths, or none that is certain. RFC 9112, section 6.3.
        ("two lengths", post("Content-Length: 2\r\nContent-Length: 3\r\n", "hi!"), 400),
        ("a list of lengths", post("Content-Length: 2, 2\r\n", "hi"), 400),
        ("a signed length", post("Content-Length: +2\r\n", "hi"), 400),
        ("a negative length", post("Content-Length: -2\r\n", "hi"), 400),
        ("a hexadecimal length", post("Content-Length: 0x2\r\n", "hi"), 400),
        ("an empty length", post("Content-Length:\r\n", ""), 400),
        ("a length over 64 bits", post("Content-Length: 18446744073709551618\r\n", "hi"), 400),
        ("a length over 63 bits", post("Content-Length: 9223372036854775808\r\n", "hi"), 400),
        (
            "different lengths and a coding",
            post("Content-Length: 2\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", "hi"),
            400,
        ),
        (
            "a different length under another name",
            post("Content-Length: 2\r\nContent_Length: 3\r\n", "hi!"),
            400,
        ),
        ("a length with a blank in it", post("Content-Length: 1 2\r\n", "hi"), 400),
        // Other codings. RFC 9112, section 6.1.
        ("identity", post("Transfer-Encoding: identity\r\n", ""), 400),
        ("gzip before chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400),
        ("chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400),
        (
            "chunked in two lines",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "chunked and identity",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
            400,
        ),
        ("xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400),
        (
            "chunked with a vertical tab",
            post("Transfer-Encoding: \u{b}chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        ("chunked in quotes", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 400),
        ("chunked with a parameter", post("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"), 400),
        (
            "chunked with HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            400,
        ),
        // Chunks. RFC 9112, section 7.1.
        ("no size", chunked("\r\nhi\r\n0\r\n\r\n"), 400),
        ("a size with a sign", chunked("+2\r\nhi\r\n0\r\n\r\n"), 400),
        ("a size with 0x", chunked("0x2\r\nhi\r\n0\r\n\r\n"), 400),
        ("a size with a blank before it", chunked(" 2\r\nhi\r\n0\r\n\r\n"), 400),
        ("a size over 64 bits", chunked("10000000000000002\r\nhi\r\n0\r\n\r\n"), 400),
        ("a size that is no number", chunked("g\r\nhi\r\n0\r\n\r\n"), 400),
        ("a size line ended by LF", chunked("2\nhi\r\n0\r\n\r\n"), 400),
        ("an extension with a bare CR", chunked("2;a\rb\r\nhi\r\n0\r\n\r\n"), 400),
        ("an extension with a bare LF", chunked("2;a\nb\r\nhi\r\n0\r\n\r\n"), 400),
        ("a chunk longer than its size", chunked("2\r\nhello\r\n0\r\n\r\n"), 400),
        ("a chunk ended by LF", chunked("2\r\nhi\n0\r\n\r\n"), 400),
        ("a chunk without its end", chunked("2\r\nhi0\r\n\r\n"), 400),
        ("a trailer without a colon", chunked("2\r\nhi\r\n0\r\nbad\r\n\r\n"), 400),
        ("an endless extension", chunked(&format!("2;{}", "x".repeat(100_000))), 400),
        // Lines. RFC 9112, sections 2.2, 5.1, 5.2.
        ("a header folded", get("X: a\r\n b\r\n"), 400),
        ("a header folded by a tab", get("X: a\r\n\tb\r\n"), 400),
        ("the first header folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n".into(), 400),
        ("a bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n".into(), 400),
        ("a bare LF after a header", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n".into(), 400),
        ("a bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n".into(), 400),
        ("a bare CR in a value", get("X: a\rb\r\n"), 400),
        ("a bare CR as an end", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n".into(), 400),
        ("a blank before the colon", get("X : a\r\n"), 400),
        ("a tab before the colon", post("Content-Length\t: 2\r\n", "hi"), 400),
        ("a blank within a name", get("X Y: a\r\n"), 400),
        ("no colon", get("X\r\n"), 400),
        ("a NUL in a value", get("X: a\0b\r\n"), 400),
        ("a NUL in a name", get("X\0: a\r\n"), 400),
        // Host. RFC 9112, section 3.2.
        ("no host", "GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("two hosts", get("Host: a\r\n"), 400),
        ("two different hosts", get("HOST: b\r\n"), 400),
        ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), 400),
        ("a host with an at sign", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".into(), 400),
        ("a host with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), 400),
        // The request line. RFC 9112, section 3.
        ("HTTP/0.9", line("GET /"), 400),
        ("HTTP/0.9 by name", line("GET / HTTP/0.9"), 505),
        ("HTTP/2.0", line("GET / HTTP/2.0"), 505),
        ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
        ("no such version", line("GET / HTTQ/1.1"), 400),
        ("a lower case version", line("GET / http/1.1"), 400),
        ("no target", line("GET HTTP/1.1"), 400),
        ("two blanks and no target", line("GET  HTTP/1.1"), 400),
        ("a tab in the target", line("GET /a\tb HTTP/1.1"), 400),
        ("a tab behind the version", line("GET / HTTP/1.1\t"), 400),
        ("a tab for a blank", line("GET\t/ HTTP/1.1"), 400),
        ("a fragment in the target", line("GET /a#b HTTP/1.1"), 400),
        ("a NUL in the target", line("GET /\0 HTTP/1.1"), 400),
        ("a target of no form", line("GET a HTTP/1.1"), 400),
        ("an asterisk with GET", line("GET * HTTP/1.1"), 400),
        ("a method that is no token", line("GE(T / HTTP/1.1"), 400),
        ("an empty method", line(" / HTTP/1.1"), 400),
        ("TRACE", line("TRACE / HTTP/1.1"), 405),
        ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".into(), 405),
        // Sizes. `alb-contract`, section 6.3.
        ("a long request line", line(&format!("GET /{} HTTP/1.1", "x".repeat(17_000))), 414),
        ("an endless request line", format!("GET /{}", "x".repeat(100_000)), 414),
        ("a long header", get(&format!("X: {}\r\n", "x".repeat(17_000))), 400),
        ("a long head", get(&block), 400),
        ("too many headers", get(&many), 400),
        ("an unknown expectation", post("Expect: a-miracle\r\nContent-Length: 2\r\n", "hi"), 417),
        (
            "TLS on a plain listener",
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".into(),
            400,
        ),
    ]
}

/// Whatever the mode of desync mitigation: what a mode lets in stands in `desync.rs`.
#[test]
fn a_broken_request_is_refused_in_every_mode_and_nothing_of_it_reaches_a_target() {
    for mode in ["monitor", "defensive", "strictest"] {
        refuses_each(mode);
    }
}

fn refuses_each(mode: &str) {
    let target = Target::named("reached");
    let node = Node::start(
        &[
            piece::desync(mode),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::http("plain", ""),
        ]
        .concat(),
    );
    let address = node.address("plain");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut wrong = Vec::new();
    for (what, bytes, status) in cases() {
        let mut client = Client::plain(address);
        // The node may answer and close before it has read all of it.
        let _ = client.try_send(bytes.clone() + smuggled);
        let got = client.try_answer("GET").map(|answer| (answer.status, answer.head));
        let (got, head) = got.unwrap_or((0, String::new()));
        if got != status {
            wrong.push(format!("{mode}: {what}: {got}, not {status}"));
        } else if !head.contains("\r\nConnection: close\r\n") {
            wrong.push(format!("{mode}: {what}: it does not say that it closes\n{head}"));
        }
        let rest = String::from_utf8_lossy(&client.until_closed()).into_owned();
        if rest.contains("HTTP/1.1") {
            wrong.push(format!("{mode}: {what}: a second answer: {rest}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // One more is served, and it is the only one that the target knows. (Of a chunked body that goes
    // wrong later, the beginning may have gone on; the target never sees its end.)
    assert_eq!(Client::plain(address).get("/").text(), "reached");
    let reached: Vec<String> = target.so_far().into_iter().map(|received| received.head).collect();
    assert_eq!(reached.len(), 1, "{reached:#?}");
    let count = cases().len() as f64;
    node.metric_becomes("portcullis_http_malformed_total", &["listener=\"plain\""], count);
    node.assert_no_panic();
}

/// RFC 9112, section 2.2. Nobody waits for an LF, nor for the end of a head that cannot be good any more.
#[test]
fn a_bare_cr_is_400_at_once() {
    let target = Target::named("reached");
    let node = Node::start(
        &[piece::targets(&[target.entry()]), "listeners:\n".to_owned(), piece::http("plain", "")]
            .concat(),
    );
    for pieces in [
        &["GET / HTTP/1.1\rHost: a\r\r"][..],
        &["GET / HTTP/1.1\r\nHost: a\rX"],
        &["GET / HTTP/1.1\r\nHost: a", "\r", "X"],
        // Behind what is mended.
        &["GET /a b HTTP/1.1\rHost: a\r\r"],
    ] {
        let mut client = Client::plain(node.address("plain"));
        for piece in pieces {
            client.send(piece);
        }
        let answer = client.answer();
        assert_eq!(
            (answer.status, answer.values("Connection")),
            (400, vec!["close"]),
            "{pieces:?}"
        );
    }
    assert!(target.so_far().is_empty());
}

/// The opposite: what looks odd and is right.
#[test]
fn what_is_odd_and_right_is_served() {
    let target = Target::named("reached");
    let node = Node::start(
        &[piece::targets(&[target.entry()]), "listeners:\n".to_owned(), piece::http("plain", "")]
            .concat(),
    );
    let long = "x".repeat(16_000);
    let cases = [
        "GET http://a.example/path?q HTTP/1.1\r\nHost: b\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "PURGE /custom HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost:a\r\nX:   blanks around   \r\nY:\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n".to_owned(),
        "\r\nGET /after-an-empty-line HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".to_owned(),
        "GET /caf\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\nY: {long}\r\nZ: {long}\r\n\r\n"),
    ];
    let mut client = Client::plain(node.address("plain"));
    for request in cases {
        assert_eq!(client.ask(&request).status, 200, "{request}");
        let received = target.received();
        // RFC 9110, section 7.6.1, and h2c smuggling: upgrades are not passed on.
        assert!(received.values("Upgrade").is_empty(), "{}", received.head);
        if request.contains("a.example") {
            // RFC 9112, section 3.2.2: the absolute form wins over Host.
            assert!(received.value("Host").starts_with("a.example"), "{}", received.head);
        }
    }
}
