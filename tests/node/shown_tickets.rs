//! Tickets shown by clients without a certificate, where one is asked for and none is fine: they let in
//! nobody as somebody else, and there is no other ticket for them.
use crate::support::comer::Comer;
use crate::support::node::piece;
use crate::support::tools::{Ended, Identity, Tls, s_client};
use crate::support::{Node, Target};
use crate::tickets::{BOUND, resumptions, whole};
use rustls::HandshakeKind;
use std::net::SocketAddr;

/// openssl without a certificate offers the session in one file and writes the one that it gets to another.
fn offer(address: SocketAddr, name: &str, tls: Tls, sessions: [&str; 2]) -> Ended {
    let [offered, given] = sessions;
    let more = ["-servername", name, "-sess_in", offered, "-sess_out", given];
    s_client(address, Identity::None, tls, &more, &request(name))
}

fn request(name: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")
}

/// The subjects that targets were told of since the last look, one for each request.
fn subjects(target: &Target) -> Vec<usize> {
    let received = target.so_far();
    received.iter().map(|one| one.values("x-amzn-mtls-clientcert-subject").len()).collect()
}

/// Goal: a ticket is nothing without the secrets of its session; in TLS 1.2 everybody on the way can read
/// it. Method: under another name of the same policy rustls makes nothing of a ticket that opens, and asks
/// for a certificate, before the client has proved to know the session. It then shows none.
#[test]
fn a_ticket_that_opens_and_is_not_resumed_is_good_for_nothing() {
    let target = Target::named("hello");
    let optional = piece::verify(BOUND).replace("verify", "optional");
    let node = Node::start(&whole(&target, &piece::partners(), &[("https", optional)]));
    let address = node.address("https");
    for tls in Tls::BOTH {
        let [first, second, third] = ["first", "second", "third"].map(|file| {
            let path = node.path(&format!("{file}-{}", tls.name()));
            path.to_str().expect("UTF-8").to_owned()
        });
        let more = ["-servername", "localhost", "-sess_out", &first];
        let made = s_client(address, Identity::Pem("good"), tls, &more, &request("localhost"));
        assert!(made.stdout.contains("200 OK"), "{}", made.said());
        let resumed = offer(address, "localhost", tls, [&first, &third]);
        assert!(resumed.stdout.contains("Reused, TLS"), "the session is good: {}", resumed.said());
        assert_eq!(subjects(&target), [1, 1], "{tls:?}");

        let unfit = resumptions(&node, "unfit");
        let stolen = offer(address, "api.example.com", tls, [&first, &second]);
        assert!(stolen.stdout.contains("200 OK"), "none is fine: {}", stolen.said());
        assert!(stolen.stdout.contains("New, TLS"), "{}", stolen.said());
        node.metric_becomes(
            "portcullis_tls_resumptions_total",
            &["outcome=\"unfit\""],
            unfit + 1.0,
        );
        assert_eq!(subjects(&target), [0], "{tls:?}");
        // openssl may write a session that nobody can resume.
        if std::path::Path::new(&second).exists() {
            let again = offer(address, "api.example.com", tls, [&second, &third]);
            assert!(again.stdout.contains("New, TLS"), "{}", again.said());
            assert_eq!(subjects(&target), [0], "{tls:?}");
        }
    }
    assert_eq!(resumptions(&node, "resumed"), 2.0);
    node.assert_no_panic();
}

/// Under `passthrough` the target looks at certificates, so each connection shows its own.
#[test]
fn a_ticket_of_a_time_without_certificates_is_not_taken_where_they_are_passed_through() {
    let target = Target::named("hello");
    let at = |mode: &str| {
        let more = format!("mutual_authentication: {{mode: \"{mode}\"}}");
        whole(&target, "", &[("https", more)])
    };
    let node = Node::start(&at("off"));
    let address = node.address("https");
    for (identity, shown) in [(None, 0), (Some("good"), 1)] {
        node.configure(&at("off"));
        node.reload();
        let comers = Comer::all(identity);
        comers.iter().for_each(|comer| comer.settle(address, "localhost"));
        node.configure(&at("passthrough"));
        node.reload();
        let counted = node.metric("portcullis_tls_resumptions_total", &[]);
        target.so_far();
        for comer in &comers {
            for visit in ["with the ticket", "without one"] {
                let case = format!("{identity:?} {:?} {visit}", comer.way);
                let kind = comer.visit(address, "localhost");
                assert_eq!(kind, Some(HandshakeKind::Full), "{case}");
                let received = target.received();
                assert_eq!(received.values("x-amzn-mtls-clientcert").len(), shown, "{case}");
            }
        }
        let now = node.metric("portcullis_tls_resumptions_total", &[]);
        assert_eq!(now, counted, "nobody looks at tickets");
    }
    node.assert_no_panic();
}
