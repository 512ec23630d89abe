//! What a refused client sees: an alert, a reset, or a 403; and what `passthrough` and `off` let in.
use crate::support::client::{handshake, tls_config};
use crate::support::http2::{self, code, flag};
use crate::support::node::{Setup, piece};
use crate::support::tools::{Identity, Tls, curl_https, curl_was_refused};
use crate::support::{Client, Http2, Node, Target};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};

fn node(target: &Target, format: &'static str) -> Node {
    Node::with(
        Setup { format, ..Setup::default() },
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("alert", &piece::verify("refusal: alert")),
            piece::https("reset", &piece::verify("refusal: reset")),
            piece::https("http", &piece::verify("refusal: http")),
            piece::https("passthrough", "mutual_authentication: {mode: passthrough}"),
            // Unquoted, YAML 1.1 readers make a boolean of it.
            piece::https("off", "mutual_authentication: {mode: off}"),
        ]
        .concat(),
    )
}

#[test]
fn a_refused_client_of_a_reset_listener_gets_a_reset_and_no_alert() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    let mut stream = handshake(node.address("reset"), "localhost", &tls_config(Some("revoked")));
    // In TLS 1.3 the client has finished before the node has judged.
    let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let error = sent.and_then(|()| stream.read(&mut [0; 1])).expect_err("it is refused");
    assert!(
        matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        "a reset, not {error:?}"
    );
    assert!(node.log_line(0).contains("Failed:ClientCertCrlHit"));
    assert!(target.so_far().is_empty());
}

#[test]
fn a_refused_client_of_an_http_listener_gets_403_with_the_reason_and_reaches_no_target() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    let address = node.address("http");
    let cases = [
        (Identity::Pem("good"), "200", "hello"),
        (Identity::None, "403", "ClientCertMissing"),
        (Identity::Pem("expired"), "403", "ClientCertExpired"),
        (Identity::Pem("revoked"), "403", "ClientCertCrlHit"),
        (Identity::Pem("untrusted"), "403", "ClientCertUntrusted"),
    ];
    let mut index = 0;
    for tls in Tls::BOTH {
        for (identity, status, word) in cases {
            let ended = curl_https(address, "localhost", identity, tls, &[]);
            assert_eq!(ended.code, Some(0), "{identity:?}: {}", ended.said());
            let (body, got) = ended.stdout.rsplit_once('\n').expect("curl writes the status");
            assert_eq!(got, status, "{identity:?}");
            // A missing certificate may be told by ALB's word or by ours.
            let told = body.contains(word)
                || (word == "ClientCertMissing" && body.contains("UnmappedConnectionError"));
            assert!(told, "{identity:?}: {body}");
            let line = node.log_line(index);
            assert_eq!(line.contains(" Success "), status == "200", "{line}");
            index += 1;
        }
    }
    assert_eq!(target.so_far().len(), 2, "the good client alone");
    // Where the key cannot be proven, no handshake can be finished, so nobody gets an answer over it.
    let ended = curl_https(address, "localhost", Identity::Pem("version-1"), Tls::V13, &[]);
    assert!(curl_was_refused(&ended), "{}", ended.said());
    let line = node.log_line(index);
    assert!(line.contains("Failed:ClientCertTypeUnsupported"), "{line}");
    let labels = ["listener=\"http\"", "outcome=\"ClientCertExpired\""];
    node.metric_becomes("portcullis_tls_handshakes_total", &labels, 2.0);
}

#[test]
fn a_refused_client_of_an_http_listener_cannot_send_a_second_request_to_a_target() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    let mut client = Client::tls(node.address("http"), "localhost", &tls_config(Some("expired")));
    let request = "GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send(request.repeat(2));
    let answer = client.answer();
    assert_eq!(answer.status, 403);
    let rest = String::from_utf8_lossy(&client.until_closed()).into_owned();
    assert!(!rest.contains("200 OK"), "{rest}");
    assert!(target.so_far().is_empty());
}

/// The same by HTTP/2: the connection ends behind the refusal.
#[test]
fn a_refused_client_of_http_2_gets_403_and_a_goaway() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    let config = http2::config(Some("expired"));
    let mut client = Http2::connect(node.address("http"), &config);
    let id = client.request(flag::END_STREAM, "GET", "/", &[]);
    let ending = client.ending();
    assert_eq!((ending.code(), ending.clean), (Some(code::NO_ERROR), true));
    let answer = &client.answers[&id];
    assert!(answer.status == 403 && answer.whole && answer.text().contains("ClientCertExpired"));
    assert_eq!(ending.goaways.last().map(|goaway| goaway.last), Some(id));
    assert!(target.so_far().is_empty());
}

#[test]
fn passthrough_lets_in_any_client_and_tells_the_target_of_its_chain() {
    let target = Target::named("hello");
    let node = node(&target, "alb");
    let address = node.address("passthrough");
    for client in [None, Some("good"), Some("expired"), Some("untrusted"), Some("revoked")] {
        let mut connection = Client::tls(address, "localhost", &tls_config(client));
        assert_eq!(connection.get("/").status, 200, "{client:?}");
        let received = target.received();
        let chain = received.values("X-Amzn-Mtls-Clientcert");
        assert_eq!(chain.len(), usize::from(client.is_some()), "{}", received.head);
        assert!(!received.head.contains("Clientcert-"), "{}", received.head);
    }
    // What is no version 3 certificate, or has a weak key, is not passed on.
    for client in ["version-1", "weak"] {
        let ended = curl_https(address, "localhost", Identity::Pem(client), Tls::V12, &[]);
        assert!(curl_was_refused(&ended), "{client}: {}", ended.said());
    }
    assert!(target.so_far().is_empty());
}

#[test]
fn an_off_listener_asks_for_nothing_and_tells_nothing() {
    let target = Target::named("hello");
    let node = node(&target, "json");
    let mut client = Client::tls(node.address("off"), "localhost", &tls_config(Some("revoked")));
    assert_eq!(client.get("/").status, 200);
    assert!(!target.received().head.to_lowercase().contains("mtls"));
    let line: Value = serde_json::from_str(&node.log_line(0)).expect("the line is JSON");
    assert_eq!(line["tls_verify_status"], "Success", "{line}");
    assert_eq!(line["listener"], "off", "{line}");
}
