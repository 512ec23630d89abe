//! What targets and clients get of each other's headers, by ALB's attributes.
use crate::support::client::tls_config;
use crate::support::node::piece;
use crate::support::target::{Received, close, ok};
use crate::support::{Client, Http2, Node, Target, http2};
use std::collections::HashSet;
use std::io::Write;

/// A node with one plain listener, under these attributes of the load balancer and of the listener.
fn node(target: &Target, balancer: &str, listener: &str) -> Node {
    Node::start(
        &[
            piece::targets(&[target.entry()]),
            format!("load_balancer: {{attributes: {{{balancer}}}}}\n"),
            "listeners:\n".to_owned(),
            piece::http("plain", &format!("attributes: {{{listener}}}")),
        ]
        .concat(),
    )
}

/// What the target gets of a request with these lines.
fn received(node: &Node, target: &Target, lines: &str) -> Received {
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    assert_eq!(Client::plain(node.address("plain")).ask(&request).status, 200, "{lines}");
    target.received()
}

/// `alb-contract`, sections 5.1 and 6.1.
#[test]
fn forwarded_for_is_appended_to_preserved_or_removed() {
    let target = Target::named("hello");
    let mode = "routing.http.xff_header_processing.mode";
    let port = "routing.http.xff_client_port.enabled: true";
    let sent = "X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n";
    for (attributes, expected) in [
        (format!("{mode}: append"), Some("192.0.2.1, 192.0.2.2, 127.0.0.1")),
        (format!("{mode}: preserve, {port}"), Some("192.0.2.1, 192.0.2.2")),
        (format!("{mode}: remove, {port}"), None),
    ] {
        let node = node(&target, &attributes, "");
        let got = received(&node, &target, sent);
        assert_eq!(got.values("X-Forwarded-For"), Vec::from_iter(expected), "{attributes}");
    }
    let node = node(&target, port, "");
    let value = received(&node, &target, sent).value("X-Forwarded-For").to_owned();
    let client = value.strip_prefix("192.0.2.1, 192.0.2.2, 127.0.0.1:").unwrap();
    assert!(client.parse::<u16>().is_ok(), "{value}");
}

/// `alb-contract`, section 6.5.
#[test]
fn more_forwarded_addresses_than_30_are_463() {
    let target = Target::named("hello");
    let node = node(&target, "", "");
    let list = |count: usize| vec!["192.0.2.1"; count].join(", ");
    received(&node, &target, &format!("X-Forwarded-For: {}\r\n", list(30)));
    for lines in [
        format!("X-Forwarded-For: {}\r\n", list(31)),
        format!("X-Forwarded-For: {}\r\nx-forwarded-for: {}\r\n", list(15), list(16)),
    ] {
        let mut client = Client::plain(node.address("plain"));
        let answer = client.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!(answer.status, 463, "{lines}");
        assert_eq!(answer.values("Content-Type"), ["text/html"]);
        assert!(answer.text().contains("<center><h1>463 "), "{}", answer.text());
    }
    assert!(target.so_far().is_empty());
    let labels = ["listener=\"plain\"", "reason=\"too_many_forwarded_for\""];
    node.metric_becomes("portcullis_http_malformed_total", &labels, 2.0);
}

/// `alb-contract`, section 5.1: valid is `[-A-Za-z0-9]+`; by default others pass.
#[test]
fn headers_with_invalid_names_pass_unless_an_attribute_drops_them() {
    let target = Target::named("hello");
    let drop = "routing.http.drop_invalid_header_fields.enabled: true";
    let sent = "X_Tenant: a\r\nX-Tenant: b\r\nX.Tenant: c\r\n";
    for (attributes, expected, action) in [
        ("", &["X_Tenant: a", "X-Tenant: b", "X.Tenant: c"][..], "forwarded"),
        (drop, &["X-Tenant: b"], "dropped"),
    ] {
        let node = node(&target, attributes, "");
        let got = received(&node, &target, sent);
        let tenants = got.headers().into_iter().filter(|line| line.contains("Tenant"));
        assert_eq!(tenants.collect::<Vec<_>>(), expected);
        received(&node, &target, "X-Tenant: b\r\n");
        let metric = "portcullis_http_invalid_header_requests_total";
        let labels = ["listener=\"plain\"", &format!("action=\"{action}\"")];
        node.metric_becomes(metric, &labels, 1.0);
        assert!((node.metric(metric, &["listener=\"plain\""]) - 1.0).abs() < 0.5);
    }
}

/// `alb-contract`, section 5.2: on all status codes, over the target's own; here also where the node
/// answers by itself.
#[test]
fn a_response_header_that_the_listener_sets_is_on_every_answer() {
    let target = Target::with(|received, stream| {
        if received.request_line().contains("/missing") {
            let head = "HTTP/1.1 404 Not Found\r\nx-frame-options: SAMEORIGIN\r\nServer: ours\r\n";
            return stream.write_all(format!("{head}Content-Length: 0\r\n\r\n").as_bytes());
        }
        stream.write_all(ok("hello").as_bytes())
    });
    let attributes = "routing.http.response.x_frame_options.header_value: DENY, \
         routing.http.response.access_control_allow_origin.header_value: \"*\", \
         routing.http.response.server.enabled: false";
    let node = node(&target, "", attributes);
    let mut client = Client::plain(node.address("plain"));
    for (request, status, server) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200, &[][..]),
        ("GET /missing HTTP/1.1\r\nHost: a\r\n\r\n", 404, &["ours"]),
        ("GET / HTTP/1.1\r\n\r\n", 400, &[]),
    ] {
        let answer = client.ask(request);
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(answer.values("X-Frame-Options"), ["DENY"], "{}", answer.head);
        assert_eq!(answer.values("Access-Control-Allow-Origin"), ["*"], "{}", answer.head);
        assert_eq!(answer.values("Server"), server, "{}", answer.head);
    }
}

/// `alb-contract`, section 6.1.
#[test]
fn every_request_has_a_trace_id_of_its_own() {
    let target = Target::named("hello");
    let node = node(&target, "", "");
    let address = node.address("plain");
    let mut client = Client::plain(address);
    let mut seen = HashSet::new();
    for _ in 0..2 {
        client.get("/");
        let id = target.received().value("X-Amzn-Trace-Id").to_owned();
        let id = id.strip_prefix("Root=").unwrap_or_else(|| panic!("{id}"));
        assert_is_id(id);
        assert!(seen.insert(id.to_owned()), "{id} again");
    }
    let sent = "X-Amzn-Trace-Id: Root=1-67891233-abcdef012345678912345678;CalledFrom=app\r\n\
                X-Amzn-Trace-Id: Root=1-1-1\r\nX_Amzn_Trace_Id: Root=1-2-2\r\n";
    let got = received(&node, &target, sent);
    let value = got.value("X-Amzn-Trace-Id");
    let (own, rest) = value.split_once(';').unwrap();
    assert_eq!(rest, "Root=1-67891233-abcdef012345678912345678;CalledFrom=app");
    assert_is_id(own.strip_prefix("Self=").unwrap());
    assert!(got.values("X_Amzn_Trace_Id").is_empty(), "{}", got.head);
}

/// Asserts `1-`, the seconds as 8 hexadecimal digits, 24 more.
fn assert_is_id(id: &str) {
    let parts: Vec<_> = id.split('-').collect();
    let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    assert!(parts.len() == 3 && parts.iter().all(|part| is_hex(part)), "{id}");
    assert_eq!((parts[0], parts[1].len(), parts[2].len()), ("1", 8, 24), "{id}");
    let seconds = u64::from_str_radix(parts[1], 16).unwrap();
    let now = portcullis::clock::since_epoch().as_secs();
    assert!(seconds.abs_diff(now) < 3_600, "{id} at {now}");
}

/// A reused connection that the target has closed: the request goes to it once more, as the same one.
#[test]
fn a_request_that_is_tried_again_keeps_its_trace_id() {
    let target = Target::with(|received, stream| {
        // The second request of a connection is read and never answered.
        if received.index == 1 { close() } else { stream.write_all(ok("hello").as_bytes()) }
    });
    let node = node(&target, "", "");
    let mut client = Client::plain(node.address("plain"));
    client.get("/");
    assert_eq!(client.get("/").status, 200);
    let ids: Vec<_> =
        (0..3).map(|_| target.received().value("X-Amzn-Trace-Id").to_owned()).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[1], ids[2]);
}

/// RFC 9110, section 6.5: trailers go on both ways, but those that could pass for a header that this node
/// made, checked or removed. RFC 9112, section 7.1: written anew, extensions and all.
#[test]
fn trailers_go_on_made_anew_and_filtered() {
    let target = Target::with(|_, stream| {
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Server-Timing, Set-Cookie\r\n\r\n\
              05;a=b\r\nhello\r\n00\r\nServer-Timing:db;dur=5\r\nSet-Cookie: a=b\r\n\
              Content-Length: 9\r\n\r\n",
        )
    });
    let node = node(&target, "", "");
    let mut client = Client::plain(node.address("plain"));
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
         TE: trailers\r\nConnection: TE\r\nTrailer: X-Checksum, X-Forwarded-For\r\n\r\n\
         02;a\r\nhi\r\n0;b\r\nX-Checksum:\t1234 \r\nX-Forwarded-For: 192.0.2.1\r\nHost: b\r\n\
         X_Amzn_Mtls_Clientcert_Subject: CN=forged\r\nAuthorization: Basic a\r\n\r\n";
    // Twice: the connection is kept, and nothing of the trailers is taken for a request.
    for _ in 0..2 {
        let answer = client.ask(request);
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.values("Trailer"), ["Server-Timing"]);
        assert_eq!(answer.trailers, "Server-Timing: db;dur=5\r\n");
        let received = target.received();
        assert_eq!(received.body, b"2\r\nhi\r\n0\r\nX-Checksum: 1234\r\n\r\n");
        assert_eq!(received.value("Trailer"), "X-Checksum");
        assert_eq!((received.value("TE"), received.value("Connection")), ("trailers", "TE"));
        assert_eq!(received.connection, 0);
    }
    // What Connection names ends here, and with it all trailers: which they are is not known any more.
    let answer = client.ask(&request.replace("Connection: TE", "Connection: X-Checksum"));
    assert_eq!(answer.status, 200);
    let received = target.received();
    assert_eq!(received.body, b"2\r\nhi\r\n0\r\n\r\n");
    assert!(received.values("Trailer").is_empty());
    // HTTP/1.0 has no place for them.
    let mut old = Client::plain(node.address("plain"));
    old.send("GET / HTTP/1.0\r\nHost: a\r\nTE: trailers\r\n\r\n");
    let answer = String::from_utf8(old.until_closed()).unwrap();
    assert!(answer.ends_with("\r\n\r\nhello") && !answer.contains("Trailer"), "{answer}");
    assert!(target.received().values("TE").is_empty());
}

/// `limits::TRAILERS_BYTES_MAX`.
#[test]
fn trailers_are_bounded() {
    let target = Target::named("hello");
    let node = node(&target, "", "");
    let request = |bytes: usize| {
        let value = "x".repeat(bytes - "X: \r\n\r\n".len());
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             1\r\na\r\n0\r\nX: {value}\r\n\r\n"
        )
    };
    assert_eq!(Client::plain(node.address("plain")).ask(&request(16 * 1024)).status, 200);
    let received = target.received();
    assert_eq!(received.body.len(), b"1\r\na\r\n0\r\n".len() + 16 * 1024);
    let mut client = Client::plain(node.address("plain"));
    assert_eq!(client.ask(&request(16 * 1024 + 1)).status, 400);
    assert!(client.until_closed().is_empty());
    let labels = ["listener=\"plain\"", "reason=\"trailers_too_long\""];
    node.metric_becomes("portcullis_http_malformed_total", &labels, 1.0);
}

/// `alb-contract`, section 6.1: lower case, and the listener's port where none is there; preserved byte for byte.
#[test]
fn the_host_is_put_in_order_or_preserved() {
    let target = Target::named("hello");
    let preserve = "routing.http.preserve_host_header.enabled: true";
    for (attributes, preserved) in [("", false), (preserve, true)] {
        let node = node(&target, attributes, "");
        let port = node.address("plain").port();
        for (sent, in_order) in [
            ("Host: Api.Example.COM", format!("api.example.com:{port}")),
            ("Host: Api.Example.COM:81", "api.example.com:81".to_owned()),
            ("Host: [2001:DB8::1]", format!("[2001:db8::1]:{port}")),
        ] {
            Client::plain(node.address("plain")).ask(&format!("GET / HTTP/1.1\r\n{sent}\r\n\r\n"));
            let expected = if preserved { sent } else { &format!("Host: {in_order}") };
            let received = target.received();
            assert_eq!(received.headers()[0], expected);
            assert_eq!(received.values("Host").len(), 1);
        }
    }
}

/// RFC 6797, section 7.2: Strict-Transport-Security is for TLS.
#[test]
fn strict_transport_security_is_set_over_tls_and_refused_without() {
    let target = Target::named("hello");
    let attributes = "attributes: {routing.http.response.strict_transport_security.header_value: \
         max-age=63072000; includeSubDomains}";
    let of = |listener: String| {
        let targets = piece::targets(&[target.entry()]);
        [piece::certificates(), targets, "listeners:\n".to_owned(), listener].concat()
    };
    let node = Node::start(&of(piece::https("tls", attributes)));
    let mut client = Client::tls(node.address("tls"), "localhost", &tls_config(None));
    let answer = client.get("/");
    let expected = ["max-age=63072000; includeSubDomains"];
    assert_eq!(
        (answer.status, answer.values("Strict-Transport-Security")),
        (200, expected.to_vec())
    );
    node.configure(&of(piece::http("tls", attributes)));
    let said = node.reload_refused();
    assert!(
        said.contains("strict_transport_security.header_value\"]: needs protocol: HTTPS"),
        "{said}"
    );
}

/// The rules stand once: what they say holds for requests by HTTP/2, one stream at a time.
#[test]
fn the_rules_hold_for_http_2_too() {
    let target = Target::named("hello");
    let node = Node::start(
        &[
            piece::certificates(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https(
                "https",
                "attributes: {routing.http.response.x_frame_options.header_value: DENY}",
            ),
        ]
        .concat(),
    );
    let mut client = Http2::connect(node.address("https"), &http2::config(None));
    let many = vec!["192.0.2.1"; 31].join(",");
    let refused = client.ask("GET", "/", &[("x-forwarded-for", &many)]);
    assert_eq!((refused.status, refused.values("x-frame-options")), (463, vec!["DENY"]));

    let sent = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-amzn-trace-id", "Root=1-2-3"),
        ("x_tenant", "a"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
    ];
    let answer = client.ask("GET", "/", &sent);
    assert_eq!((answer.status, answer.values("x-frame-options")), (200, vec!["DENY"]));
    let received = target.received();
    assert_eq!(received.value("X-Forwarded-For"), "192.0.2.1, 127.0.0.1");
    let trace_id = received.value("X-Amzn-Trace-Id");
    assert!(trace_id.starts_with("Self=1-") && trace_id.ends_with(";Root=1-2-3"), "{trace_id}");
    assert_eq!(received.value("Cookie"), "a=b; c=d");
    assert!(received.headers().contains(&"x_tenant: a"), "{}", received.head);
    let labels = ["listener=\"https\"", "action=\"forwarded\""];
    node.metric_becomes("portcullis_http_invalid_header_requests_total", &labels, 1.0);
    assert!(target.so_far().is_empty());
}
