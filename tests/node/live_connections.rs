//! What a change of trust, and time, do to connections that stand already.
use crate::support::client::{tls_config, tls_config_with};
use crate::support::node::piece;
use crate::support::pki::{Leaf, RSA_SERIAL};
use crate::support::{Client, Node, Target, pki, target, wait};
use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Three listeners, one for each way to end; the revocation list lies beside the configuration.
fn node(target: &Target) -> Node {
    let files = [("partners.crl", pki().read("naming.crl"))];
    let files = files.each_ref().map(|(name, content)| (*name, content.as_str()));
    Node::with_files(
        Default::default(),
        &configuration(target, &pki().path("partners.pem")),
        &files,
    )
}

fn configuration(target: &Target, bundle: &str) -> String {
    let listeners = ["keep", "drain", "close"]
        .map(|way| piece::https(way, &piece::verify(&format!("on_revocation: {way}"))));
    [
        piece::certificates(),
        format!(
            "trust_stores:\n  - {{name: partners, ca_certificates_bundle: {bundle}, \
             revocations: [partners.crl]}}\n"
        ),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        listeners.concat(),
    ]
    .concat()
}

fn revoke_the_rsa_client(node: &Node) {
    fs::write(node.path("partners.crl"), pki().issuing.crl(&[&[0x22], RSA_SERIAL])).unwrap();
    node.reload();
}

/// A target that answers `/slow` only when it is told to, in two halves.
fn slow_target() -> (Target, Arc<AtomicBool>) {
    let go = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&go);
    let target = Target::with(move |received, stream| {
        if received.request_line().contains("/slow") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")?;
            wait::until("the word to go on", || told.load(Ordering::Relaxed).then_some(()));
            return stream.write_all(b"other");
        }
        stream.write_all(target::ok("hello").as_bytes())
    });
    (target, go)
}

fn ended(node: &Node, listener: &str) -> f64 {
    let labels = [&*format!("listener=\"{listener}\""), "reason=\"ClientCertCrlHit\""];
    node.metric("portcullis_connections_ended_by_trust_total", &labels)
}

#[test]
fn idle_connections_of_a_revoked_client_end_and_those_of_others_go_on() {
    let target = Target::named("hello");
    let node = node(&target);
    for way in ["drain", "close"] {
        let address = node.address(way);
        fs::write(node.path("partners.crl"), pki().read("naming.crl")).unwrap();
        node.reload();
        let mut revoked = Client::tls(address, "localhost", &tls_config(Some("good-rsa")));
        let mut silent = Client::tls(address, "localhost", &tls_config(Some("good-rsa")));
        let mut good = Client::tls(address, "localhost", &tls_config(Some("good")));
        for client in [&mut revoked, &mut silent, &mut good] {
            assert_eq!(client.get("/").status, 200, "{way}");
        }
        revoke_the_rsa_client(&node);
        assert_eq!(revoked.until_closed(), b"", "{way}: without another word from the client");
        assert_eq!(silent.until_closed(), b"", "{way}");
        assert_eq!(good.get("/").status, 200, "{way}");
        wait::until("two ended connections", || (ended(&node, way) == 2.0).then_some(()));
    }
}

#[test]
fn under_keep_a_revoked_client_stays_connected_and_is_refused_when_it_comes_back() {
    let target = Target::named("hello");
    let node = node(&target);
    let address = node.address("keep");
    let mut revoked = Client::tls(address, "localhost", &tls_config(Some("good-rsa")));
    assert_eq!(revoked.get("/").status, 200);
    revoke_the_rsa_client(&node);
    assert_eq!(revoked.get("/").status, 200);
    assert_eq!(revoked.get("/").status, 200);
    let mut again = Client::tls(address, "localhost", &tls_config(Some("good-rsa")));
    assert!(
        again.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_err()
            || again.try_answer("GET").is_err()
    );
    assert_eq!(ended(&node, "keep"), 0.0);
}

#[test]
fn under_drain_what_has_begun_finishes_and_nothing_new_is_served() {
    let (target, go) = slow_target();
    let node = node(&target);
    let mut client = Client::tls(node.address("drain"), "localhost", &tls_config(Some("good-rsa")));
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(target.received().request_line().contains("/slow"));
    revoke_the_rsa_client(&node);
    wait::until("the verdict", || (ended(&node, "drain") == 1.0).then_some(()));
    go.store(true, Ordering::Relaxed);
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "firstother"));
    assert_eq!(client.until_closed(), b"", "the pipelined request is not served");
    assert!(target.so_far().is_empty());
}

#[test]
fn under_close_what_has_begun_is_cut_off() {
    let (target, go) = slow_target();
    let node = node(&target);
    let mut client = Client::tls(node.address("close"), "localhost", &tls_config(Some("good-rsa")));
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    target.received();
    revoke_the_rsa_client(&node);
    let part = String::from_utf8_lossy(&client.until_closed()).into_owned();
    assert!(!part.contains("other"), "{part}");
    go.store(true, Ordering::Relaxed);
}

#[test]
fn a_ca_that_leaves_takes_its_clients_along() {
    let target = Target::named("hello");
    let node = node(&target);
    let mut client = Client::tls(node.address("drain"), "localhost", &tls_config(Some("good")));
    assert_eq!(client.get("/").status, 200);
    node.write("partners.crl", &pki().stranger.crl(&[]));
    node.write("stranger.pem", &pki().stranger.pem());
    node.configure(&configuration(&target, "stranger.pem"));
    node.reload();
    assert_eq!(client.until_closed(), b"");
    let labels = ["listener=\"drain\"", "reason=\"ClientCertUntrusted\""];
    node.metric_becomes("portcullis_connections_ended_by_trust_total", &labels, 1.0);
}

#[test]
fn a_listener_that_begins_to_ask_ends_connections_that_never_showed_a_certificate() {
    let target = Target::named("hello");
    let with = |more: &str| {
        [
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("https", more),
        ]
        .concat()
    };
    let node = Node::start(&with("mutual_authentication: {mode: \"off\"}"));
    let mut nobody = Client::tls(node.address("https"), "localhost", &tls_config(None));
    assert_eq!(nobody.get("/").status, 200);
    node.configure(&with(&piece::verify("")));
    node.reload();
    assert_eq!(nobody.until_closed(), b"");
}

/// Time counts as a change: nothing else happens here.
#[test]
fn a_connection_ends_when_its_certificate_expires_unless_it_may_stay() {
    let target = Target::named("hello");
    let node = Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("ends", &piece::verify("")),
            piece::https("stays", &piece::verify("on_expiry: keep")),
            piece::https("forgives", &piece::verify("ignore_client_certificate_expiry: true")),
        ]
        .concat(),
    );
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let end = now.as_secs() + 3;
    let short = pki().issuing.issue(Leaf::client("short").with_end(end));
    let config = tls_config_with(&short);
    let mut clients = ["ends", "stays", "forgives"]
        .map(|listener| Client::tls(node.address(listener), "localhost", &config));
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    let [ends, others @ ..] = &mut clients;
    assert_eq!(ends.until_closed(), b"");
    assert!(UNIX_EPOCH.elapsed().unwrap() > Duration::from_secs(end), "not before its time");
    for client in others {
        assert_eq!(client.get("/").status, 200);
    }
}

/// What is kept under an older verdict is not punished for it: the newest one counts.
#[test]
fn a_client_that_is_trusted_again_before_it_asks_is_served() {
    let target = Target::named("hello");
    let node = node(&target);
    let mut client = Client::tls(node.address("keep"), "localhost", &tls_config(Some("good-rsa")));
    assert_eq!(client.get("/").status, 200);
    revoke_the_rsa_client(&node);
    node.write("partners.crl", &pki().read("naming.crl"));
    node.reload();
    assert_eq!(client.get("/").status, 200);
    let labels = ["listener=\"keep\"", "reason=\"no_longer_accepted\""];
    assert_eq!(node.metric("portcullis_connections_closed_total", &labels), 0.0);
}
