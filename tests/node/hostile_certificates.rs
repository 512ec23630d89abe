//! What a certificate can hold that no CA should have signed: control characters, broken strings, endless
//! names. Headers and logs stay one legal line each, in the form of RFC 2253, and no filter is fooled.
//!
//! Sources: CVE-2025-66220 and CVE-2026-47778 (NUL in a SAN cuts the match), CVE-2024-45808 (log injection).
use crate::support::client::{Client, tls_config_with};
use crate::support::node::piece;
use crate::support::pki::{Authority, Issued, Leaf, value};
use crate::support::target::Received;
use crate::support::{Node, Target, pki};
use rcgen::SanType;

/// Tags of strings (X.680, section 8.4).
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const T61: u8 = 0x14;
const IA5: u8 = 0x16;
const UNIVERSAL: u8 = 0x1c;
const BMP: u8 = 0x1e;
const OCTETS: u8 = 0x04;

fn configuration(target: &Target, more: &str) -> String {
    [
        piece::certificates(),
        "trust_stores: [{name: partners, ca_certificates_bundle: partners.pem}]\n".to_owned(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", &piece::verify("")),
        more.to_owned(),
    ]
    .concat()
}

/// A node that trusts the PKI and this CA.
fn node(target: &Target, other: &Authority, more: &str) -> Node {
    let bundle = pki().read("partners.pem") + &other.pem();
    let files = [("partners.pem", bundle.as_str())];
    Node::with_files(crate::support::Setup::default(), &configuration(target, more), &files)
}

/// A client of the issuing CA whose common name is this value.
fn client(tag: u8, cn: &[u8]) -> Issued {
    let placeholder = "z".repeat(cn.len());
    let from = value(UTF8, placeholder.as_bytes());
    let to = value(tag, cn);
    let issued = pki().issuing.issue_altered(Leaf::client(&placeholder), &[(from, to)]);
    Issued { certificate: issued.certificate + &pki().issuing.pem(), ..issued }
}

/// The status of a request; none where the handshake or the connection ends before an answer.
fn ask(node: &Node, listener: &str, issued: &Issued) -> Option<u16> {
    let mut client = Client::tls(node.address(listener), "localhost", &tls_config_with(issued));
    client.try_send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    client.try_answer("GET").ok().map(|answer| answer.status)
}

fn names(received: &Received) -> Vec<String> {
    let name = |line: &&str| line.split(':').next().unwrap_or_default().to_lowercase();
    received.headers().iter().map(name).collect()
}

fn assert_legal_line(line: &str) {
    assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{}", line.escape_debug());
}

/// The fifteen fields of a line of the log: quoted ones hold blanks, others none.
fn assert_fields(line: &str) {
    assert_legal_line(line);
    let quoted: Vec<&str> = line.split('"').collect();
    assert_eq!(quoted.len(), 3, "one quoted field: {line}");
    let plain = quoted[0].split_whitespace().chain(quoted[2].split_whitespace());
    assert_eq!(plain.count(), 14, "{line}");
}

#[test]
fn strings_of_every_kind_become_one_legal_header_and_one_legal_line() {
    let target = Target::named("hello");
    let node = node(&target, &pki().stranger, "");
    // A value, and what RFC 2253 makes of it: octets of its UTF-8 form where it is text, else its DER.
    let cases: [(u8, &[u8], &str); 16] = [
        (UTF8, b"plain", "plain"),
        (UTF8, b"bad\xff\xfeutf8", "bad\\FF\\FEutf8"),
        (UTF8, b"cut\xc3", "cut\\C3"),
        (
            UTF8,
            b"a\r\nX-Amzn-Mtls-Clientcert-Subject: CN=admin",
            "a\\0D\\0AX-Amzn-Mtls-Clientcert-Subject: CN=admin",
        ),
        (UTF8, b"=,+<>#;\\\"", "=\\,\\+\\<\\>#\\;\\\\\\\""),
        (UTF8, b"\0\x1b[31m\x7f", "\\00\\1B[31m\\7F"),
        (PRINTABLE, b"p\0q\"r;s", "p\\00q\\\"r\\;s"),
        (IA5, b"\x1b[2J\x07", "\\1B[2J\\07"),
        (T61, b"t61\xe9\r\n", "t61\\C3\\A9\\0D\\0A"),
        (BMP, &[0, b'A', 0, 13, 0, 10, 0x26, 0x3a], "A\\0D\\0A\\E2\\98\\BA"),
        (BMP, &[0xd8, 0, 0, b'A'], "\\EF\\BF\\BDA"),
        (BMP, &[0, b'A', 0, b'B', 7], "#1E050041004207"),
        (UNIVERSAL, &[0, 0, 0, b'A', 0, 0x11, 0xff, 0xff], "A\\EF\\BF\\BD"),
        (UNIVERSAL, &[0, 0, 0, b'A', 0], "#1C050000004100"),
        (OCTETS, b"\r\n\0", "#04030D0A00"),
        (UTF8, b" # ", "\\ #\\ "),
    ];
    let mut baseline = Vec::new();
    for (index, (tag, cn, expected)) in cases.into_iter().enumerate() {
        assert_eq!(ask(&node, "https", &client(tag, cn)), Some(200), "{expected}");
        let received = target.received();
        let subject = format!("CN={expected},O=Example,ST=Oslo,C=NO");
        assert_eq!(received.values("X-Amzn-Mtls-Clientcert-Subject"), [subject.as_str()]);
        received.headers().iter().for_each(|line| assert_legal_line(line));
        if index == 0 {
            baseline = names(&received);
        }
        assert_eq!(names(&received), baseline, "no header more than for any client");
        assert_fields(&node.log_line(index));
    }
    assert_eq!(node.log().len(), cases.len());
    node.assert_no_panic();
}

#[test]
fn an_issuer_is_no_way_in_for_headers_either() {
    let target = Target::named("hello");
    let ca = Authority::root("evil\r\nX-Forged: 1\0\";,=\u{1b}[31m\u{e9}");
    let node = node(&target, &ca, "");
    assert_eq!(ask(&node, "https", &ca.issue(Leaf::client("device"))), Some(200));
    let received = target.received();
    let issuer = "CN=evil\\0D\\0AX-Forged: 1\\00\\\"\\;\\,=\\1B[31m\\C3\\A9,O=Example,ST=Oslo,C=NO";
    assert_eq!(received.values("X-Amzn-Mtls-Clientcert-Issuer"), [issuer]);
    assert!(received.values("X-Forged").is_empty(), "{}", received.head);
    assert_fields(&node.log_line(0));
    // Metrics and status are not its either.
    assert!(!node.page("/metrics").contains("evil"));
}

#[test]
fn a_name_cut_by_nul_is_not_the_name_before_it() {
    let target = Target::named("hello");
    let filters = |name: &str, filter: &str| {
        let filters = format!("client_certificate_identity_filters: [{filter}]");
        piece::https(name, &piece::verify(&filters))
    };
    let more = [
        filters("dns", "{san_dns: [good.example, \"*.good.example\"]}"),
        filters("uri", "{san_uri: [\"spiffe://good.example/a\"]}"),
        filters("email", "{san_email: [\"admin@good.example\", \"*@good.example\"]}"),
        filters("cn", "{subject_cn: [admin, \"admin*\"]}"),
    ];
    let node = node(&target, &pki().stranger, &more.concat());
    let text = |text: &str| text.try_into().expect("it is ASCII");
    let with_name = |name: SanType, from: &str, to: &[u8]| {
        let leaf = Leaf::client("device").with_names(vec![name]);
        let issued = pki().issuing.issue_altered(leaf, &[(from.as_bytes().to_vec(), to.to_vec())]);
        Issued { certificate: issued.certificate + &pki().issuing.pem(), ..issued }
    };
    let dns = |name: &str, to: &[u8]| with_name(SanType::DnsName(text(name)), name, to);
    let uri = |name: &str, to: &[u8]| with_name(SanType::URI(text(name)), name, to);
    let email = |name: &str, to: &[u8]| with_name(SanType::Rfc822Name(text(name)), name, to);
    // Listener, client, whether it is let in. The first of each shows that the filter lets in whom it names.
    let cases = [
        ("dns", dns("good.example", b"good.example"), true),
        ("dns", dns("good.example0.evil.example", b"good.example\0.evil.example"), false),
        ("dns", dns("evil.example0.good.example", b"evil.example\0.good.example"), false),
        ("dns", dns("good.example00", b"good.example\r\n"), false),
        ("uri", uri("spiffe://good.example/a", b"spiffe://good.example/a"), true),
        ("uri", uri("spiffe://good.example/a0b", b"spiffe://good.example/a\0b"), false),
        ("email", email("admin@good.example", b"admin@good.example"), true),
        ("email", email("admin@good.example0.evil", b"admin@good.example\0.evil"), false),
        ("cn", client(UTF8, b"admin"), true),
        ("cn", client(UTF8, b"admin\0.evil"), false),
        ("cn", client(UTF8, b"admin\r\n"), false),
        ("cn", client(BMP, &[0, b'a', 0, b'd', 0, b'm', 0, b'i', 0, b'n', 0, 0]), false),
    ];
    for (index, (listener, issued, let_in)) in cases.iter().enumerate() {
        assert_eq!(ask(&node, listener, issued) == Some(200), *let_in, "{listener}, case {index}");
        let line = node.log_line(index);
        assert_fields(&line);
        let status = if *let_in { " Success " } else { " Failed:ClientCertRejected " };
        assert!(line.contains(status), "{line}");
    }
    assert_eq!(target.so_far().len(), 4);
}

#[test]
fn a_name_may_be_long_until_its_headers_are_too_large_and_then_the_refusal_says_so() {
    let target = Target::named("hello");
    let http = piece::https("http", &piece::verify("refusal: http"));
    let node = node(&target, &pki().stranger, &http);
    let long = |cn: String| {
        let issued = pki().issuing.issue(Leaf::client(&cn));
        Issued { certificate: issued.certificate + &pki().issuing.pem(), ..issued }
    };
    assert_eq!(ask(&node, "http", &long("x".repeat(10_000))), Some(200));
    let subject = target.received().value("X-Amzn-Mtls-Clientcert-Subject").len();
    assert_eq!(subject, 10_000 + "CN=,O=Example,ST=Oslo,C=NO".len());
    assert_fields(&node.log_line(0));
    // 20,000 octets and what becomes of them in base64, or three times as many where they are escaped.
    for (index, cn) in ["x".repeat(30_000), "\u{1}".repeat(14_000)].into_iter().enumerate() {
        assert_eq!(ask(&node, "http", &long(cn)), Some(403));
        let line = node.log_line(index + 1);
        assert_fields(&line);
        assert!(
            line.contains(" Failed:ClientCertMaxSizeExceeded "),
            "{}",
            &line[line.len() - 200..]
        );
    }
    assert!(target.so_far().is_empty());
    node.assert_no_panic();
}
