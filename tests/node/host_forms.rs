//! No spelling of a host is a way round the policy of a name: each pair of the name in the ClientHello and
//! the host of the request, in every form, gets 200, 400 or 421 (RFC 9110, section 7.4).
//!
//! Sources: CVE-2022-23632, GHSA-5r4w-85f3-pw66, GHSA-9cr8-q42q-g8m7 (a name that is not mapped to its
//! policy), GEP-3567 (a second name on one connection).
use crate::support::client::{Client, tls_config};
use crate::support::node::piece;
use crate::support::tools::{Identity, Tls, s_client};
use crate::support::{Node, Target, pki};
use std::sync::Arc;

/// `strict` asks everybody but those who name an open name; `lenient` asks only those who name a closed one.
fn node(target: &Target) -> Node {
    let policy = |names: &str, mode: &str| format!("- {{server_names: [{names}], {mode}}}\n");
    let (off, verify) = ("mutual_authentication: {mode: \"off\"}", piece::verify(""));
    let strict = [
        format!("{verify}\nserver_name_policies:\n"),
        policy("open.example.com, api.example.com", off),
        policy("\"*.open.example.com\"", off),
        policy("closed.open.example.com", &verify),
        policy("xn--bcher-kva.example.com", off),
    ];
    let lenient = [
        format!("{off}\nserver_name_policies:\n"),
        policy("secret.example.com", &verify),
        policy("\"*.closed.example.com\"", &verify),
        policy("xn--bcher-kva.example.com", &verify),
    ];
    Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("strict", &strict.concat()),
            piece::https("lenient", &lenient.concat()),
        ]
        .concat(),
    )
}

/// What a request says of its host: the first line up to the version, the version, the Host lines.
fn request(target: &str, version: &str, hosts: &[&[u8]]) -> Vec<u8> {
    let mut request = format!("GET {target} HTTP/{version}\r\n").into_bytes();
    for host in hosts {
        request.extend_from_slice(b"Host: ");
        request.extend_from_slice(host);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"Connection: close\r\n\r\n");
    request
}

fn host(host: &str) -> Vec<u8> {
    request("/", "1.1", &[host.as_bytes()])
}

/// The status of one request on a connection of its own. `sni` is a name, or nothing.
fn status(
    node: &Node,
    listener: &str,
    sni: Option<&str>,
    client: Option<&str>,
    bytes: &[u8],
) -> u16 {
    let mut config = tls_config(client);
    if sni.is_none() {
        Arc::get_mut(&mut config).expect("nobody else has it").enable_sni = false;
    }
    let mut client = Client::tls(node.address(listener), sni.unwrap_or("localhost"), &config);
    client.send(bytes);
    client.answer().status
}

/// No form of a host is one, whatever was named before.
fn not_a_host() -> Vec<Vec<u8>> {
    let values: [&[u8]; 16] = [
        b"",
        b":443",
        b"user@open.example.com",
        b"user:word@open.example.com",
        b"open%2eexample.com",
        b"%6fpen.example.com",
        b"open.example.com:99999",
        b"open.example.com:443:443",
        b"open.example.com, api.example.com",
        b"open.example.com api.example.com",
        b"open.example.com\\",
        b"open.example.com/",
        b"b\xc3\xbccher.example.com",
        b"b\xfccher.example.com",
        b"[::1",
        b"::1",
    ];
    let mut all: Vec<Vec<u8>> = values.iter().map(|value| request("/", "1.1", &[value])).collect();
    all.extend([
        request("/", "1.1", &[]),
        request("/", "1.1", &[b"open.example.com", b"open.example.com"]),
        request("/", "1.1", &[b"open.example.com", b"api.example.com"]),
        request("/", "1.0", &[b"open.example.com", b"api.example.com"]),
        request("http://open.example.com/", "1.1", &[]),
        request("http://user@open.example.com/", "1.1", &[b"open.example.com"]),
        request("http:///", "1.1", &[b"open.example.com"]),
        request("http://b%C3%BCcher.example.com/", "1.1", &[b"open.example.com"]),
        request("http://open.example.com/", "1.1", &[b"user@open.example.com"]),
    ]);
    all
}

/// Names, forms of a host, and what they get together.
type Case = (&'static str, Option<&'static str>, Option<&'static str>, u16, Vec<Vec<u8>>);

fn hosts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|value| host(value)).collect()
}

fn cases() -> Vec<Case> {
    let other = b"closed.open.example.com";
    let addresses = ["192.0.2.1", "192.0.2.1:443", "[2001:db8::1]", "[::1]:443", "127.0.0.1"];
    let no_names =
        ["open.example.com..", "open..example.com", ".open.example.com", "127.1", "~", "-", "."];
    let nothing = request("/", "1.0", &[]);
    let mut same = hosts(&[
        "open.example.com",
        "OPEN.Example.COM",
        "open.example.com.",
        "open.example.com:443",
        "open.example.com:",
        "OPEN.example.com.:8443",
        "api.example.com",
    ]);
    same.extend([
        request("/", "1.0", &[b"open.example.com"]),
        request("http://open.example.com/", "1.1", &[b"open.example.com"]),
        request("HTTPS://OPEN.example.com.:1/", "1.1", &[b"open.example.com"]),
        // The target's authority is what counts, and what the target of ours is told.
        request("http://open.example.com/", "1.1", &[other]),
        request("http://open.example.com/", "1.0", &[]),
    ]);
    let mut others = hosts(&[
        "closed.open.example.com",
        "CLOSED.open.example.com.:443",
        "a.open.example.com",
        "a.b.open.example.com",
        "example.com",
        "localhost",
        "xn--bcher-kva.example.com",
        "xopen.example.com",
        "open.example.com.example.com",
    ]);
    others.extend([
        request("http://closed.open.example.com/", "1.1", &[b"open.example.com"]),
        request("http://[::1]/", "1.1", &[b"open.example.com"]),
        request("/", "1.0", &[b"localhost"]),
    ]);
    let mut foreign = hosts(&addresses);
    foreign.push(nothing.clone());
    let open = Some("open.example.com");
    let lenient_own =
        ["localhost", "open.example.com", "b.a.closed.example.com", "closed.example.com"];
    let secret = [
        "secret.example.com",
        "SECRET.example.com",
        "secret.example.com.",
        "Secret.Example.Com.:443",
        "a.closed.example.com",
        "A.CLOSED.EXAMPLE.COM.",
        "xn--bcher-kva.example.com",
        "XN--BCHER-KVA.example.com.",
        "secret.example.com..",
        "secret..example.com",
    ];
    let mut secrets = hosts(&secret);
    secrets.extend([
        request("http://secret.example.com/", "1.1", &[b"localhost"]),
        request("http://SECRET.example.com./", "1.1", &[b"localhost"]),
        request("/", "1.0", &[b"secret.example.com"]),
    ]);
    let own = [hosts(&lenient_own), foreign.clone()].concat();
    vec![
        ("strict", open, None, 200, same.clone()),
        ("strict", open, None, 421, others),
        ("strict", open, None, 421, foreign.clone()),
        ("strict", open, None, 421, hosts(&no_names)),
        ("strict", open, None, 400, not_a_host()),
        // Who showed a certificate under the listener's own policy does not get under that of a name.
        ("strict", Some("localhost"), Some("good"), 421, same),
        ("strict", Some("localhost"), Some("good"), 200, foreign.clone()),
        ("strict", Some("localhost"), Some("good"), 421, hosts(&no_names)),
        ("strict", None, Some("good"), 200, foreign),
        ("strict", None, Some("good"), 421, hosts(&["open.example.com", "a.open.example.com"])),
        ("strict", None, Some("good"), 200, hosts(&["localhost", "a.b.open.example.com"])),
        // The dangerous direction: in without a certificate, then the name that asks for one.
        ("lenient", Some("localhost"), None, 421, secrets.clone()),
        ("lenient", Some("localhost"), None, 200, own.clone()),
        ("lenient", Some("localhost"), None, 400, not_a_host()),
        ("lenient", None, None, 421, secrets),
        ("lenient", None, None, 200, own),
        ("lenient", None, None, 421, hosts(&no_names)),
    ]
}

#[test]
fn each_pair_of_a_name_and_a_host_is_served_refused_or_misdirected() {
    let target = Target::named("hello");
    let node = node(&target);
    let mut served = 0;
    for (listener, sni, client, expected, requests) in cases() {
        for bytes in requests {
            let got = status(&node, listener, sni, client, &bytes);
            let text = bytes.escape_ascii();
            assert_eq!(got, expected, "{listener}, {sni:?}, {client:?}: {text}");
            served += usize::from(expected == 200);
        }
    }
    let received = target.so_far();
    assert_eq!(received.len(), served, "only what was answered with 200");
    // Whatever form it had: no target is told a name with another policy than that of the handshake.
    let guarded = ["closed.open", "secret", "a.closed", "xn--"];
    for request in received {
        let told = request.values("host").join(" ");
        assert!(!guarded.iter().any(|name| told.starts_with(name)), "{}", request.head);
        assert_eq!(told, told.to_lowercase());
    }
}

/// The same name in every form of a ClientHello. openssl sends it as it is.
#[test]
fn each_form_of_a_name_in_the_hello_is_the_same_name() {
    let target = Target::named("hello");
    let node = node(&target);
    let cases = [
        ("OPEN.Example.com", "open.example.com", 200),
        ("open.example.com.", "OPEN.example.com", 200),
        ("Open.Example.Com.", "open.example.com.:443", 200),
        ("OPEN.example.com.", "closed.open.example.com", 421),
        ("A.Open.example.com", "a.open.example.com", 200),
        ("A.Open.example.com", "b.open.example.com.", 200),
        ("a.open.example.com.", "open.example.com", 421),
        ("XN--bcher-kva.example.com", "xn--BCHER-kva.example.com", 200),
    ];
    for tls in Tls::BOTH {
        for (sni, host, expected) in cases {
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let names = ["-servername", sni];
            let ended = s_client(node.address("strict"), Identity::None, tls, &names, &request);
            let line = format!("HTTP/1.1 {expected} ");
            assert!(ended.stdout.contains(&line), "{sni}, {host}, {tls:?}: {}", ended.said());
        }
    }
}

/// GEP-3567: clients join names on one connection where a certificate covers both.
#[test]
fn a_second_request_on_a_connection_is_held_to_the_name_of_its_handshake() {
    let target = Target::named("hello");
    let node = node(&target);
    let config = tls_config(None);
    let mut client = Client::tls(node.address("lenient"), "api.example.com", &config);
    let ask = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(client.ask(&ask("api.example.com")).status, 200);
    assert_eq!(client.ask(&ask("secret.example.com")).status, 421);
    assert_eq!(target.so_far().len(), 1);
}

/// Both certificates on one listener: which of them a client can use says nothing about who must show one.
#[test]
fn clients_of_rsa_alone_and_of_ecdsa_alone_are_under_the_same_policy() {
    let target = Target::named("hello");
    let policy = "server_name_policies:\n\
                  - {server_names: [open.example.com], mutual_authentication: {mode: \"off\"}}";
    let more = format!("certificates: [ecdsa, rsa]\n{}\n{policy}", piece::verify(""));
    let node = Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("both", &more),
        ]
        .concat(),
    );
    let root = pki().path("root.crt");
    let offers = [
        (Tls::V12, ["-cipher", "ECDHE+aRSA"], "RSA"),
        (Tls::V12, ["-cipher", "ECDHE+aECDSA"], "ECDSA"),
        (Tls::V13, ["-sigalgs", "RSA-PSS+SHA256"], "RSA-PSS"),
        (Tls::V13, ["-sigalgs", "ECDSA+SHA256"], "ECDSA"),
    ];
    for (tls, offer, kind) in offers {
        for (name, gets_in) in
            [("open.example.com", true), ("OPEN.example.com.", true), ("localhost", false)]
        {
            let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
            let more = [&["-servername", name, "-CAfile", &root], &offer[..]].concat();
            let ended = s_client(node.address("both"), Identity::None, tls, &more, &request);
            let served = ended.stdout.contains("HTTP/1.1 200");
            assert_eq!(served, gets_in, "{name}, {tls:?}, {offer:?}: {}", ended.said());
            let signed = format!("Peer signature type: {kind}");
            assert!(ended.stdout.contains(&signed), "{offer:?}: {}", ended.said());
        }
    }
}
