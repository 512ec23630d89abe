//! Request heads, rule by rule; every vector is also shown byte by byte.
#![allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
use super::*;
use crate::limits::{HEADER_BYTES_MAX, REQUEST_LINE_BYTES_MAX};

mod response;

/// A parsed request, detached from its slots.
#[derive(Debug, PartialEq)]
struct Parsed {
    method: String,
    path_and_query: String,
    version: Version,
    host: Option<String>,
    body: Body,
    keep_alive: bool,
    expects_continue: bool,
    headers: usize,
    length: usize,
}

fn parse(bytes: &[u8]) -> Result<Option<Parsed>, Malformed> {
    let mut slots = slots();
    let parsed = request(bytes, &mut slots)?;
    Ok(parsed.map(|request| Parsed {
        method: request.method.into(),
        path_and_query: format!("{}{}", request.path, request.query),
        version: request.version,
        host: request.host.map(Into::into),
        body: request.body,
        keep_alive: request.keep_alive,
        expects_continue: request.expects_continue,
        headers: request.headers.len(),
        length: request.length,
    }))
}

fn good(bytes: &str) -> Parsed {
    let parsed = parse(bytes.as_bytes());
    parsed.unwrap_or_else(|fault| panic!("{fault:?}: {bytes:?}")).expect(bytes)
}

/// The fault, once the whole is there; no prefix may ever be taken for a good head.
fn fault(bytes: impl AsRef<[u8]>) -> Malformed {
    let bytes = bytes.as_ref();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
    for length in 0..bytes.len().min(300) {
        let prefix = parse(&bytes[..length]);
        assert!(!matches!(prefix, Ok(Some(_))), "{length} bytes of {shown:?}");
    }
    parse(bytes).expect_err(&shown)
}

/// The fault of a request with these header lines besides Host.
fn fault_of(lines: &str) -> Malformed {
    fault(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"))
}

#[test]
fn a_request_is_read_whole() {
    let bytes = "GET /a?b HTTP/1.1\r\nHost: example.com\r\nAccept:\t*/* \r\nX:\r\n\r\nrest";
    let expected = Parsed {
        method: "GET".into(),
        path_and_query: "/a?b".into(),
        version: Version::Http11,
        host: Some("example.com".into()),
        body: Body::Empty,
        keep_alive: true,
        expects_continue: false,
        headers: 3,
        length: bytes.len() - 4,
    };
    assert_eq!(good(bytes), expected);
    let mut slots = slots();
    let parsed = request(bytes.as_bytes(), &mut slots).unwrap().unwrap();
    let headers: Vec<_> = parsed.headers.iter().map(|header| (header.name, header.value)).collect();
    assert_eq!(headers, [("Host", &b"example.com"[..]), ("Accept", b"*/*"), ("X", b"")]);
}

/// Goal: a cut-off head waits and never guesses. Method: every prefix of valid ones.
#[test]
fn every_prefix_of_a_good_head_needs_more() {
    for whole in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nPOST http://a:1/b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "get / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        for length in 0..whole.len() {
            assert_eq!(parse(&whole.as_bytes()[..length]), Ok(None), "{length} bytes of {whole:?}");
        }
        assert_eq!(good(whole).length, whole.len());
    }
}

/// RFC 9112, section 2.2: "a server that is expecting to receive and parse a request-line SHOULD
/// ignore at least one empty line (CRLF) received prior to the request-line."
#[test]
fn one_empty_line_may_stand_before_a_request_line() {
    let parsed = good("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((parsed.method.as_str(), parsed.length), ("GET", 29));
    for (before, expected) in [
        ("\r\n\r\n", Malformed::LeadingEmptyLines),
        ("\n", Malformed::BareLf),
        ("\r\n\n", Malformed::BareLf),
        ("\r", Malformed::BareCr),
        (" \r\n", Malformed::BadMethod),
    ] {
        let bytes = format!("{before}GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(parse(bytes.as_bytes()).unwrap_err(), expected, "{before:?}");
    }
}

/// RFC 9112, section 3: `request-line = method SP request-target SP HTTP-version`.
#[test]
fn a_request_line_has_three_words_and_two_spaces() {
    for (line, expected) in [
        ("", Malformed::LeadingEmptyLines),
        ("GET", Malformed::BadMethod),
        ("GET ", Malformed::BadUri),
        ("GET /", Malformed::BadVersion),
        ("GET / ", Malformed::BadVersion),
        ("G\u{e9}T / HTTP/1.1", Malformed::BadMethod),
        ("GET\t/ HTTP/1.1", Malformed::BadMethod),
        ("G(T / HTTP/1.1", Malformed::BadMethod),
        (" GET / HTTP/1.1", Malformed::BadMethod),
        ("\0GET / HTTP/1.1", Malformed::BadMethod),
        ("\u{16}\u{3}\u{1}\u{2}", Malformed::BadMethod),
        ("GET  / HTTP/1.1", Malformed::SpaceInUri),
        ("GET /  HTTP/1.1", Malformed::SpaceInUri),
        ("GET / HTTP/1.1 ", Malformed::SpaceInUri),
        ("GET /a b HTTP/1.1", Malformed::SpaceInUri),
        ("GET / HTTP/1.1 HTTP/1.1", Malformed::SpaceInUri),
        ("GET /a\tb HTTP/1.1", Malformed::AmbiguousUri),
        ("GET /a\u{b}b HTTP/1.1", Malformed::AmbiguousUri),
        ("GET /a\u{7f}b HTTP/1.1", Malformed::AmbiguousUri),
        ("GET /a\0b HTTP/1.1", Malformed::BadUri),
        ("GET /a\rb HTTP/1.1", Malformed::BadUri),
        ("GET /a\u{e9} HTTP/1.1", Malformed::BadUri),
        ("GET /a#b HTTP/1.1", Malformed::BadUri),
        ("GET a HTTP/1.1", Malformed::BadUri),
        ("GET ftp://a/ HTTP/1.1", Malformed::BadUri),
        ("GET * HTTP/1.1", Malformed::BadUri),
        ("GET http://u@a/ HTTP/1.1", Malformed::BadHost),
        ("GET / HTTP/1.1\rX", Malformed::BareCr),
        ("GET / HTTP/1.\r1", Malformed::BareCr),
        ("CONNECT a:443 HTTP/1.1", Malformed::ConnectMethod),
        ("connect a:443 HTTP/1.1", Malformed::ConnectMethod),
        ("TRACE / HTTP/1.1", Malformed::TraceMethod),
        ("Trace / HTTP/1.1", Malformed::TraceMethod),
    ] {
        // The first line of "" is the skipped one, so another empty line is needed to be refused.
        let before = if line.is_empty() { "\r\n" } else { "" };
        assert_eq!(fault(format!("{before}{line}\r\nHost: a\r\n\r\n")), expected, "{line:?}");
    }
    let latin1 = b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(fault(latin1), Malformed::BadUri);
}

/// RFC 9110, section 15.6.6, and RFC 9112, section 2.3; the preface of HTTP/2 (RFC 9113, section 3.4)
/// is such a request by design.
#[test]
fn other_versions_are_refused_as_such() {
    for (version, expected) in [
        ("HTTP/2.0", Malformed::UnsupportedVersion),
        ("HTTP/1.2", Malformed::UnsupportedVersion),
        ("HTTP/0.9", Malformed::UnsupportedVersion),
        ("HTTP/3.0", Malformed::UnsupportedVersion),
        ("HTTP/1", Malformed::BadVersion),
        ("HTTP/2", Malformed::BadVersion),
        ("HTTP/1.10", Malformed::BadVersion),
        ("HTTP/01.1", Malformed::BadVersion),
        ("HTTP/1,1", Malformed::BadVersion),
        ("http/1.1", Malformed::BadVersion),
        ("HTTPS/1.1", Malformed::BadVersion),
        ("XHTTP/1.1", Malformed::BadVersion),
        ("HTTP/1.\u{661}", Malformed::BadVersion),
    ] {
        assert_eq!(fault(format!("GET / {version}\r\nHost: a\r\n\r\n")), expected, "{version}");
    }
    assert_eq!(fault("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Malformed::UnsupportedVersion);
    assert_eq!(Malformed::UnsupportedVersion.status(), 505);
}

/// RFC 9112, section 2.2: LF alone MAY be taken as a line end, CR alone is invalid; here both are
/// refused wherever they stand (threats: CVE-2025-22871, CVE-2025-55315).
#[test]
fn lines_end_in_cr_lf_alone() {
    for (bytes, expected) in [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Malformed::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Malformed::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Malformed::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\n\n", Malformed::BareLf),
        ("GET / HTTP/1.1\nHost: a\n\n", Malformed::BareLf),
        ("GET / HTTP/1.1\r\nX: b\nHost: a\r\n\r\n", Malformed::BareLf),
        ("GET / HTTP/1.1\r\nX:\nHost: a\r\n\r\n", Malformed::BareLf),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", Malformed::BareCr),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", Malformed::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", Malformed::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", Malformed::BareCr),
        ("GET / HTTP/1.1\r\nHost:\ra\r\n\r\n", Malformed::BareCr),
        ("GET / HTTP/1.1\r\nHo\rst: a\r\n\r\n", Malformed::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n", Malformed::BareCr),
        ("GET / HTTP/1.0\r\n\rX\r\n\r\n", Malformed::BareCr),
    ] {
        assert_eq!(fault(bytes), expected, "{bytes:?}");
    }
}

/// RFC 9112, section 5: names are tokens without blanks around them, values hold no control character,
/// lines do not fold; threats: CVE-2023-25725 (empty name), CVE-2021-40346.
#[test]
fn header_lines_are_a_token_a_colon_and_a_value() {
    for (line, expected) in [
        (" X: a", Malformed::MultilineHeader),
        ("\tX: a", Malformed::MultilineHeader),
        ("X: a\r\n b", Malformed::MultilineHeader),
        ("X: a\r\n\tb", Malformed::MultilineHeader),
        ("X: a\r\n \r\nY: b", Malformed::MultilineHeader),
        ("Transfer-Encoding:\r\n chunked", Malformed::MultilineHeader),
        ("Expect: 100-\r\n continue", Malformed::MultilineHeader),
        ("X : a", Malformed::SpaceBeforeColon),
        ("X\t: a", Malformed::SpaceBeforeColon),
        ("X Y: a", Malformed::SpaceBeforeColon),
        ("Content-Length : 5", Malformed::SpaceBeforeColon),
        ("Transfer-Encoding : chunked", Malformed::SpaceBeforeColon),
        (": a", Malformed::EmptyHeaderName),
        (":", Malformed::EmptyHeaderName),
        ("X", Malformed::MissingHeaderColon),
        ("X(: a", Malformed::BadHeaderName),
        ("\"X\": a", Malformed::BadHeaderName),
        ("X\u{e9}: a", Malformed::BadHeaderName),
        ("X\u{7f}: a", Malformed::BadHeaderName),
        ("X\u{b}: a", Malformed::BadHeaderName),
        ("{X}: a", Malformed::BadHeaderName),
        ("X\0: a", Malformed::Nul),
        ("X: a\0b", Malformed::Nul),
        ("X:\0", Malformed::Nul),
        ("X: a\u{1}b", Malformed::BadHeaderValue),
        ("X: a\u{b}b", Malformed::BadHeaderValue),
        ("X: a\u{7f}b", Malformed::BadHeaderValue),
        ("X: \u{1b}[31m", Malformed::BadHeaderValue),
    ] {
        assert_eq!(fault_of(line), expected, "{line:?}");
    }
    // obs-text is opaque and goes through (RFC 9110, section 5.5).
    assert_eq!(good("GET / HTTP/1.1\r\nHost: a\r\nX: \u{e9}\tb\r\n\r\n").headers, 2);
}

/// RFC 9112, section 3.2: 400 "to any HTTP/1.1 request message that lacks a Host header field and to
/// any request message that contains more than one Host header field line or a Host header field with
/// an invalid field value."
#[test]
fn there_is_one_host() {
    for (lines, expected) in [
        ("X: a\r\n", Malformed::MissingHost),
        ("Host: a\r\nHost: a\r\n", Malformed::MultipleHost),
        ("Host: a\r\nhOST: b\r\n", Malformed::MultipleHost),
        ("Host: a, b\r\n", Malformed::BadHost),
        ("Host: a b\r\n", Malformed::BadHost),
        ("Host: u@a\r\n", Malformed::BadHost),
        ("Host: http://a\r\n", Malformed::BadHost),
        ("Host: a:80:80\r\n", Malformed::BadHost),
        ("Host: a:b\r\n", Malformed::BadHost),
        ("Host: a/b\r\n", Malformed::BadHost),
        ("Host:\r\n", Malformed::BadHost),
    ] {
        assert_eq!(fault(format!("GET / HTTP/1.1\r\n{lines}\r\n")), expected, "{lines:?}");
        assert_eq!(
            parse(format!("GET / HTTP/1.0\r\n{lines}\r\n").as_bytes()).err(),
            (expected != Malformed::MissingHost).then_some(expected),
            "{lines:?} with HTTP/1.0"
        );
    }
    assert_eq!(good("GET / HTTP/1.0\r\n\r\n").host, None);
}

/// RFC 9112, section 3.2.2: a proxy that receives an absolute form "MUST ignore the received Host
/// header field (if any)"; an invalid or missing one is refused all the same.
#[test]
fn the_authority_of_an_absolute_form_wins() {
    let parsed = good("GET HTTP://b:1/c?d HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((parsed.host.as_deref(), &*parsed.path_and_query), (Some("b:1"), "/c?d"));
    let parsed = good("GET http://b HTTP/1.0\r\n\r\n");
    assert_eq!((parsed.host.as_deref(), &*parsed.path_and_query), (Some("b"), "/"));
    assert_eq!(fault("GET http://b/ HTTP/1.1\r\n\r\n"), Malformed::MissingHost);
    assert_eq!(fault("GET http://b/ HTTP/1.1\r\nHost: a,b\r\n\r\n"), Malformed::BadHost);
}

/// RFC 9112, section 6.3. A body is read with any method, as a target might (TE.0, 0.CL).
#[test]
fn a_body_is_as_long_as_its_headers_say() {
    for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE", "BREW"] {
        for (lines, expected) in [
            ("", Body::Empty),
            ("Content-Length: 0\r\n", Body::Length(0)),
            ("content-length:5\r\n", Body::Length(5)),
            ("Content-Length: \t 5 \t\r\n", Body::Length(5)),
            ("Transfer-Encoding: chunked\r\n", Body::Chunked),
            ("TRANSFER-ENCODING:CHUNKED\r\n", Body::Chunked),
        ] {
            let parsed = good(&format!("{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
            assert_eq!(parsed.body, expected, "{method} {lines:?}");
        }
    }
}

/// Goal: no two readers may find different ends. Threats: CL.TE, TE.CL, TE.TE, RUSTSEC-2021-0078 and
/// -0079, RUSTSEC-2020-0008, RUSTSEC-2021-0020, CVE-2023-40225, CVE-2026-2835.
#[test]
fn bodies_with_an_ambiguous_length_are_refused() {
    for (lines, expected) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Malformed::BothTeClPresent),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", Malformed::BothTeClPresent),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked", Malformed::BothTeClPresent),
        ("Content-Length: 5\r\nContent-Length: 5", Malformed::DuplicateContentLength),
        ("Content-Length: 5\r\ncontent-length: 05", Malformed::DuplicateContentLength),
        ("Content-Length: 5\r\nContent-Length: 6", Malformed::MultipleContentLength),
        ("Content-Length: 5, 5", Malformed::BadContentLength),
        ("Content-Length:", Malformed::BadContentLength),
        ("Content-Length: +5", Malformed::BadContentLength),
        ("Content-Length: -5", Malformed::BadContentLength),
        ("Content-Length: 5 5", Malformed::BadContentLength),
        ("Content-Length: 0x5", Malformed::BadContentLength),
        ("Content-Length: 18446744073709551616", Malformed::BadContentLength),
        ("Content-Length: \u{665}", Malformed::BadContentLength),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            Malformed::MultipleTransferEncoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            Malformed::MultipleTransferEncoding,
        ),
        (
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            Malformed::BadTransferEncoding,
        ),
        ("Transfer-Encoding: gzip, chunked", Malformed::BadTransferEncoding),
        ("Transfer-Encoding: chunked, chunked", Malformed::BadTransferEncoding),
        ("Transfer-Encoding: chunked, identity", Malformed::BadTransferEncoding),
        ("Transfer-Encoding: ,chunked", Malformed::BadTransferEncoding),
        ("Transfer-Encoding: chunked,", Malformed::BadTransferEncoding),
        ("Transfer-Encoding: chunked;a=b", Malformed::BadTransferEncoding),
        ("Transfer-Encoding: xchunked", Malformed::BadTransferEncoding),
        ("Transfer-Encoding: \"chunked\"", Malformed::BadTransferEncoding),
        ("Transfer-Encoding: identity", Malformed::BadTransferEncoding),
        ("Transfer-Encoding:", Malformed::BadTransferEncoding),
        ("Transfer-Encoding: chunked\u{b}", Malformed::BadHeaderValue),
        ("Transfer-Encoding:\u{c}chunked", Malformed::BadHeaderValue),
        ("Transfer_Encoding: chunked", Malformed::SuspiciousHeader),
        ("Content_Length: 5", Malformed::SuspiciousHeader),
        ("content.length: 5", Malformed::SuspiciousHeader),
    ] {
        assert_eq!(fault_of(lines), expected, "{lines:?}");
        assert_eq!(expected.status(), 400);
    }
    let http10 = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(fault(http10), Malformed::TransferEncodingInHttp10);
    let http10 = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(fault(http10), Malformed::BothTeClPresent);
}

/// RFC 9112, section 9.3.
#[test]
fn persistence_follows_version_and_connection() {
    for (version, lines, expected) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: a\r\nConnection: b , Close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false),
    ] {
        let parsed = good(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!(parsed.keep_alive, expected, "{version} {lines:?}");
    }
}

/// RFC 9110, section 10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0 request
/// MUST ignore that expectation"; "MAY omit sending a 100 [...] if [...] there is no content".
#[test]
fn an_expectation_counts_with_http11_and_a_body() {
    for (version, lines, expected) in [
        ("1.1", "Expect: 100-continue\r\nContent-Length: 1\r\n", true),
        ("1.1", "expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", true),
        ("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", false),
        ("1.1", "Expect: 100-continue\r\n", false),
        ("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", false),
        ("1.1", "Content-Length: 1\r\n", false),
    ] {
        let parsed = good(&format!("POST / HTTP/{version}\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!(parsed.expects_continue, expected, "{version} {lines:?}");
    }
    for value in ["", "100", "100-continue, x", "x=100-continue", "200-ok"] {
        assert_eq!(fault_of(&format!("Expect: {value}")), Malformed::UnknownExpectation);
    }
    assert_eq!(Malformed::UnknownExpectation.status(), 417);
}

#[test]
fn a_request_line_is_bounded_before_it_ends() {
    let line = |target_bytes: usize| format!("GET /{} HTTP/1.1", "a".repeat(target_bytes));
    let fitting = line(REQUEST_LINE_BYTES_MAX - line(0).len());
    assert_eq!(good(&format!("{fitting}\r\nHost: a\r\n\r\n")).headers, 1);
    assert_eq!(parse(format!("{fitting}\r").as_bytes()), Ok(None));

    let above = line(REQUEST_LINE_BYTES_MAX - line(0).len() + 1);
    let head = format!("{above}\r\nHost: a\r\n\r\n");
    assert_eq!(parse(head.as_bytes()).unwrap_err(), Malformed::RequestLineTooLong);
    assert_eq!(parse(above.as_bytes()).unwrap_err(), Malformed::RequestLineTooLong);
    let endless = "A".repeat(REQUEST_LINE_BYTES_MAX + 1);
    assert_eq!(parse(endless.as_bytes()).unwrap_err(), Malformed::RequestLineTooLong);
    assert_eq!(Malformed::RequestLineTooLong.status(), 414);
}

/// Goal: a version that never ends is bounded, too, although it is judged only at the line's end.
#[test]
fn a_version_without_end_is_bounded() {
    let endless = format!("GET / HTTP/2{}", "0".repeat(REQUEST_LINE_BYTES_MAX));
    assert_eq!(parse(endless.as_bytes()).unwrap_err(), Malformed::RequestLineTooLong);
}

#[test]
fn a_header_line_is_bounded_before_it_ends() {
    let head =
        |value_bytes: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(value_bytes));
    let fitting = head(HEADER_BYTES_MAX - "X: ".len());
    assert_eq!(good(&format!("{fitting}\r\n\r\n")).headers, 2);
    assert_eq!(parse(fitting.as_bytes()), Ok(None));
    let above = head(HEADER_BYTES_MAX - "X: ".len() + 1);
    assert_eq!(parse(above.as_bytes()).unwrap_err(), Malformed::HeaderTooLong);
    let whole = format!("{above}\r\n\r\n");
    assert_eq!(parse(whole.as_bytes()).unwrap_err(), Malformed::HeaderTooLong);
    let blanks = format!("GET / HTTP/1.1\r\nHost:{}a\r\n\r\n", " ".repeat(HEADER_BYTES_MAX));
    assert_eq!(parse(blanks.as_bytes()).unwrap_err(), Malformed::HeaderTooLong);
}

#[test]
fn a_head_is_bounded_before_it_ends() {
    let start = "GET / HTTP/1.1\r\nHost: a\r\n";
    let line = format!("X: {}\r\n", "a".repeat(8 * 1024));
    let mut head = start.to_owned() + &line.repeat(7);
    let last = REQUEST_HEAD_BYTES_MAX - head.len() - "X: \r\n\r\n".len();
    head.push_str(&format!("X: {}\r\n", "a".repeat(last)));
    assert_eq!(parse(head.as_bytes()), Ok(None));
    assert_eq!(good(&format!("{head}\r\n")).length, REQUEST_HEAD_BYTES_MAX);
    // One more byte, and there is no end within the limit.
    let above = head.replacen("Host: a", "Host: aa", 1);
    assert_eq!(parse(above.as_bytes()), Ok(None));
    assert_eq!(parse(format!("{above}\r").as_bytes()).unwrap_err(), Malformed::HeadTooLong);
    assert_eq!(parse(format!("{above}\r\n").as_bytes()).unwrap_err(), Malformed::HeadTooLong);
}

#[test]
fn the_number_of_headers_is_bounded() {
    let head = |headers: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(headers - 1))
    };
    assert_eq!(good(&head(HEADERS_MAX)).headers, HEADERS_MAX);
    assert_eq!(parse(head(HEADERS_MAX + 1).as_bytes()).unwrap_err(), Malformed::TooManyHeaders);
}

#[test]
fn the_number_of_connection_options_is_bounded() {
    let options = vec!["a"; crate::limits::CONNECTION_OPTIONS_MAX + 1].join(",");
    let fault = fault_of(&format!("Connection: {options}"));
    assert_eq!(fault, Malformed::TooManyConnectionOptions);
}

/// Goal: a client that sends single bytes costs a few parses, and waits for none of them in vain.
#[test]
fn a_trickling_head_is_parsed_when_it_may_be_whole() {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(10_000));
    for step in [1, 2, 3, 7, 1_000] {
        let (mut seen, mut parses, mut whole) = (0, 0, false);
        while seen < head.len() {
            let now = (seen + step).min(head.len());
            let bytes = &head.as_bytes()[..now];
            if worth_parsing(bytes, seen) {
                parses += 1;
                whole = parse(bytes).unwrap().is_some();
            }
            seen = now;
        }
        assert!(whole && parses <= 4, "{parses} parses in steps of {step}");
    }
    for bare in ["GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\nHost: a\n\r\n"] {
        let last = bare.len() - 1;
        assert!(worth_parsing(bare.as_bytes(), last), "{bare:?}");
        assert!(!worth_parsing(&bare.as_bytes()[..last], last - 1), "{bare:?}");
    }
}

/// `alb-contract.md`, section 6.1: "More than 30 addresses in a client's XFF => 463".
#[test]
fn more_addresses_than_30_in_forwarded_for_are_too_many() {
    let list = |count: usize| vec!["192.0.2.1"; count].join(",");
    for (lines, fits) in [
        (format!("X-Forwarded-For: {}\r\n", list(30)), true),
        (format!("X-Forwarded-For: {}\r\n", list(31)), false),
        (format!("X-Forwarded-For: {},,\r\nX-Forwarded-For:\r\n", list(30)), true),
        ("x-forwarded-for: a\r\n".repeat(30), true),
        ("x-forwarded-for: a\r\n".repeat(31), false),
        (format!("X-Forwarded-For: {0}\r\nX-FORWARDED-FOR: {0}, b\r\n", list(15)), false),
        (format!("X-Forwarded-Host: {}\r\n", list(31)), true),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut slots = slots();
        let fault = request(bytes.as_bytes(), &mut slots).err();
        assert_eq!(fault, (!fits).then_some(Malformed::TooManyForwardedFor), "{lines}");
    }
    assert_eq!(Malformed::TooManyForwardedFor.status(), 463);
}

#[test]
fn the_first_of_several_trace_ids_counts() {
    for (lines, expected) in [
        ("", None),
        ("X-Amzn-Trace-Id: a\r\n", Some("a")),
        ("x-amzn-trace-id: a\r\nX-Amzn-Trace-Id: b\r\n", Some("a")),
        ("X-Amzn-Trace-Id:\r\nX-Amzn-Trace-Id: b\r\n", Some("")),
        ("X_Amzn_Trace_Id: a\r\nX-Amzn-Trace-Ids: b\r\n", None),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut slots = slots();
        let parsed = request(bytes.as_bytes(), &mut slots).unwrap().unwrap();
        assert_eq!(parsed.trace_id, expected.map(str::as_bytes), "{lines:?}");
    }
}
