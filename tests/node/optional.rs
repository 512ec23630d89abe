//! Mode `optional`: no certificate is fine, a bad one is refused, a good one is told to the target.
use crate::support::client::{tls_config, tls_config_for};
use crate::support::node::piece;
use crate::support::tools::{Identity, Tls, alert_number, curl_https, curl_was_refused, s_client};
use crate::support::{Client, Node, Target};
use rustls::version::{TLS12, TLS13};
use std::sync::Arc;

fn optional(more: &str) -> String {
    piece::verify(more).replace("mode: verify", "mode: optional")
}

fn node(target: &Target) -> Node {
    Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("alert", &optional("")),
            piece::https("reset", &optional("refusal: reset")),
            piece::https("http", &optional("refusal: http")),
            piece::https(
                "filtered",
                &optional("client_certificate_identity_filters: [{subject_cn: [device-18]}]"),
            ),
        ]
        .concat(),
    )
}

const LISTENERS: [&str; 3] = ["alert", "reset", "http"];

#[test]
fn no_certificate_is_fine_and_a_good_one_is_told_to_the_target() {
    let target = Target::named("hello");
    let node = node(&target);
    for listener in LISTENERS {
        for version in [&TLS12, &TLS13] {
            for client in [None, Some("good")] {
                let config = Arc::new(tls_config_for(client, "root.crt", &[version]));
                let mut connection = Client::tls(node.address(listener), "localhost", &config);
                let forged = "GET / HTTP/1.1\r\nHost: localhost\r\n\
                    X-Amzn-Mtls-Clientcert-Subject: CN=forged\r\n\r\n";
                assert_eq!(connection.ask(forged).status, 200, "{listener} {client:?}");
                let received = target.received();
                let subject = received.values("X-Amzn-Mtls-Clientcert-Subject");
                match client {
                    None => assert!(!received.head.contains("Mtls"), "{}", received.head),
                    Some(_) => {
                        assert_eq!(subject, ["CN=device-17,O=Example,ST=Oslo,C=NO"]);
                        let serial = received.values("X-Amzn-Mtls-Clientcert-Serial-Number");
                        assert_eq!(serial, ["03A5B1"]);
                    }
                }
            }
        }
    }
    for index in 0..12 {
        assert!(node.log_line(index).contains(" Success "), "{}", node.log_line(index));
    }
}

#[test]
fn a_bad_certificate_is_refused_in_each_form() {
    let target = Target::named("hello");
    let node = node(&target);
    let cases = [
        ("expired", "ClientCertExpired", 45),
        ("revoked", "ClientCertCrlHit", 44),
        ("untrusted", "ClientCertUntrusted", 48),
    ];
    let mut index = 0;
    let mut log = |word: &str| {
        let line = node.log_line(index);
        assert!(line.contains(&format!("Failed:{word}")), "{word}: {line}");
        index += 1;
    };
    for tls in Tls::BOTH {
        for (client, code, alert) in cases {
            let identity = Identity::Pem(client);
            let request = "GET / HTTP/1.0\r\n\r\n";
            let ended = s_client(node.address("alert"), identity, tls, &[], request);
            assert_eq!(alert_number(&ended), Some(alert), "{client}: {}", ended.said());
            log(code);
            let ended = s_client(node.address("reset"), identity, tls, &[], request);
            assert_eq!(alert_number(&ended), None, "{client}: {}", ended.said());
            log(code);
            let ended = curl_https(node.address("reset"), "localhost", identity, tls, &[]);
            assert!(curl_was_refused(&ended), "{client}: {}", ended.said());
            log(code);
            let ended = curl_https(node.address("http"), "localhost", identity, tls, &[]);
            assert_eq!(ended.stdout, format!("{code}\n\n403"), "{}", ended.said());
            log(code);
        }
    }
    assert!(target.so_far().is_empty());
}

#[test]
fn filters_are_for_those_who_show_a_certificate() {
    let target = Target::named("hello");
    let node = node(&target);
    for (client, expected) in [(None, true), (Some("good-rsa"), true), (Some("good"), false)] {
        let config = tls_config(client);
        let mut connection = Client::tls(node.address("filtered"), "localhost", &config);
        let sent = connection.try_send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answered = sent.and_then(|()| connection.try_answer("GET"));
        assert_eq!(answered.is_ok_and(|answer| answer.status == 200), expected, "{client:?}");
    }
    assert!(node.log_line(2).contains("Failed:ClientCertRejected"), "{}", node.log_line(2));
}
