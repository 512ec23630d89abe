//! Who gets in: every kind of client, by curl and by `openssl s_client`, on both protocol versions
//! and both kinds of server certificate; what it sees, what the connection log says, what is counted.
use crate::support::node::piece;
use crate::support::tools::{Identity, Tls, alert_number, curl_https, curl_was_refused, s_client};
use crate::support::{Node, Setup, Target, target};
use Identity::{None as Nothing, Pem, Pfx};
use std::collections::BTreeMap;

/// How the node must judge a client.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Accepted,
    /// Log word, counter's outcome, alert. Source of the alerts: RFC 8446, section 6.2.
    Refused(&'static str, &'static str, u8),
}

const fn refused(code: &'static str, alert: u8) -> Verdict {
    Verdict::Refused(code, code, alert)
}

const CLIENTS: &[(Identity, Verdict)] = &[
    (Pem("good"), Verdict::Accepted),
    (Pfx("good"), Verdict::Accepted),
    (Pem("good-rsa"), Verdict::Accepted),
    (Pfx("good-rsa"), Verdict::Accepted),
    (Pem("good-p384"), Verdict::Accepted),
    (Pem("no-purpose"), Verdict::Accepted),
    (Pem("deepest-allowed"), Verdict::Accepted),
    // ALB has no code for it (`alb-contract`, section 1.2), the counter has.
    (Nothing, Verdict::Refused("UnmappedConnectionError", "ClientCertMissing", 116)),
    (Pem("expired"), refused("ClientCertExpired", 45)),
    (Pfx("expired"), refused("ClientCertExpired", 45)),
    (Pem("not-yet"), refused("ClientCertNotYetValid", 45)),
    (Pem("untrusted"), refused("ClientCertUntrusted", 48)),
    (Pfx("untrusted"), refused("ClientCertUntrusted", 48)),
    (Pem("revoked"), refused("ClientCertCrlHit", 44)),
    (Pfx("revoked"), refused("ClientCertCrlHit", 44)),
    (Pem("wrong-purpose"), refused("ClientCertPurposeInvalid", 43)),
    (Pem("too-deep"), refused("ClientCertMaxChainDepthExceeded", 48)),
    (Pem("weak"), refused("ClientCertTypeUnsupported", 43)),
    (Pem("version-1"), refused("ClientCertTypeUnsupported", 43)),
];

/// Both servers' listeners, against a target that says hello.
fn node(target: &Target) -> Node {
    Node::with(
        Setup { shards: 2, ..Setup::default() },
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("ecdsa", &piece::verify("")),
            piece::https("rsa", &format!("certificates: [rsa]\n{}", piece::verify(""))),
        ]
        .concat(),
    )
}

#[test]
fn curl_gets_in_or_is_refused_for_the_right_reason() {
    every_client(|address, identity, tls, verdict| {
        let ended = curl_https(address, "localhost", identity, tls, &[]);
        match verdict {
            Verdict::Accepted => {
                assert_eq!(ended.code, Some(0), "{}", ended.said());
                assert_eq!(ended.stdout, "hello\n200");
            }
            Verdict::Refused(..) => assert!(curl_was_refused(&ended), "{}", ended.said()),
        }
    });
}

#[test]
fn openssl_gets_in_or_is_sent_the_right_alert() {
    every_client(|address, identity, tls, verdict| {
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let ended = s_client(address, identity, tls, &["-servername", "localhost"], request);
        match verdict {
            Verdict::Accepted => {
                assert_eq!(ended.code, Some(0), "{}", ended.said());
                assert!(ended.stdout.contains("HTTP/1.1 200 OK"), "{}", ended.stdout);
                assert!(ended.stdout.contains("Verify return code: 0 (ok)"), "{}", ended.stdout);
            }
            Verdict::Refused(_, _, alert) => {
                assert!(!ended.stdout.contains("HTTP/1.1"), "{}", ended.stdout);
                assert_eq!(alert_number(&ended), Some(alert), "{}", ended.said());
            }
        }
    });
}

/// Runs every client against both listeners on both protocol versions. After each, the connection
/// log has one more line, with the verdict and the leaf; at the end the counters add up.
fn every_client(client: impl Fn(std::net::SocketAddr, Identity, Tls, Verdict)) {
    let target = Target::answering(target::ok("hello"));
    let node = node(&target);
    let mut line_index = 0;
    for listener in ["ecdsa", "rsa"] {
        let address = node.address(listener);
        let mut outcomes = BTreeMap::new();
        for tls in Tls::BOTH {
            for &(identity, verdict) in CLIENTS {
                let case = format!("{listener} {tls:?} {identity:?}");
                eprintln!("{case}");
                client(address, identity, tls, verdict);
                let line = node.log_line(line_index);
                line_index += 1;
                let (status, outcome) = match verdict {
                    Verdict::Accepted => ("Success".to_owned(), "success"),
                    Verdict::Refused(code, outcome, _) => (format!("Failed:{code}"), outcome),
                };
                assert!(line.contains(&format!(" {status} TID_")), "{case}: {line}");
                assert!(line.contains(tls.name()), "{case}: {line}");
                // The version 1 and weak ones come from openssl, with another subject.
                let subject = match identity {
                    Nothing => "\"-\"",
                    Pem(_) | Pfx(_) => "O=Example",
                };
                assert!(line.contains(subject), "{case}: {line}");
                *outcomes.entry(outcome).or_insert(0.0) += 1.0;
            }
        }
        for (outcome, count) in outcomes {
            let labels = [format!("listener=\"{listener}\""), format!("outcome=\"{outcome}\"")];
            let labels = labels.each_ref().map(String::as_str);
            node.metric_becomes("portcullis_tls_handshakes_total", &labels, count);
        }
    }
    let accepted = CLIENTS.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Accepted));
    assert_eq!(target.so_far().len(), accepted.count() * 4, "only accepted clients reach a target");
    assert_eq!(node.log().len(), line_index, "one line for each connection");
    node.assert_no_panic();
}

#[test]
fn an_expired_leaf_is_forgiven_where_the_listener_says_so_and_nothing_else_is() {
    let target = Target::answering(target::ok("hello"));
    let node = Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("lenient", &piece::verify("ignore_client_certificate_expiry: true")),
        ]
        .concat(),
    );
    let clients = [
        ("expired", true),
        ("good", true),
        ("not-yet", false),
        ("revoked", false),
        ("untrusted", false),
    ];
    for (client, gets_in) in clients {
        let ended = curl_https(node.address("lenient"), "localhost", Pem(client), Tls::V12, &[]);
        assert_eq!(ended.code == Some(0), gets_in, "{client}: {}", ended.said());
        assert!(gets_in || curl_was_refused(&ended), "{client}: {}", ended.said());
    }
}

#[test]
fn the_certificate_request_names_the_trust_stores_cas_where_the_listener_says_so() {
    let target = Target::answering(target::ok("hello"));
    let node = Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("quiet", &piece::verify("")),
            piece::https("telling", &piece::verify("advertise_trust_store_ca_names: \"on\"")),
        ]
        .concat(),
    );
    for tls in Tls::BOTH {
        for (listener, told) in [("quiet", false), ("telling", true)] {
            let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            let ended = s_client(node.address(listener), Pem("good"), tls, &[], request);
            let names = ended.stdout.contains("Acceptable client certificate CA names");
            assert_eq!(names, told, "{listener} {tls:?}: {}", ended.stdout);
            let issuing = ended.stdout.contains("CN = Portcullis Tests Issuing\n");
            assert_eq!(issuing, told, "{listener} {tls:?}: {}", ended.stdout);
        }
    }
}
