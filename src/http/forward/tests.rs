//! Heads as targets and clients get them, byte for byte; and what no client can make of them.
#![allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
use super::*;
use crate::http::h2;
use crate::http::head::{self, Malformed, slots};
use crate::http::identity::Names;

const TRACE_ID: &str = "Root=1-6740a1b0-0123456789abcdef01234567";

const CLIENT: Client<'static> = Client {
    address: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 50_000),
    local_address: IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)),
    listener_port: 443,
    tls: true,
    tls_names: Some(("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
    identity: b"",
    trace_id: TRACE_ID.as_bytes(),
};

fn forwarded(bytes: impl AsRef<[u8]>, client: &Client<'_>, attributes: &Attributes) -> String {
    let mut slots = slots();
    let parsed = head::request(bytes.as_ref(), &mut slots).unwrap().unwrap();
    let mut out = Vec::new();
    request(&mut out, &parsed, client, attributes, &Forbidden::new([&attributes.names]));
    String::from_utf8_lossy(&out).into_owned()
}

/// The lines that a target gets of these, without those that are always added.
fn kept(lines: &str) -> String {
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let out = forwarded(head, &CLIENT, &Attributes::default());
    let out = out.strip_prefix("POST / HTTP/1.1\r\nHost: a\r\n").unwrap();
    let added = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\
                 X-Forwarded-Port: 443\r\n\
                 X-Amzn-Trace-Id: Root=1-6740a1b0-0123456789abcdef01234567\r\n\r\n";
    out.strip_suffix(added).unwrap().to_owned()
}

#[test]
fn a_request_goes_on_with_what_the_node_knows() {
    let head =
        "GET /a?b=c HTTP/1.1\r\nuser-agent: curl\r\nHost: Example.com:443\r\nACCEPT: */*\r\n\r\n";
    let identity = "X-Amzn-Mtls-Clientcert-Subject: CN=a\r\n";
    let client = Client { identity: identity.as_bytes(), ..CLIENT };
    let attributes = Attributes { tls_version_and_cipher_suite: true, ..Attributes::default() };
    assert_eq!(
        forwarded(head, &client, &attributes),
        "GET /a?b=c HTTP/1.1\r\n\
         Host: example.com\r\n\
         user-agent: curl\r\n\
         ACCEPT: */*\r\n\
         X-Forwarded-For: 192.0.2.7\r\n\
         X-Forwarded-Proto: https\r\n\
         X-Forwarded-Port: 443\r\n\
         X-Amzn-Trace-Id: Root=1-6740a1b0-0123456789abcdef01234567\r\n\
         X-Amzn-Tls-Version: TLSv1.3\r\n\
         X-Amzn-Tls-Cipher-Suite: TLS_AES_128_GCM_SHA256\r\n\
         X-Amzn-Mtls-Clientcert-Subject: CN=a\r\n\
         \r\n"
    );
}

#[test]
fn a_plain_listener_says_so() {
    let client = Client { tls: false, tls_names: None, listener_port: 80, ..CLIENT };
    let attributes = Attributes { tls_version_and_cipher_suite: true, ..Attributes::default() };
    assert_eq!(
        forwarded("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &client, &attributes),
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Port: 80\r\nX-Amzn-Trace-Id: Root=1-6740a1b0-0123456789abcdef01234567\r\n\r\n"
    );
}

/// RFC 9112, section 3.2.2: the authority of an absolute form replaces Host; section 3.2.1: a request
/// to an origin server has the origin form.
#[test]
fn a_target_gets_the_origin_form_and_one_host() {
    for (first, listener_port, preserve_host, expected) in [
        ("GET / HTTP/1.1\r\nHost: A.b:8080", 443, false, "GET / HTTP/1.1\r\nHost: a.b\r\n"),
        ("GET / HTTP/1.1\r\nHost: A.b", 8443, false, "GET / HTTP/1.1\r\nHost: a.b:8443\r\n"),
        ("GET / HTTP/1.1\r\nHost: A.b:1", 8443, false, "GET / HTTP/1.1\r\nHost: a.b:1\r\n"),
        ("GET / HTTP/1.1\r\nHost: A.b:8080", 443, true, "GET / HTTP/1.1\r\nHost: A.b:8080\r\n"),
        ("GET / HTTP/1.1\r\nHost: A.b", 8443, true, "GET / HTTP/1.1\r\nHost: A.b\r\n"),
        ("GET http://C HTTP/1.1\r\nHost: a", 443, false, "GET / HTTP/1.1\r\nHost: c\r\n"),
        ("GET http://C:1/d?e HTTP/1.1\r\nHost: a", 443, true, "GET /d?e HTTP/1.1\r\nHost: C:1\r\n"),
        ("GET http://c?e HTTP/1.0", 443, false, "GET /?e HTTP/1.1\r\nHost: c\r\n"),
        ("OPTIONS * HTTP/1.1\r\nHost: a", 443, false, "OPTIONS * HTTP/1.1\r\nHost: a\r\n"),
        ("OPTIONS http://c HTTP/1.1\r\nHost: a", 443, false, "OPTIONS * HTTP/1.1\r\nHost: c\r\n"),
        ("GET / HTTP/1.0", 443, false, "GET / HTTP/1.1\r\nHost: 198.51.100.1\r\n"),
        ("GET / HTTP/1.0", 8080, true, "GET / HTTP/1.1\r\nHost: 198.51.100.1:8080\r\n"),
    ] {
        let client = Client { listener_port, ..CLIENT };
        let attributes = Attributes { preserve_host, ..Attributes::default() };
        let out = forwarded(format!("{first}\r\n\r\n"), &client, &attributes);
        assert!(out.starts_with(expected), "{first:?}: {out:?}");
        assert_eq!(out.matches("Host:").count(), 1);
    }
    let client = Client { local_address: "::1".parse().unwrap(), listener_port: 81, ..CLIENT };
    let out = forwarded("GET / HTTP/1.0\r\n\r\n", &client, &Attributes::default());
    assert!(out.contains("\r\nHost: [::1]:81\r\n"), "{out:?}");
}

/// What a target gets of X-Forwarded-For and its lookalikes, in order.
fn forwarded_for_lines(lines: &str, forwarded_for: ForwardedFor) -> Vec<String> {
    let attributes = Attributes { forwarded_for, ..Attributes::default() };
    let out = forwarded(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"), &CLIENT, &attributes);
    let is_one = |line: &&str| line.to_lowercase().replace('_', "-").starts_with("x-forwarded-for");
    out.lines().filter(is_one).map(str::to_owned).collect()
}

/// `alb-contract.md`, sections 5.1 and 6.1: append, preserve ("untouched") and remove ("deleted").
#[test]
fn forwarded_for_is_appended_to_preserved_or_removed() {
    use ForwardedFor::{Append, AppendWithPort, Preserve, Remove};
    let two = "X-Forwarded-For: a,b\r\nX: y\r\nx-forwarded-for: c\r\n";
    for (lines, rule, expected) in [
        ("", Append, &["X-Forwarded-For: 192.0.2.7"][..]),
        ("", AppendWithPort, &["X-Forwarded-For: 192.0.2.7:50000"]),
        ("", Preserve, &[]),
        ("", Remove, &[]),
        (two, Append, &["X-Forwarded-For: a,b, c, 192.0.2.7"]),
        (two, AppendWithPort, &["X-Forwarded-For: a,b, c, 192.0.2.7:50000"]),
        (two, Preserve, &["X-Forwarded-For: a,b", "x-forwarded-for: c"]),
        (two, Remove, &[]),
        ("X_Forwarded_For: a\r\n", Append, &["X-Forwarded-For: 192.0.2.7"]),
        ("X_Forwarded_For: a\r\n", Preserve, &[]),
        // A client cannot have the header of a hop before this node removed.
        (
            "X-Forwarded-For: a\r\nConnection: x-forwarded-for\r\n",
            Append,
            &["X-Forwarded-For: a, 192.0.2.7"],
        ),
        (
            "X-Forwarded-For: a\r\nConnection: x-forwarded-for\r\n",
            Preserve,
            &["X-Forwarded-For: a"],
        ),
    ] {
        assert_eq!(forwarded_for_lines(lines, rule), expected, "{lines:?} under {rule:?}");
    }
}

/// `alb-contract.md`, section 5.1: valid is `[-A-Za-z0-9]+`. Names that are dropped anyway are neither.
#[test]
fn invalid_names_are_dropped_where_an_attribute_says_so() {
    use InvalidNames::{Dropped, Forwarded};
    let head = |lines: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    for (lines, dropped, became) in [
        ("X-A: b\r\n", "X-A: b\r\n", None),
        ("X_A: b\r\nX-A: c\r\nX.A: d\r\n", "X-A: c\r\n", Some((Dropped, Forwarded))),
        ("$: b\r\n", "", Some((Dropped, Forwarded))),
        ("X-Amzn_Mtls-Clientcert: b\r\n", "", None),
        ("X_A: b\r\nConnection: x_a\r\n", "", None),
    ] {
        for drop_invalid_names in [true, false] {
            let attributes = Attributes { drop_invalid_names, ..Attributes::default() };
            let mut slots = slots();
            let bytes = head(lines);
            let parsed = head::request(bytes.as_bytes(), &mut slots).unwrap().unwrap();
            let mut out = Vec::new();
            let said = request(&mut out, &parsed, &CLIENT, &attributes, &Forbidden::default());
            assert_eq!(said, became.map(|(on, off)| if drop_invalid_names { on } else { off }));
            let out = String::from_utf8(out).unwrap();
            if drop_invalid_names {
                let expected = format!("GET / HTTP/1.1\r\nHost: a\r\n{dropped}X-Forwarded-For: ");
                assert!(out.starts_with(&expected), "{lines:?}: {out:?}");
            } else if became.is_some() {
                assert!(out.contains(lines), "{lines:?}: {out:?}");
            }
        }
    }
}

#[test]
fn client_copies_of_proto_and_port_are_replaced() {
    for line in [
        "X-Forwarded-Proto: http\r\n",
        "x-forwarded-port: 1\r\n",
        "X_Forwarded_Proto: http\r\n",
        "X-FORWARDED_PORT: 1\r\n",
        "X-Forwarded-Port: 1\r\nX-Forwarded-Port: 2\r\nConnection: x-forwarded-port\r\n",
    ] {
        assert_eq!(kept(line), "", "{line:?}");
    }
}

/// RFC 9110, section 7.6.1: "Intermediaries MUST parse a received Connection header field before a
/// message is forwarded and, for each connection-option in this field, remove any header [...] with the
/// same name".
#[test]
fn hop_by_hop_headers_end_here() {
    for (lines, expected) in [
        ("Connection: close\r\n", ""),
        ("Connection: keep-alive, X-A\r\nX-A: b\r\nx-a: c\r\nX-B: d\r\n", "X-B: d\r\n"),
        ("X-A: b\r\nConnection: x-a\r\n", ""),
        ("Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n", ""),
        ("TE: gzip\r\nTrailer: X\r\n", ""),
        ("TE: trailers\r\n", "Connection: TE\r\nTE: trailers\r\n"),
        ("te: gzip;q=0.5 , Trailers\r\nConnection: te\r\n", "Connection: TE\r\nTE: trailers\r\n"),
        ("Proxy-Authorization: Basic a\r\nProxy-Authenticate: Basic\r\n", ""),
        ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n", ""),
        (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            "Sec-WebSocket-Version: 13\r\n",
        ),
        ("Upgrade: TLS/1.0\r\n", ""),
        ("Content-Length: 1\r\nExpect: 100-continue\r\n", "Content-Length: 1\r\n"),
        // Written anew, by `trace_id`.
        ("X-Amzn-Trace-Id: Root=1-2-3\r\nx-amzn-trace-id: a\r\nX_Amzn_Trace_Id: b\r\n", ""),
        ("Via: 1.0 a\r\nForwarded: for=b\r\n", "Via: 1.0 a\r\nForwarded: for=b\r\n"),
    ] {
        assert_eq!(kept(lines), expected, "{lines:?}");
    }
}

/// RFC 9110, section 6.6.2: Trailer goes on as far as trailers do, which takes chunks.
#[test]
fn trailers_are_announced_where_they_can_follow() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (lines, expected) in [
        ("Transfer-Encoding: chunked\r\nTrailer: A, host,b\r\n", "Trailer: A, b\r\n"),
        ("Transfer-Encoding: chunked\r\ntrailer: Content-Length\r\n", ""),
        ("Transfer-Encoding: chunked\r\nTrailer: A\r\nConnection: A\r\n", ""),
        ("Transfer-Encoding: chunked\r\nTrailer: A\r\nConnection: trailer\r\n", "Trailer: A\r\n"),
    ] {
        assert_eq!(kept(lines), format!("{chunked}{expected}"), "{lines:?}");
    }
    assert_eq!(kept("Content-Length: 1\r\nTrailer: A\r\n"), "Content-Length: 1\r\n");

    let of = |framing: &str, version| {
        let bytes = format!("HTTP/1.1 200 OK\r\nDate: today\r\n{framing}Trailer: A, Date\r\n\r\n");
        answered(&bytes, "GET", version, true).1
    };
    let out = of(chunked, Version::Http11);
    assert_eq!(out, format!("HTTP/1.1 200 OK\r\nDate: today\r\nTrailer: A\r\n{chunked}\r\n"));
    assert!(!of(chunked, Version::Http10).contains("Trailer"));
    assert!(!of("Content-Length: 1\r\n", Version::Http11).contains("Trailer"));
    assert!(!of("", Version::Http11).contains("Trailer"));
}

/// HTTP/1.0 has no framing for trailers.
#[test]
fn a_client_of_http_1_0_takes_no_trailers() {
    let head = "GET / HTTP/1.0\r\nHost: a\r\nTE: trailers\r\n\r\n";
    let out = forwarded(head, &CLIENT, &Attributes::default());
    assert!(!out.contains("TE: "), "{out:?}");
}

/// Threats: `Connection: Transfer-Encoding` (CVE-2025-32094 class). The framing header comes from the
/// parsed body alone.
#[test]
fn framing_is_made_anew_and_cannot_be_nominated_away() {
    for (lines, expected) in [
        ("", ""),
        ("content-length: 0\r\n", "Content-Length: 0\r\n"),
        ("content-length: 007\r\n", "Content-Length: 7\r\n"),
        ("Content-Length: 9223372036854775807\r\n", "Content-Length: 9223372036854775807\r\n"),
        ("transfer-encoding: CHUNKED\r\n", "Transfer-Encoding: chunked\r\n"),
        ("Content-Length: 7\r\nConnection: content-length, host\r\n", "Content-Length: 7\r\n"),
        (
            "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\n",
        ),
    ] {
        assert_eq!(kept(lines), expected, "{lines:?}");
    }
}

/// Goal: an identity is the node's word alone. Method: every name, default or renamed, in every
/// disguise, alone and nominated by Connection, with an identity to write and without.
#[test]
fn no_client_can_forge_or_remove_an_identity() {
    let names = Names { leaf: "X-Client-Leaf".into(), chain: "Chain".into(), ..Names::default() };
    let attributes = Attributes { names: names.clone(), ..Attributes::default() };
    for name in names.all().into_iter().chain(Names::default().all()) {
        for disguise in [
            name.to_owned(),
            name.to_lowercase(),
            name.to_uppercase(),
            name.replace('-', "_"),
            name.to_uppercase().replace('-', "_"),
            name.replacen('-', "_", 1),
            name.replace('-', "."),
        ] {
            for connection in
                ["", &format!("Connection: {disguise}\r\n"), &format!("Connection: {name}\r\n")]
            {
                for identity in ["", &format!("{name}: ours\r\n")] {
                    let client = Client { identity: identity.as_bytes(), ..CLIENT };
                    let head = format!(
                        "GET / HTTP/1.1\r\n{disguise}: forged\r\nHost: a\r\n{connection}{disguise}: forged\r\n\r\n"
                    );
                    let out = forwarded(head, &client, &attributes);
                    assert!(!out.contains("forged"), "{out:?}");
                    assert!(out.ends_with(&format!("{TRACE_ID}\r\n{identity}\r\n")));
                }
            }
        }
    }
}

/// Goal: whatever the parser accepts goes on with one meaning. Method: seeded mutations of good heads;
/// what is accepted is written anew and parsed again.
#[test]
fn an_accepted_head_keeps_its_framing_and_loses_its_forgeries() {
    const SEEDS: [&str; 7] = [
        "GET /a?b HTTP/1.1\r\nHost: a.b:80\r\nUser-Agent: x\r\nX-Forwarded-For: c\r\n\r\n",
        "POST http://a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\nExpect: 100-continue\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close, x-a\r\nX-A: b\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\nX-Amzn-Mtls-Clientcert: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:1\r\nX_Amzn_Mtls_Clientcert_Leaf: a\r\n\r\n",
        "\r\nHEAD / HTTP/1.1\r\nHost: a\r\nX-Amzn-Tls-Version: b\r\nContent-Length: 0\r\n\r\n",
        "DELETE /%2e HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nUpgrade: h2c\r\nCookie: d=e; f\r\n\r\n",
    ];
    const PIECES: [&str; 26] = [
        "\r\n",
        "\n",
        "\r",
        "\0",
        " ",
        "\t",
        ":",
        ",",
        ";",
        "#",
        "?",
        "/",
        "http://x@y",
        "\u{e9}",
        "\r\n\r\n",
        "\r\nContent-Length: 5",
        "\r\nTransfer-Encoding: chunked",
        "\r\nHost: b",
        "\r\n ",
        "_",
        "-",
        "0",
        "\r\nX-Amzn-Mtls-Clientcert-Subject: CN=forged",
        "\r\nConnection: host, content-length",
        "\r\nContent-Length: 05",
        "\r\nX-Amzn_Mtls-clientcert-leaf:forged",
    ];
    let forbidden = Forbidden::default();
    let attributes = Attributes::default();
    let (mut accepted, mut refused) = (0, std::collections::HashSet::<Malformed>::new());
    for seed in 0..60_000_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: usize| {
            // Knuth's linear congruential generator; its high bits are the good ones.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        let mut bytes = SEEDS[next(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            let end = (at + next(4)).min(bytes.len());
            match next(4) {
                0 => bytes[at] = next(256) as u8,
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..at, PIECES[next(PIECES.len())].bytes())),
                _ => drop(bytes.splice(at..end, PIECES[next(PIECES.len())].bytes())),
            }
            if bytes.is_empty() {
                bytes.push(b'G');
            }
        }
        let mut first_slots = slots();
        let first = match head::request(&bytes, &mut first_slots) {
            Ok(Some(first)) => first,
            Ok(None) => continue,
            Err(fault) => {
                refused.insert(fault);
                continue;
            }
        };
        accepted += 1;
        let mut out = Vec::new();
        request(&mut out, &first, &CLIENT, &attributes, &forbidden);
        let mut second_slots = slots();
        let second = head::request(&out, &mut second_slots);
        let second = second.unwrap_or_else(|fault| panic!("seed {seed}: {fault:?}")).unwrap();
        let shown = String::from_utf8_lossy(&out);
        assert_eq!(second.length, out.len(), "seed {seed}: {shown:?}");
        assert_eq!(second.body, first.body, "seed {seed}: {shown:?}");
        assert_eq!(
            (second.method, second.path, second.query),
            (first.method, first.path, first.query)
        );
        assert_eq!(second.version, Version::Http11);
        assert!(second.keep_alive && !second.expects_continue, "seed {seed}: {shown:?}");
        for header in second.headers {
            assert!(!forbidden.contains(header.name), "seed {seed}: {shown:?}");
            assert!(
                !matches!(known(header.name), Known::HopByHop)
                    && (known(header.name) != Known::Connection || header.value == b"TE"),
                "seed {seed}"
            );
        }
        // Written once more, the head stays as it is but for the client, which is appended again.
        let again = forwarded(&out, &CLIENT, &attributes).replacen(", 192.0.2.7\r\n", "\r\n", 1);
        assert_eq!(again, shown, "seed {seed}");
    }
    assert!(accepted > 5_000, "{accepted} accepted");
    assert!(refused.len() > 20, "{refused:?}");
}

/// 2026-11-22T10:11:12Z.
const NOW: Duration = Duration::from_secs(1_795_342_272);

fn answered(
    bytes: &str,
    method: &str,
    client_version: Version,
    client_keep_alive: bool,
) -> (Onward, String) {
    let mut slots = slots();
    let expected = match method {
        "HEAD" => head::Expected::HeadAlone,
        _ => head::Expected::Content,
    };
    let parsed = head::response(bytes.as_bytes(), expected, &mut slots).unwrap().unwrap();
    let onward = onward(&parsed, client_version, client_keep_alive);
    let mut out = Vec::new();
    response(
        &mut out,
        &parsed,
        onward,
        client_version,
        &Attributes::default(),
        &Forbidden::default(),
        || NOW,
    );
    (onward, String::from_utf8(out).unwrap())
}

/// RFC 9112, section 6.3 and section 9.3: what the client can read, and whether it may stay.
#[test]
fn a_response_is_framed_for_its_client() {
    use Version::{Http10, Http11};
    for (lines, version, keep_alive, body, expected) in [
        ("Content-Length: 05\r\n", Http11, true, Body::Length(5), "Content-Length: 5\r\n"),
        (
            "Content-Length: 5\r\n",
            Http11,
            false,
            Body::Length(5),
            "Content-Length: 5\r\nConnection: close\r\n",
        ),
        (
            "Content-Length: 5\r\n",
            Http10,
            true,
            Body::Length(5),
            "Content-Length: 5\r\nConnection: keep-alive\r\n",
        ),
        (
            "Content-Length: 5\r\n",
            Http10,
            false,
            Body::Length(5),
            "Content-Length: 5\r\nConnection: close\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            Http11,
            true,
            Body::Chunked,
            "Transfer-Encoding: chunked\r\n",
        ),
        ("Transfer-Encoding: chunked\r\n", Http10, true, Body::UntilClose, "Connection: close\r\n"),
        ("", Http11, true, Body::Chunked, "Transfer-Encoding: chunked\r\n"),
        ("", Http10, true, Body::UntilClose, "Connection: close\r\n"),
        // The target's connection is its own affair.
        (
            "Content-Length: 0\r\nConnection: close\r\n",
            Http11,
            true,
            Body::Length(0),
            "Content-Length: 0\r\n",
        ),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\nDate: today\r\n{lines}\r\n");
        let (onward, out) = answered(&bytes, "GET", version, keep_alive);
        assert_eq!(onward.body, body, "{lines:?}");
        assert_eq!(onward.keep_alive, keep_alive && body != Body::UntilClose, "{lines:?}");
        assert_eq!(out, format!("HTTP/1.1 200 OK\r\nDate: today\r\n{expected}\r\n"), "{lines:?}");
    }
}

/// RFC 9110, section 6.6.1: a recipient with a clock appends a Date to what it forwards without one.
#[test]
fn a_response_without_a_date_gets_the_time_at_which_it_came() {
    let (_, out) =
        answered("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET", Version::Http11, true);
    let date = "Date: Sun, 22 Nov 2026 10:11:12 GMT\r\n";
    assert_eq!(out, format!("HTTP/1.1 200 OK\r\n{date}Content-Length: 0\r\n\r\n"));
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    assert_eq!(answered(hints, "GET", Version::Http11, true).1, hints);
}

#[test]
fn a_response_keeps_its_own_headers_and_loses_those_of_its_hop() {
    let (_, out) = answered(
        "HTTP/1.0 404 Nope here\r\nserver: nginx\r\nDate: today\r\nConnection: keep-alive, X-A\r\nX-A: b\r\n\
         Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nTrailer: X\r\n\
         Content_Length: 9\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nX-Forwarded-For: c\r\nContent-Length: 3\r\n\r\n",
        "GET",
        Version::Http11,
        true,
    );
    assert_eq!(
        out,
        "HTTP/1.1 404 Nope here\r\nserver: nginx\r\nDate: today\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
         X-Forwarded-For: c\r\nContent-Length: 3\r\n\r\n"
    );
}

/// RFC 9110, section 8.6: the length may be that of content which is not sent, to HEAD and with 304; a
/// server MUST NOT send one with 1xx and 204.
#[test]
fn responses_without_a_body_keep_the_length_that_may_stand() {
    for (method, first, expected) in [
        ("HEAD", "200 OK", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "304 Not Modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "204 No Content", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "103 Early Hints", "HTTP/1.1 103 Early Hints\r\n\r\n"),
        ("HEAD", "103 Early Hints", "HTTP/1.1 103 Early Hints\r\n\r\n"),
    ] {
        let date = "Date: today\r\n";
        let bytes = format!("HTTP/1.1 {first}\r\n{date}Content-Length: 5\r\n\r\n");
        let (onward, out) = answered(&bytes, method, Version::Http11, true);
        assert_eq!(
            (onward.body, out.replace(date, "").as_str()),
            (Body::Empty, expected),
            "{method} {first}"
        );
    }
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let (_, out) = answered(hints, "GET", Version::Http11, false);
    assert_eq!(out, hints, "an interim response closes nothing");
}

/// `alb-contract.md`, section 5.2: "on all status codes, overwriting the target's value".
#[test]
fn a_response_header_that_the_listener_sets_replaces_its_targets() {
    let mut attributes = Attributes::default();
    attributes.inserted.add("X-Frame-Options", "DENY");
    attributes.inserted.add("Access-Control-Allow-Origin", "*");
    for status in ["200 OK", "204 No Content", "304 Not Modified", "404 Not Found", "500 Oh"] {
        let mut slots = slots();
        let bytes = format!(
            "HTTP/1.1 {status}\r\nDate: today\r\nX-FRAME-OPTIONS: SAMEORIGIN\r\nX-A: b\r\n\
             x-frame-options: ALLOWALL\r\nX-Frame-Option: c\r\n\r\n"
        );
        let parsed = head::response(bytes.as_bytes(), head::Expected::HeadAlone, &mut slots)
            .unwrap()
            .unwrap();
        let onward = Onward { body: Body::Empty, keep_alive: true };
        let mut out = Vec::new();
        response(
            &mut out,
            &parsed,
            onward,
            Version::Http11,
            &attributes,
            &Forbidden::default(),
            || NOW,
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(
                "HTTP/1.1 {status}\r\nDate: today\r\nX-A: b\r\nX-Frame-Option: c\r\n\
                 X-Frame-Options: DENY\r\nAccess-Control-Allow-Origin: *\r\n\r\n"
            )
        );
    }
    let hints = "HTTP/1.1 103 Early Hints\r\nX-Frame-Options: SAMEORIGIN\r\n\r\n";
    let mut slots = slots();
    let parsed =
        head::response(hints.as_bytes(), head::Expected::Content, &mut slots).unwrap().unwrap();
    let mut out = Vec::new();
    let onward = Onward { body: Body::Empty, keep_alive: true };
    response(
        &mut out,
        &parsed,
        onward,
        Version::Http11,
        &attributes,
        &Forbidden::default(),
        || NOW,
    );
    assert_eq!(String::from_utf8(out).unwrap(), hints, "an interim response is not the answer");
}

/// `alb-contract.md`, section 6.1: "from HTTP/2 clients to HTTP/1.1 targets all lower-case except
/// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Port`, `Host`, `X-Amzn-Trace-Id`, `Upgrade`,
/// `Connection`".
#[test]
fn a_request_by_http_2_reaches_its_target_in_albs_spelling() {
    let sent = http::Request::post("https://Example.com/a?b=c")
        .header("user-agent", "curl")
        .header("x-forwarded-for", "192.0.2.1")
        .header("x-forwarded-proto", "gopher")
        .header("x-amzn-trace-id", "Root=1-2-3")
        .header("te", "trailers")
        .header("trailer", "grpc-status, host")
        .header("cookie", "a=b")
        .header("cookie", "c=d")
        .header("x_odd", "e");
    let (parts, ()) = sent.body(()).unwrap().into_parts();
    let fields = h2::fields(&parts.headers).unwrap();
    let parsed = h2::request::checked(&parts, &fields, false).unwrap();
    let written = |forwarded_for| {
        let attributes = Attributes { forwarded_for, ..Attributes::default() };
        let mut out = Vec::new();
        let invalid = request(&mut out, &parsed, &CLIENT, &attributes, &Forbidden::default());
        assert_eq!(invalid, Some(InvalidNames::Forwarded));
        String::from_utf8(out).unwrap()
    };
    let appended = "POST /a?b=c HTTP/1.1\r\n\
         Host: example.com\r\n\
         Transfer-Encoding: chunked\r\n\
         Connection: TE\r\n\
         TE: trailers\r\n\
         user-agent: curl\r\n\
         trailer: grpc-status\r\n\
         cookie: a=b; c=d\r\n\
         x_odd: e\r\n\
         X-Forwarded-For: 192.0.2.1, 192.0.2.7\r\n\
         X-Forwarded-Proto: https\r\n\
         X-Forwarded-Port: 443\r\n\
         X-Amzn-Trace-Id: Root=1-6740a1b0-0123456789abcdef01234567\r\n\
         \r\n";
    assert_eq!(written(ForwardedFor::Append), appended);
    let preserved = written(ForwardedFor::Preserve);
    assert!(preserved.contains("\r\nX-Forwarded-For: 192.0.2.1\r\n"), "{preserved}");
}

#[test]
fn renamed_tls_headers_are_written_by_their_new_names() {
    let names = Names {
        tls_version: "X-Tls".into(),
        tls_cipher_suite: "X-Cipher".into(),
        ..Names::default()
    };
    let attributes =
        Attributes { names, tls_version_and_cipher_suite: true, ..Attributes::default() };
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Tls: forged\r\nX-Amzn-Tls-Version: forged\r\n\r\n";
    assert!(forwarded(head, &CLIENT, &attributes).ends_with(&format!(
        "{TRACE_ID}\r\nX-Tls: TLSv1.3\r\nX-Cipher: TLS_AES_128_GCM_SHA256\r\n\r\n"
    )));
}
