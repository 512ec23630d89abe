//! By default no session is resumed where certificates are asked for; where they are not, it makes no way
//! in elsewhere. What `session_resumption: bound` does is in `tickets.rs`.
use crate::support::client::{handshake, tls_config_for};
use crate::support::node::piece;
use crate::support::tools::{self, Ended};
use crate::support::{Node, Target, pki};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

fn node(target: &Target) -> Node {
    Node::start(&configuration(target, "mutual_authentication: {mode: \"off\"}"))
}

/// Listener `swapped` has this mode, the others keep theirs.
fn configuration(target: &Target, swapped: &str) -> String {
    [
        piece::certificates(),
        piece::partners(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("verify", &piece::verify("")),
        piece::https("passthrough", "mutual_authentication: {mode: passthrough}"),
        piece::https("off", ""),
        piece::https("swapped", swapped),
        piece::https(
            "by-name",
            &format!(
                "{}\nserver_name_policies:\n\
                 - {{server_names: [open.example.com], mutual_authentication: {{mode: \"off\"}}}}",
                piece::verify("")
            ),
        ),
    ]
    .concat()
}

/// `openssl s_client -reconnect` and friends: one session, offered again.
fn openssl(address: SocketAddr, session: &[&str], tickets: bool) -> Ended {
    let (to, root, crt, key) = (
        address.to_string(),
        pki().path("root.crt"),
        pki().path("good.crt"),
        pki().path("good.key"),
    );
    let mut arguments = vec!["s_client", "-connect", &to, "-CAfile", &root, "-ign_eof"];
    arguments.extend(["-cert", &crt, "-cert_chain", &crt, "-key", &key]);
    arguments.extend(session);
    if !tickets {
        arguments.push("-no_ticket");
    }
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    tools::run("openssl", &arguments, request)
}

#[test]
fn openssl_is_given_no_ticket_and_no_session_id_where_certificates_are_asked_for() {
    let target = Target::named("hello");
    let node = node(&target);
    for listener in ["verify", "passthrough"] {
        let address = node.address(listener);
        for version in ["-tls1_2", "-tls1_3"] {
            for tickets in [true, false] {
                let file = node.path("session");
                let file = file.to_str().unwrap();
                let first = openssl(address, &[version, "-sess_out", file], tickets);
                let case = format!("{listener} {version} tickets {tickets}:\n{}", first.stdout);
                assert!(first.stdout.contains("200 OK"), "{case}");
                assert!(!first.stdout.contains("TLS session ticket:"), "{case}");
                let id =
                    first.stdout.lines().find_map(|line| line.trim().strip_prefix("Session-ID: "));
                assert_eq!(id.unwrap_or_default(), "", "{case}");
                // Where openssl wrote a session all the same, it is worth nothing.
                if std::path::Path::new(file).exists() {
                    let second = openssl(address, &[version, "-sess_in", file], tickets);
                    assert!(second.stdout.contains("New, TLS"), "{}", second.said());
                    assert!(!second.stdout.contains("Reused, TLS"), "{}", second.said());
                    std::fs::remove_file(file).unwrap();
                }
            }
        }
    }
}

/// Goal: the tickets mean to others what they mean to rustls.
#[test]
fn openssl_comes_back_by_a_ticket_where_sessions_are_bound() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target, &piece::verify("session_resumption: bound")));
    let address = node.address("swapped");
    for version in ["-tls1_2", "-tls1_3"] {
        let file = node.path("session");
        let file = file.to_str().unwrap();
        for (session, said) in [("-sess_out", "New, TLS"), ("-sess_in", "Reused, TLS")] {
            let ended = openssl(address, &[version, session, file], true);
            let is_served = ended.stdout.contains("200 OK") && ended.stdout.contains(said);
            assert!(is_served, "{version} {session}: {}", ended.said());
        }
    }
}

/// How one handshake went, and what came of a request on it.
fn visit(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Option<HandshakeKind> {
    let mut stream = handshake(address, name, config);
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    // Read to the end, so that tickets sent behind the handshake are taken in.
    let _ = stream.read_to_end(&mut answer);
    answer.starts_with(b"HTTP/1.1 200").then(|| stream.conn.handshake_kind()).flatten()
}

#[test]
fn a_client_that_offers_its_session_again_shakes_hands_in_full() {
    let target = Target::named("hello");
    let node = node(&target);
    for version in [&TLS12, &TLS13] {
        for listener in ["verify", "passthrough"] {
            let config = Arc::new(tls_config_for(Some("good"), "root.crt", &[version]));
            for turn in 0..3 {
                let kind = visit(node.address(listener), "localhost", &config);
                assert!(
                    matches!(
                        kind,
                        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
                    ),
                    "{listener} {version:?} turn {turn}: {kind:?}"
                );
            }
        }
    }
}

#[test]
fn a_session_made_without_a_certificate_opens_no_listener_that_demands_one() {
    let target = Target::named("hello");
    let node = node(&target);
    for version in [&TLS12, &TLS13] {
        // rustls holds sessions by server name, so one client offers what it got here over there.
        let config = Arc::new(tls_config_for(None, "root.crt", &[version]));
        assert!(visit(node.address("off"), "localhost", &config).is_some());
        assert_eq!(visit(node.address("verify"), "localhost", &config), None, "{version:?}");
        let config = Arc::new(tls_config_for(None, "root.crt", &[version]));
        assert!(visit(node.address("by-name"), "open.example.com", &config).is_some());
        assert_eq!(visit(node.address("by-name"), "localhost", &config), None, "{version:?}");
        // CVE-2025-23419: a session of one server block, offered to another. A session of openssl is
        // bound to no name.
        let file = node.path("session");
        let file = file.to_str().unwrap();
        let flag = if version == &TLS12 { "-tls1_2" } else { "-tls1_3" };
        let address = node.address("by-name").to_string();
        let offer = |name: &str, session: [&str; 2]| {
            let root = pki().path("root.crt");
            let arguments = ["s_client", "-connect", &address, "-CAfile", &root, "-ign_eof"];
            let more = [flag, "-servername", name, session[0], session[1]];
            let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
            tools::run("openssl", &[&arguments[..], &more].concat(), request.as_bytes())
        };
        let first = offer("open.example.com", ["-sess_out", file]);
        assert!(first.stdout.contains("200 OK"), "{}", first.said());
        if std::path::Path::new(file).exists() {
            let second = offer("localhost", ["-sess_in", file]);
            assert!(!second.stdout.contains("200 OK"), "{}", second.said());
        }
    }
    assert!(target.so_far().iter().all(|received| !received.head.contains("Mtls")));
}

#[test]
fn a_session_made_before_certificates_became_mandatory_opens_nothing() {
    let target = Target::named("hello");
    let node = node(&target);
    let configs =
        [&TLS12, &TLS13].map(|version| Arc::new(tls_config_for(None, "root.crt", &[version])));
    let address = node.address("swapped");
    for config in &configs {
        assert!(visit(address, "localhost", config).is_some());
    }
    node.configure(&configuration(&target, &piece::verify("")));
    node.reload();
    assert_eq!(node.address("swapped"), address, "the listener kept its sockets");
    for config in &configs {
        assert_eq!(visit(address, "localhost", config), None);
    }
}
