//! Classes, what each mode does with them, and what a mended head is.
#![allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
use super::*;
use crate::http::forward;
use crate::http::head::{Body, Version};

const MODES: [Mode; 3] = [Mode::Monitor, Mode::Defensive, Mode::Strictest];

/// What a request comes to.
#[derive(Debug, PartialEq)]
struct Seen {
    target: String,
    version: Version,
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
    class_reason: Option<ClassReason>,
    keep_alive: bool,
    closes: bool,
    length: usize,
}

fn read(bytes: &[u8], mode: Mode) -> Result<Option<Seen>, Refused> {
    request(bytes, mode, |request| Seen {
        target: request.target.to_owned(),
        version: request.version,
        headers: request.headers.iter().map(|h| (h.name.to_owned(), h.value.to_owned())).collect(),
        body: request.body,
        class_reason: request.class_reason,
        keep_alive: request.keep_alive,
        closes: request.closes,
        length: request.length,
    })
}

/// What each mode does with it, in the order of [`MODES`].
fn actions(bytes: &str) -> [Action; 3] {
    MODES.map(|mode| match read(bytes.as_bytes(), mode) {
        Ok(Some(Seen { closes: true, keep_alive: false, .. })) => Action::RouteAndClose,
        Ok(Some(Seen { closes: false, keep_alive: true, .. })) => Action::Route,
        Ok(seen) => panic!("{mode:?}: {bytes:?}: {seen:?}"),
        Err(_) => Action::Refuse,
    })
}

/// The class of a head, which is the same in every mode, let in or not.
fn class_of(bytes: &str) -> Option<ClassReason> {
    let [monitor, defensive, strictest] = MODES.map(|mode| match read(bytes.as_bytes(), mode) {
        Ok(seen) => seen.unwrap_or_else(|| panic!("{bytes:?} is not whole")).class_reason,
        Err(refused) => refused.class_reason,
    });
    assert!(monitor == defensive && defensive == strictest, "{bytes:?}");
    monitor
}

/// A request with these header lines besides Host.
fn with(method: &str, lines: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")
}

const ROUTE: [Action; 3] = [Action::Route; 3];
/// ALB's actions for Acceptable, Ambiguous, and what is refused whatever the mode.
const ACCEPTABLE: [Action; 3] = [Action::Route, Action::Route, Action::Refuse];
const AMBIGUOUS: [Action; 3] = [Action::Route, Action::RouteAndClose, Action::Refuse];
const DOUBTFUL: [Action; 3] = [Action::RouteAndClose, Action::RouteAndClose, Action::Refuse];
const REFUSED: [Action; 3] = [Action::Refuse; 3];

/// `alb-contract.md`, sections 2.4 and 5.1: one head at least for each reason.
#[test]
fn each_reason_has_its_class_and_each_mode_its_action() {
    use ClassReason as Reason;
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked";
    let cases = [
        (with("GET", "Content-Length: 0"), Reason::GetHeadZeroContentLength, ACCEPTABLE),
        (with("HEAD", "Content-Length: 0"), Reason::GetHeadZeroContentLength, ACCEPTABLE),
        (with("GET", "X: a\u{1}b"), Reason::NonCompliantHeader, ACCEPTABLE),
        (with("GET", "X(y): a"), Reason::NonCompliantHeader, ACCEPTABLE),
        (with("GET", "\u{e9}: a"), Reason::NonCompliantHeader, ACCEPTABLE),
        (line("GET / HTTP/1.2"), Reason::NonCompliantVersion, ACCEPTABLE),
        (line("GET / HTTP/1.9"), Reason::NonCompliantVersion, ACCEPTABLE),
        (line("GET / HTTP/1.1 "), Reason::NonCompliantVersion, ACCEPTABLE),
        (line("GET /a b HTTP/1.1"), Reason::SpaceInUri, ACCEPTABLE),
        (line("GET  / HTTP/1.1"), Reason::SpaceInUri, ACCEPTABLE),
        (
            with("POST", "Content-Length: 5\r\nContent-Length: 5"),
            Reason::DuplicateContentLength,
            AMBIGUOUS,
        ),
        (
            with("POST", "Content-Length: 5\r\nContent-Length: 05"),
            Reason::DuplicateContentLength,
            AMBIGUOUS,
        ),
        (with("GET", "Content-Length: 5"), Reason::UndefinedContentLengthSemantics, DOUBTFUL),
        (with("HEAD", "Content-Length: 5"), Reason::UndefinedContentLengthSemantics, DOUBTFUL),
        (
            with("GET", "Transfer-Encoding: chunked"),
            Reason::UndefinedTransferEncodingSemantics,
            DOUBTFUL,
        ),
        (
            with("HEAD", "Transfer-Encoding: chunked"),
            Reason::UndefinedTransferEncodingSemantics,
            DOUBTFUL,
        ),
        (with("POST", both), Reason::BothTeClPresent, DOUBTFUL),
        (with("POST", ": a"), Reason::EmptyHeader, DOUBTFUL),
        (with("POST", "Content_Length: 5"), Reason::SuspiciousHeader, DOUBTFUL),
        (with("POST", "Transfer--Encoding: chunked"), Reason::SuspiciousHeader, DOUBTFUL),
        (with("POST", "Tran\u{17f}fer-Encoding: chunked"), Reason::SuspiciousHeader, DOUBTFUL),
        (with("POST", "\u{1}Transfer-Encoding: chunked"), Reason::SuspiciousHeader, DOUBTFUL),
        (
            with("POST", "Content_Length: 5\r\nContent-Length: 5"),
            Reason::SuspiciousHeader,
            DOUBTFUL,
        ),
        (
            with("POST", "Transfer_Encoding: chunked\r\nContent-Length: 5"),
            Reason::SuspiciousTeClPresent,
            [Action::RouteAndClose, Action::Refuse, Action::Refuse],
        ),
        // Refused in every mode, whatever ALB does.
        ("GET / HTTP/1.1\nHost: a\r\n\r\n".into(), Reason::NonCrLfLineTermination, REFUSED),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n".into(), Reason::NonCrLfLineTermination, REFUSED),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n".into(), Reason::NonCrLfLineTermination, REFUSED),
        (line("GET /a\tb HTTP/1.1"), Reason::AmbiguousUri, REFUSED),
        (with("GET", "X: a\r\n b"), Reason::MultilineHeader, REFUSED),
        (with("GET", "X"), Reason::MissingHeaderColon, REFUSED),
        (line("GET HTTP/1.1"), Reason::MissingUri, REFUSED),
        (line("GET  HTTP/1.1"), Reason::MissingUri, REFUSED),
        (line("GET /"), Reason::NonCompliantVersion, REFUSED),
        (line("GET / HTTP/0.9"), Reason::NonCompliantVersion, REFUSED),
        (with("GET", "X : a"), Reason::NonCompliantHeader, REFUSED),
        (with("POST", "Transfer-Encoding : chunked"), Reason::SuspiciousHeader, REFUSED),
        (with("POST", "Content-Length: 5, 5"), Reason::BadContentLength, REFUSED),
        (with("POST", "Content-Length: +5"), Reason::BadContentLength, REFUSED),
        (with("GET", "X: a\0"), Reason::BadHeader, REFUSED),
        (with("GET", "X: a\rb"), Reason::BadHeader, REFUSED),
        (line("G(T / HTTP/1.1"), Reason::BadMethod, REFUSED),
        (with("POST", "Transfer-Encoding: xchunked"), Reason::BadTransferEncoding, REFUSED),
        (line("GET /\0 HTTP/1.1"), Reason::BadUri, REFUSED),
        (line("GET /\r HTTP/1.1"), Reason::BadUri, REFUSED),
        (line("GET / HTTP/1.10"), Reason::BadVersion, REFUSED),
        (
            with("POST", "Content-Length: 5\r\nContent-Length: 6"),
            Reason::MultipleContentLength,
            REFUSED,
        ),
        (
            with("POST", "Content-Length: 5\r\nContent_Length: 6"),
            Reason::MultipleContentLength,
            REFUSED,
        ),
        (
            with("POST", "Transfer-Encoding: chunked, chunked"),
            Reason::MultipleTransferEncodingChunked,
            REFUSED,
        ),
    ];
    for (bytes, reason, expected) in &cases {
        assert_eq!(class_of(bytes), Some(*reason), "{bytes:?}");
        assert_eq!(actions(bytes), *expected, "{bytes:?}");
    }
    for reason in ClassReason::ALL {
        assert!(cases.iter().any(|(_, of_case, _)| *of_case == reason), "{reason:?}");
    }
}

#[test]
fn what_complies_has_no_class_and_goes_on_in_every_mode() {
    for bytes in [
        with("GET", "Accept: */*"),
        with("POST", "Content-Length: 5"),
        with("POST", "Content-Length: 0"),
        with("OPTIONS", "Transfer-Encoding: chunked"),
        with("get", "Content-Length: 5"),
        with("GET", "X: \u{e9}\tb"),
        "\r\nGET /%00%20 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ] {
        assert_eq!((class_of(&bytes), actions(&bytes)), (None, ROUTE), "{bytes:?}");
    }
}

/// What has no class of ALB's and is refused all the same.
#[test]
fn faults_that_alb_has_no_class_for_are_refused_in_every_mode() {
    for bytes in [
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(),
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        with("POST", "Transfer-Encoding: gzip, chunked"),
        with("POST", "Transfer-Encoding: identity"),
        with("POST", "Expect: a-miracle"),
    ] {
        assert_eq!((class_of(&bytes), actions(&bytes)), (None, REFUSED), "{bytes:?}");
    }
}

/// RFC 9112, section 6.1: HTTP/1.0 with a coding is faulty in any case.
#[test]
fn http_1_0_has_no_codings_in_any_mode() {
    for lines in ["", "Content-Length: 5\r\n"] {
        let bytes = format!("POST / HTTP/1.0\r\n{lines}Transfer-Encoding: chunked\r\n\r\n");
        assert_eq!(class_of(&bytes), Some(ClassReason::UndefinedTransferEncodingSemantics));
        assert_eq!(actions(&bytes), REFUSED);
    }
}

/// `alb-contract.md`, section 2.4: "When several violations meet, the most severe one is reported".
#[test]
fn the_most_severe_reason_wins_and_of_equals_the_first() {
    for (bytes, reason) in [
        (
            with("GET", "X: \u{1}\r\nContent-Length: 5"),
            ClassReason::UndefinedContentLengthSemantics,
        ),
        (with("GET", "X: \u{1}\r\nContent-Length: $5"), ClassReason::BadContentLength),
        (with("POST", "X(: \0\r\nTransfer_Encoding: chunked"), ClassReason::BadHeader),
        (with("GET", "X(: a\r\nContent-Length: 0"), ClassReason::NonCompliantHeader),
        (
            with("POST", "Transfer-Encoding: xchunked\r\nContent-Length: $9"),
            ClassReason::BadTransferEncoding,
        ),
        (
            "GET /a\tb HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n".to_owned(),
            ClassReason::UndefinedContentLengthSemantics,
        ),
        ("GET /a b HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(), ClassReason::NonCompliantVersion),
    ] {
        assert_eq!(class_of(&bytes), Some(reason), "{bytes:?}");
    }
}

/// Goal: what a target gets has one meaning. Method: the request as the rest of the node sees it.
#[test]
fn what_is_mended_is_what_is_left_when_the_doubtful_is_left_out() {
    let headers = |lines: &str| {
        let bytes = with("POST", lines);
        let seen = read(bytes.as_bytes(), Mode::Monitor).unwrap().unwrap();
        assert_eq!(seen.length, bytes.len(), "of what was received, not of what was made of it");
        let names: Vec<String> =
            seen.headers.iter().skip(1).map(|(name, _)| name.clone()).collect();
        (names.join(" "), seen.body)
    };
    for (lines, names, body) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding", Body::Chunked),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", "Transfer-Encoding", Body::Chunked),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\ncontent-length: 5",
            "Transfer-Encoding",
            Body::Chunked,
        ),
        ("content-length: 5\r\nX: a\r\nContent-Length: 5", "content-length X", Body::Length(5)),
        ("Transfer_Encoding: chunked\r\nX: a", "X", Body::Empty),
        ("Transfer_Encoding: chunked\r\nContent-Length: 5", "Content-Length", Body::Length(5)),
        ("Content_Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding", Body::Chunked),
        ("Transfer_Encoding: chunked\r\nContent_Length: 5", "", Body::Empty),
        (": a\r\nX: a\r\nY: \u{7f}\r\nZ\u{e9}: a\r\n\"Q\": a", "X", Body::Empty),
        ("TE: \u{1}\r\nX-Forwarded-For: \u{b}", "", Body::Empty),
    ] {
        assert_eq!(headers(lines), (names.to_owned(), body), "{lines:?}");
    }
    // No line end goes with what is left out.
    for lines in
        [": a\nX: a", "Content_Length: 5\nX: a", "Content-Length: 5\r\nContent-Length: 5\nX: a"]
    {
        assert_eq!(actions(&with("POST", lines)), REFUSED, "{lines:?}");
    }
    // What the node itself goes by is never left out.
    for line in ["Content-Length: 5\u{1}", "Connection: close\u{1}", "Expect: \u{1}"] {
        assert_eq!(actions(&with("POST", line)), REFUSED, "{line:?}");
    }
    assert_eq!(actions("GET / HTTP/1.1\r\nHost: a\u{1}\r\n\r\n"), REFUSED);
}

#[test]
fn a_mended_request_line_has_three_words() {
    for (line, target, version) in [
        ("GET  / HTTP/1.1", "/", Version::Http11),
        ("GET /   HTTP/1.1", "/", Version::Http11),
        ("GET / HTTP/1.1  ", "/", Version::Http11),
        ("GET / HTTP/1.0 ", "/", Version::Http10),
        ("GET / HTTP/1.5", "/", Version::Http11),
        ("GET /a b c HTTP/1.1", "/a%20b%20c", Version::Http11),
        ("GET / HTTP/1.1 HTTP/1.1", "/%20HTTP/1.1", Version::Http11),
        ("GET /\u{e9}?\u{20ac} HTTP/1.1", "/%C3%A9?%E2%82%AC", Version::Http11),
    ] {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n");
        let seen = read(bytes.as_bytes(), Mode::Defensive).unwrap().unwrap();
        assert_eq!((seen.target.as_str(), seen.version), (target, version), "{line:?}");
    }
    for line in ["GET /\u{e9} HTTP/1.1", "GET /?\u{e9} HTTP/1.1"] {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!((class_of(&bytes), actions(&bytes)), (None, ROUTE), "{line:?}");
    }
    let no_text = b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(read(no_text, Mode::Monitor).unwrap_err().malformed, Malformed::BadUri);
}

/// In strictest the codec accepts no more than hyper does, whose URIs have none of these.
#[test]
fn the_strictest_mode_wants_delimiters_encoded() {
    for target in ["/\"", "/<", "/?>", "/`"] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(class_of(&bytes), None);
        assert_eq!(actions(&bytes), [Action::Route, Action::Route, Action::Refuse], "{target}");
    }
}

/// Goal: a status tells what is wrong first of all. Method: several faults at once.
#[test]
fn a_refused_request_has_the_fault_that_it_is_refused_for() {
    let long = "x".repeat(crate::limits::REQUEST_LINE_BYTES_MAX);
    for (bytes, mode, expected) in [
        (
            "TRACE /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            Mode::Monitor,
            Malformed::TraceMethod,
        ),
        (
            "TRACE /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            Mode::Strictest,
            Malformed::SpaceInUri,
        ),
        (format!("GET /a b{long} HTTP/1.1\r\n"), Mode::Defensive, Malformed::RequestLineTooLong),
        (format!("GET /{long} HTTP/1.1\r\n"), Mode::Defensive, Malformed::RequestLineTooLong),
        (with("GET", &format!("X(: {long}")), Mode::Defensive, Malformed::HeaderTooLong),
        (with("GET", &format!("\u{e9}: {long}")), Mode::Strictest, Malformed::HeaderTooLong),
        (with("GET", "Content-Length: 0"), Mode::Strictest, Malformed::BodyOfGet),
        (
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(),
            Mode::Strictest,
            Malformed::UnsupportedVersion,
        ),
        ("GET / HTTP/1.2\r\n\r\n".to_owned(), Mode::Defensive, Malformed::MissingHost),
        (
            "GET /a b HTTP/1.1\r\nX : a\r\n\r\n".to_owned(),
            Mode::Monitor,
            Malformed::SpaceBeforeColon,
        ),
    ] {
        let refused = read(bytes.as_bytes(), mode).unwrap_err();
        assert_eq!(refused.malformed, expected, "{mode:?}: {:?}", &bytes[..bytes.len().min(80)]);
    }
}

/// Goal: the end of a head is found where it is, and no sooner. Method: every prefix.
#[test]
fn every_prefix_of_a_head_that_is_mended_needs_more() {
    for whole in [
        "GET /a b HTTP/1.2 \r\nHost: a\r\nX(: a\r\n: b\r\nY: \u{1}\r\n\r\n",
        "\r\nPOST /\u{e9} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\nContent-Length: 5\r\n\r\n",
    ] {
        for length in 0..whole.len() {
            for mode in MODES {
                let prefix = read(&whole.as_bytes()[..length], mode);
                assert_eq!(prefix, Ok(None), "{length} bytes of {whole:?}");
            }
        }
        let followed = format!("{whole}GET / HTTP/1.1\r\n");
        let seen = read(followed.as_bytes(), Mode::Defensive).unwrap().unwrap();
        assert_eq!(seen.length, whole.len());
    }
}

/// Goal: what cannot be let in is answered at once, not when its head is whole, which may be never.
#[test]
fn a_head_that_is_refused_in_every_mode_is_refused_as_soon_as_it_shows() {
    for prefix in ["G(T", "GET /\t", "GET / HTTP/1.1\r\nX : ", "GET / HTTP/1.1\r\nX: a\0", "\n"] {
        for mode in MODES {
            assert!(read(prefix.as_bytes(), mode).is_err(), "{prefix:?}");
        }
    }
}

/// Goal: a CR that ends no line is answered at once, however the bytes come: RFC 9112, section 2.2. Method: a CR before
/// every byte of a head, cut in two at every place, and read as a shard reads.
#[test]
fn a_bare_cr_is_refused_with_the_byte_behind_it() {
    for good in [
        "GET /a?b HTTP/1.1\r\nHost: a\r\nX: y z\r\n\r\n",
        // What is mended, and so waited for.
        "GET /a b HTTP/1.2 \r\nHost: a\r\nX(: a\r\n: b\r\nY: \u{1}\r\n\r\n",
    ] {
        for place in 0..good.len() {
            let bad = [&good.as_bytes()[..place], b"\r", &good.as_bytes()[place..]].concat();
            let is_bare = |pair: &[u8]| pair[0] == b'\r' && pair[1] != b'\n';
            let shown = bad.windows(2).position(is_bare).unwrap() + 2;
            for (cut, mode) in (0..shown).flat_map(|cut| MODES.map(|mode| (cut, mode))) {
                let (first, second) = (&bad[..cut], &bad[..shown]);
                let said = format!("{mode:?}, cut at {cut}: {}", second.escape_ascii());
                let refused = match read(first, mode) {
                    // In a method no CR can be right, whatever follows.
                    Err(refused) => refused,
                    waits => {
                        assert_eq!(waits, Ok(None), "{said}");
                        assert!(head::worth_parsing(second, cut), "{said}");
                        read(second, mode).expect_err(&said)
                    }
                };
                assert_eq!(refused.malformed.status(), 400, "{said}");
            }
        }
    }
}

/// The head that a target gets is written by `forward`, from what `head` made of the mended bytes alone.
#[test]
fn a_target_gets_one_length_and_no_name_like_it() {
    let bytes = with(
        "POST",
        "Content-Length: 3\r\nContent_Length: 3\r\nTransfer-Encoding: chunked\r\nX: a\u{1}\r\nY: b",
    );
    let mut out = Vec::new();
    let client = forward::Client {
        address: ([192, 0, 2, 7], 50_000).into(),
        local_address: std::net::Ipv4Addr::LOCALHOST.into(),
        listener_port: 80,
        tls: false,
        tls_names: None,
        identity: &[],
        trace_id: b"",
    };
    let written = request(bytes.as_bytes(), Mode::Monitor, |request| {
        forward::request(&mut out, request, &client, &Default::default(), &Default::default());
    });
    assert_eq!(written, Ok(Some(())));
    let head = String::from_utf8(out).unwrap();
    assert!(head.contains("\r\nY: b\r\n") && !head.contains("\r\nX:"), "{head}");
    assert_eq!(head.matches("\r\nTransfer-Encoding: chunked\r\n").count(), 1, "{head}");
    assert!(!head.to_lowercase().contains("length"), "{head}");
}
