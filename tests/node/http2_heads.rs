//! Heads by HTTP/2: what a target gets of them over HTTP/1.1, and what it never sees. Downgrades are where
//! requests are smuggled, so that each form here is sent byte for byte.
use crate::support::http2::{config, flag, frame, head, kind};
use crate::support::node::piece;
use crate::support::target::Received;
use crate::support::{Http2, Node, Setup, Target, hpack};

fn node(target: &Target, more: &str) -> Node {
    let configuration = [
        piece::certificates(),
        piece::partners(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", more),
    ];
    Node::start(&configuration.concat())
}

fn client(node: &Node) -> Http2 {
    Http2::connect(node.address("https"), &config(None))
}

type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Pseudo-header fields of `GET /`, then these.
fn get<'a>(more: &[(&'a str, &'a str)]) -> Fields<'a> {
    let mut all = fields(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/"),
        (":authority", "localhost"),
    ]);
    all.extend(fields(more));
    all
}

fn fields<'a>(fields: &[(&'a str, &'a str)]) -> Fields<'a> {
    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

/// What becomes of a request: its status, the code of its reset, or the code of a GOAWAY.
#[derive(Debug, Eq, PartialEq)]
enum Became {
    Status(u16),
    Reset(u32),
    GoAway(u32),
}

/// Sends this on a connection of its own, on stream 1.
fn became(node: &Node, bytes: &[u8]) -> Became {
    let mut client = client(node);
    client.send(bytes);
    loop {
        if let Some(goaway) = client.goaways.last() {
            return Became::GoAway(goaway.code);
        }
        match client.answers.get(&1) {
            Some(answer) if answer.status != 0 => return Became::Status(answer.status),
            Some(answer) if answer.reset.is_some() => return Became::Reset(answer.reset.unwrap()),
            _ => drop(client.step().expect("the node goes on").expect("it says what became of it")),
        }
    }
}

/// What the target gets of a request.
fn received(node: &Node, target: &Target, fields: &Fields<'_>) -> Received {
    assert_eq!(became(node, &head(1, flag::END_STREAM, fields)), Became::Status(200));
    target.received()
}

#[test]
fn a_target_gets_a_head_of_http_1_1() {
    let target = Target::named("hello");
    let node = node(&target, "");
    let port = node.address("https").port();
    let more = [("accept", "a"), ("x-odd", "1"), ("te", "trailers"), ("x-odd", "2")];
    let received = received(&node, &target, &get(&more));
    assert!(received.value("X-Amzn-Trace-Id").starts_with("Root=1-"));
    let mut headers = received.headers();
    headers.retain(|line| !line.starts_with("X-Amzn-Trace-Id: "));
    assert_eq!(
        headers,
        [
            format!("Host: localhost:{port}").as_str(),
            "Connection: TE",
            "TE: trailers",
            "accept: a",
            "x-odd: 1",
            "x-odd: 2",
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Proto: https",
            format!("X-Forwarded-Port: {port}").as_str(),
        ]
    );
    assert_eq!(received.request_line(), "GET / HTTP/1.1");
}

/// RFC 9113, section 8.2.3: crumbs "MUST be concatenated into a single octet string using the two-octet
/// delimiter of 0x3b, 0x20 (the ASCII string "; ")".
#[test]
fn crumbs_of_a_cookie_are_one_header_for_a_target() {
    let target = Target::named("hello");
    let node = node(&target, "");
    let crumbs = [("cookie", "a=b"), ("accept", "x"), ("cookie", "c=d"), ("cookie", "e=f; g=h")];
    let received = received(&node, &target, &get(&crumbs));
    assert_eq!(received.values("cookie"), ["a=b; c=d; e=f; g=h"]);
}

/// `alb-contract`, section 6.1: with HTTP/2 the expectation is ignored, and not passed on.
#[test]
fn an_expectation_is_ignored() {
    let target = Target::named("hello");
    let node = node(&target, "");
    let mut client = client(&node);
    let id = client.request(0, "POST", "/", &[("expect", "100-continue")]);
    client.ping();
    assert!(!client.answers.contains_key(&id), "no 100: {:?}", client.answers);
    client.upload(id, b"content", true);
    let answer = client.answer(id);
    assert!(answer.interim.is_empty() && answer.status == 200);
    assert!(target.received().values("expect").is_empty());
}

/// `alb-contract`, section 2.4: of the classes content of GET and HEAD is left, because frames say how long a
/// message is. It is refused in `strictest` alone; the client's connection goes on in every mode.
#[test]
fn content_of_get_has_its_class_and_strictest_refuses_it() {
    for (mode, status) in [("monitor", 200), ("defensive", 200), ("strictest", 400)] {
        let target = Target::named("hello");
        let configuration = [
            piece::certificates(),
            piece::desync(mode),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("https", ""),
        ];
        let setup = Setup { logs: ", access: access.log".to_owned(), ..Setup::default() };
        let node = Node::with(setup, &configuration.concat());
        let mut client = client(&node);
        let ids = [
            client.request(flag::END_STREAM, "GET", "/", &[("content-length", "0")]),
            client.request(0, "GET", "/", &[("content-length", "5")]),
            client.request(0, "HEAD", "/", &[]),
        ];
        if status == 200 {
            client.upload(ids[1], b"hello", true);
            client.upload(ids[2], b"hello", true);
        }
        for id in ids {
            assert_eq!(client.answer(id).status, status, "{mode}, stream {id}");
        }
        let reasons = [
            ("Acceptable", "GetHeadZeroContentLength"),
            ("Ambiguous", "UndefinedContentLengthSemantics"),
            ("Ambiguous", "UndefinedTransferEncodingSemantics"),
        ];
        for (class, reason) in reasons {
            let labels = [format!("class=\"{class}\""), format!("reason=\"{reason}\"")];
            let labels = [labels[0].as_str(), labels[1].as_str()];
            node.metric_becomes("portcullis_http_noncompliant_requests_total", &labels, 1.0);
        }
        let mut logged = [0, 1, 2].map(|index| {
            let line = node.access_line(index);
            (line.field(28).to_owned(), line.field(29).to_owned())
        });
        logged.sort();
        assert_eq!(logged, reasons.map(|(class, reason)| (class.to_owned(), reason.to_owned())));
        assert_eq!(client.ask("POST", "/", &[("content-length", "0")]).status, 200, "{mode}");
        assert_eq!(client.get("/\"").status, status, "{mode}: a target that should be encoded");
        assert_eq!(client.get("/").status, 200, "{mode}: the connection goes on");
    }
}

#[test]
fn identity_arrives_and_cannot_be_forged() {
    let target = Target::named("hello");
    let node = node(&target, &piece::verify(""));
    let mut client = Http2::connect(node.address("https"), &config(Some("good")));
    let forged = [
        ("x-amzn-mtls-clientcert-subject", "CN=forged"),
        ("x_amzn_mtls_clientcert_subject", "CN=forged"),
        ("x-amzn-mtls_clientcert-leaf", "forged"),
        ("x-amzn-mtls-clientcert", "forged"),
        ("x-amzn-tls-version", "forged"),
    ];
    client.ask("GET", "/", &forged);
    let received = target.received();
    assert!(!received.head.contains("forged"), "{}", received.head);
    let subject = "CN=device-17,O=Example,ST=Oslo,C=NO";
    assert_eq!(received.value("X-Amzn-Mtls-Clientcert-Subject"), subject);

    // As trailers of a request with content.
    let id = client.request(0, "POST", "/", &[]);
    client.upload(id, b"content", false);
    client.send(frame(
        kind::HEADERS,
        flag::END_HEADERS | flag::END_STREAM,
        id,
        hpack::encode(&forged),
    ));
    assert_eq!(client.answer(id).status, 200);
    let received = target.received();
    assert!(!received.head.contains("forged"));
    assert!(!String::from_utf8_lossy(&received.body).contains("forged"));
}

#[test]
fn the_authority_is_the_host() {
    let target = Target::named("hello");
    let node = node(&target, "");
    let port = node.address("https").port();
    let request = |authority: Option<&'static str>, host: &[&'static str]| {
        let mut all = vec![(":method", "GET"), (":scheme", "https"), (":path", "/")];
        all.extend(authority.map(|authority| (":authority", authority)));
        all.extend(host.iter().map(|host| ("host", *host)));
        head(1, flag::END_STREAM, &fields(&all))
    };
    for (authority, host, expected) in [
        (Some("Api.example.com"), &[][..], Some("api.example.com")),
        (Some("api.example.com"), &["API.example.com"], Some("api.example.com")),
        (None, &["api.example.com"], Some("api.example.com")),
        // RFC 9113, section 8.3.1: they are compared by what they mean.
        (Some("api.example.com"), &["api.example.com:443"], Some("api.example.com")),
        (Some("api.example.com"), &["api.example.com:80"], None),
        (Some("api.example.com"), &["api.example.com:8443"], None),
        (Some("api.example.com"), &["other.example.com"], None),
        (Some("api.example.com"), &["api.example.com", "other.example.com"], None),
        (None, &["api.example.com", "api.example.com"], None),
        (Some("user@api.example.com"), &[], None),
        (Some("api.example.com, other"), &[], None),
        (None, &[""], None),
        (None, &[], None),
    ] {
        let became = became(&node, &request(authority, host));
        match expected {
            Some(expected) => {
                assert_eq!(became, Became::Status(200), "{authority:?} {host:?}");
                assert_eq!(target.received().value("host"), format!("{expected}:{port}"));
            }
            None => {
                let refused = [Became::Status(400), Became::Reset(1), Became::GoAway(1)];
                assert!(refused.contains(&became), "{authority:?} {host:?}: {became:?}");
            }
        }
    }
    assert!(target.so_far().is_empty());
}

/// RFC 9113, section 8.3.1: ":path" is path and query. What stands behind a `#` is gone before anybody here sees it:
/// from what is judged, logged and forwarded alike.
#[test]
fn what_stands_behind_a_number_sign_goes_no_further() {
    let target = Target::named("hello");
    let node = node(&target, "");
    for (path, line) in [
        ("/a#b", "GET /a HTTP/1.1"),
        ("/a?q=1#b?c", "GET /a?q=1 HTTP/1.1"),
        ("/a# HTTP/1.1\r\nX-Forged: 1", "GET /a HTTP/1.1"),
        ("#/admin", "GET / HTTP/1.1"),
    ] {
        let mut fields = get(&[]);
        fields[2].1 = path.as_bytes();
        let received = received(&node, &target, &fields);
        assert_eq!(received.request_line(), line, "{path:?}");
        assert!(!received.head.contains("Forged"), "{}", received.head);
    }
}

/// RFC 9110, section 7.4; GEP-3567: a connection is not carried over to a name of another policy.
#[test]
fn a_name_of_another_policy_is_misdirected_and_the_connection_goes_on() {
    let target = Target::named("hello");
    let more = format!(
        "{}\nserver_name_policies:\n- {{server_names: [open.example.com], \
         mutual_authentication: {{mode: \"off\"}}}}\n",
        piece::verify("")
    );
    let node = node(&target, &more);
    let mut client = Http2::with(node.address("https"), "open.example.com", &config(None), &[]);
    let mut ask = |authority: &str| {
        let id = client.next_id();
        let mut fields = get(&[]);
        fields[3].1 = authority.as_bytes();
        client.send(head(id, flag::END_STREAM, &fields));
        client.answer(id).status
    };
    for (authority, status) in
        [("open.example.com", 200), ("api.example.com", 421), ("open.example.com", 200)]
    {
        assert_eq!(ask(authority), status, "{authority}");
    }
    assert_eq!(target.so_far().len(), 2);
}

/// The limits are those of HTTP/1.1; pseudo-headers count (CVE-2026-73550).
#[test]
fn heads_over_a_limit_are_refused_and_the_connection_goes_on() {
    let target = Target::named("hello");
    let node = node(&target, "");
    let mut client = client(&node);
    let long = "a".repeat(16 * 1024);
    let path = format!("/{long}");
    let part = "a".repeat(8_000);
    let part_of_path = format!("/{part}");
    let many = vec![("x", "y"); 201];
    let much = vec![("x", &*part); 8];
    let crumbs = vec![("cookie", &*part); 3];
    let huge = vec![("x", &*part); 17];
    for (what, path, more, status) in [
        ("a path of 16 KiB", &*path, &[][..], 414),
        ("a field of 16 KiB", "/", &[("x", &*long)], 400),
        ("201 fields", "/", &many, 400),
        ("64 KiB with the path", &part_of_path, &much, 400),
        ("a cookie of 24 KiB in crumbs", "/", &crumbs, 400),
        ("a field list of 136 KiB, which the crate refuses", "/", &huge, 431),
    ] {
        let id = client.next_id();
        let mut fields = get(more);
        fields[2].1 = path.as_bytes();
        client.send(head(id, flag::END_STREAM, &fields));
        client.until(|client| client.answers.get(&id).is_some_and(|answer| answer.status != 0));
        assert_eq!(client.answers[&id].status, status, "{what}");
    }
    assert_eq!(client.get("/").status, 200);
    assert_eq!(target.so_far().len(), 1);
}

/// RFC 9113, sections 8.1 to 8.3: each is malformed, and none reaches a target.
#[test]
fn no_malformed_head_reaches_a_target() {
    let target = Target::named("hello");
    let node = node(&target, "");
    let with = |name: &'static [u8], value: &'static [u8]| {
        let mut fields = get(&[]);
        fields.push((name, value));
        fields
    };
    let replaced = |index: usize, value: &'static [u8]| {
        let mut fields = get(&[]);
        fields[index].1 = value;
        fields
    };
    let without = |index: usize| {
        let mut fields = get(&[]);
        fields.remove(index);
        fields
    };
    let mut heads: Vec<(String, Fields<'_>)> = vec![
        ("no method".to_owned(), without(0)),
        ("no scheme".to_owned(), without(1)),
        ("no path".to_owned(), without(2)),
    ];
    for (name, value) in [
        // Section 8.2.2: connection-specific fields.
        (&b"connection"[..], &b"close"[..]),
        (b"connection", b"x-amzn-mtls-clientcert-subject"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"websocket"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"te", b"gzip"),
        // Section 8.2.1: names and values.
        (b"Upper", b"case"),
        (b"", b"empty"),
        (b"with space", b"x"),
        (b"with:colon", b"x"),
        (b"with\r\nbreak", b"x"),
        (b"with\0nul", b"x"),
        (b"x", b"a\r\nhost: evil"),
        (b"x", b"a\nhost: evil"),
        (b"x", b"a\0b"),
        // Section 8.3: pseudo-header fields.
        (b":path", b"/second"),
        (b":method", b"POST"),
        (b":status", b"200"),
        (b":unknown", b"x"),
        // Section 8.1.1: a length that is not that of the content.
        (b"content-length", b"5"),
        (b"content-length", b"+0"),
        (b"content-length", b"0, 0"),
        (b"content-length", b" 0x0"),
        // Section 8.5, and what is offered to nobody.
        (b":protocol", b"websocket"),
    ] {
        let name_of = String::from_utf8_lossy(name).into_owned();
        let what = format!("{name_of:?}: {:?}", String::from_utf8_lossy(value));
        heads.push((what, with(name, value)));
    }
    for (index, value) in [
        (0, &b"CONNECT"[..]),
        (0, b"TRACE"),
        (0, b"get /evil HTTP/1.1\r\nx:"),
        (0, b"GET /evil"),
        (0, b""),
        (1, b"https\r\n"),
        (2, b""),
        (2, b"evil"),
        (2, b"*"),
        (2, b"/evil HTTP/1.1\r\nhost: evil\r\n\r\n"),
        (2, b"/evil HTTP/1.1"),
        (2, b"https://evil/"),
        (2, b"/\0"),
        (3, b"local host"),
        (3, b"localhost\r\nx: y"),
        (3, b"localhost/evil"),
        (3, b"localhost?evil"),
        (3, b"localhost#evil"),
        (3, b"local\\host"),
    ] {
        heads.push((
            format!("{index} {:?}", String::from_utf8_lossy(value)),
            replaced(index, value),
        ));
    }
    let mut pseudo_last = get(&[("x", "y")]);
    pseudo_last.swap(3, 4);
    heads.push(("a pseudo-header behind a field".to_owned(), pseudo_last));
    let mut wrong = Vec::new();
    for (what, fields) in &heads {
        let became = became(&node, &head(1, flag::END_STREAM, fields));
        if matches!(became, Became::Status(200..=399)) {
            wrong.push(format!("{what}: {became:?}, {:?}", target.so_far()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(target.so_far().is_empty());
    node.assert_no_panic();
}

/// CVE-2026-73513: trailers that do not end the stream; and fields that are no trailers.
#[test]
fn bad_trailers_end_their_stream() {
    let target = Target::named("hello");
    let node = node(&target, "");
    let ends = flag::END_HEADERS | flag::END_STREAM;
    for (what, flags, trailers) in [
        ("no END_STREAM", flag::END_HEADERS, &[("x", "y")][..]),
        ("a field of the connection", ends, &[("transfer-encoding", "chunked")]),
        ("an unknown pseudo-header field", ends, &[(":x", "y")]),
    ] {
        let mut client = client(&node);
        let id = client.request(0, "POST", "/", &[]);
        client.upload(id, b"content", false);
        client.send(frame(kind::HEADERS, flags, id, hpack::encode(trailers)));
        client.until(|client| {
            !client.goaways.is_empty() || client.answers.get(&id).is_some_and(|a| a.reset.is_some())
        });
        assert_eq!(client.answers.get(&id).map_or(0, |answer| answer.status), 0, "{what}");
    }
    // The target has seen content without an end, and no request.
    assert!(target.so_far().is_empty());
}

/// The crate takes known pseudo-header fields out of trailers without a word (RFC 9113, section 8.1, has them
/// malformed); nothing of them goes on.
#[test]
fn pseudo_header_fields_in_trailers_are_nothing_to_a_target() {
    let target = Target::named("hello");
    let node = node(&target, "");
    let mut client = client(&node);
    let id = client.request(0, "POST", "/", &[]);
    client.upload(id, b"content", false);
    let ends = flag::END_HEADERS | flag::END_STREAM;
    client.send(frame(kind::HEADERS, ends, id, hpack::encode(&[(":path", "/evil")])));
    assert_eq!(client.answer(id).status, 200);
    let received = target.received();
    assert_eq!(received.request_line(), "POST / HTTP/1.1");
    assert_eq!(received.body, b"7\r\ncontent\r\n0\r\n\r\n");
}

#[test]
fn a_fixed_response_is_the_answer_whatever_comes() {
    let target = Target::named("hello");
    let fixed = "default_actions: [{type: fixed-response, fixed_response_config: {status_code: 418, \
                 content_type: text/plain, message_body: short}}]";
    let configuration = [
        piece::certificates(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", "")
            .replace("default_actions: [{type: forward, target_group: targets}]", fixed),
    ];
    let node = Node::start(&configuration.concat());
    let mut client = client(&node);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text()), (418, "short".to_owned()));
    assert_eq!(answer.values("content-type"), ["text/plain"]);
    assert!(answer.values("connection").is_empty(), "HTTP/2 has no such field");
    let answer = client.ask("HEAD", "/", &[]);
    assert_eq!((answer.status, answer.text()), (418, String::new()));
    assert_eq!(answer.values("content-length"), ["5"]);
    // With an upload that goes on.
    let id = client.request(0, "POST", "/", &[]);
    assert_eq!(client.answer(id).text(), "short");
    assert_eq!(client.get("/").status, 418);
}
