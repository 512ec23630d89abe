//! What a change of trust, and time, do to connections that stand already.
use crate::support::client::{handshake, tls_config, tls_config_with};
use crate::support::node::piece;
use crate::support::pki::{Leaf, RSA_SERIAL};
use crate::support::{Client, Node, Setup, Target, long, pki, wait};
use std::fs;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    let (target, go) = Target::slow();
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
    let (target, go) = Target::slow();
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

/// Goal: every change that takes a client's acceptance away, each way to end. Method: an idle connection on
/// each listener; then the configuration changes.
#[test]
fn each_change_that_takes_acceptance_away_ends_idle_connections_but_under_keep() {
    let target = Target::named("hello");
    let off = "mutual_authentication: {mode: \"off\"}";
    let stranger = "client_certificate_identity_filters: [{subject_cn: [nobody]}]";
    let bundle = pki().path("partners.pem");
    for (change, bundle_after, before, after) in [
        ("off to verify", &*bundle, Some(off), ""),
        ("the CA is removed", "stranger.pem", None, ""),
        ("conditions change", &bundle, None, stranger),
    ] {
        let with = |bundle: &str, way: &dyn Fn(&str) -> String| {
            let ways = ["keep", "drain", "close"].map(|name| piece::https(name, &way(name)));
            let store = format!(
                "trust_stores:\n  - {{name: partners, ca_certificates_bundle: {bundle}}}\n"
            );
            let targets = piece::targets(&[target.entry()]);
            let listeners = "listeners:\n".to_owned() + &ways.concat();
            [piece::certificates(), store, targets, listeners].concat()
        };
        let verify = |way: &str, more: &str| {
            let comma = if more.is_empty() { "" } else { ", " };
            piece::verify(&format!("on_revocation: {way}{comma}{more}"))
        };
        let first = with(&bundle, &|way| before.map_or_else(|| verify(way, ""), str::to_owned));
        let node =
            Node::with_files(Setup::default(), &first, &[("stranger.pem", &pki().stranger.pem())]);
        let config = tls_config(before.is_none().then_some("good"));
        let mut clients = ["keep", "drain", "close"]
            .map(|way| Client::tls(node.address(way), "localhost", &config));
        for client in &mut clients {
            assert_eq!(client.get("/").status, 200, "{change}");
        }
        node.configure(&with(bundle_after, &|way| verify(way, after)));
        node.reload();
        let [keep, ended @ ..] = &mut clients;
        for client in ended {
            assert_eq!(client.until_closed(), b"", "{change}");
        }
        assert_eq!(keep.get("/").status, 200, "{change}");
        node.metric_becomes("portcullis_connections_ended_by_trust_total", &[], 2.0);
    }
}

/// What had begun has 30 s from the change, a download and an upload alike, and ends then. Waited for in the
/// long run; the arithmetic of it has a unit test.
#[test]
fn under_drain_what_does_not_finish_is_cut_off_after_its_time() {
    if !long() {
        return;
    }
    let (target, go) = Target::slow();
    let node = node(&target);
    let connect = || {
        let stream = handshake(node.address("drain"), "localhost", &tls_config(Some("good-rsa")));
        stream.sock.set_read_timeout(Some(3 * DRAIN)).unwrap();
        Client::on(stream)
    };
    let (mut download, mut upload) = (connect(), connect());
    download.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    target.received();
    upload.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegun");
    let begun = Instant::now();
    revoke_the_rsa_client(&node);
    wait::until("the verdicts", || (ended(&node, "drain") == 2.0).then_some(()));
    for client in [&mut download, &mut upload] {
        let part = String::from_utf8_lossy(&client.until_closed()).into_owned();
        assert!(!part.contains("other"), "{part}");
        assert!(begun.elapsed() >= DRAIN - Duration::from_secs(1), "not before its time");
    }
    let labels = ["listener=\"drain\"", "reason=\"no_longer_accepted\""];
    node.metric_becomes("portcullis_connections_closed_total", &labels, 2.0);
    go.store(true, Ordering::Relaxed);
}

/// As the README promises.
const DRAIN: Duration = Duration::from_secs(30);

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
    // Time enough for three handshakes.
    let end = now.as_secs() + 9;
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

/// The reason is `ClientCertCrlProcessingError`, and `on_revocation` says what it means.
#[test]
fn a_connection_ends_when_the_list_that_it_leans_on_goes_stale() {
    let target = Target::named("hello");
    let strict = |listener: &str| configuration_of(&target, "stale_revocations: refuse", listener);
    let listeners = ["keep", "drain", "close"]
        .map(|way| piece::https(way, &piece::verify(&format!("on_revocation: {way}"))));
    let lasting = pki().issuing.crl(&[]);
    let node = Node::with_files(
        Setup::default(),
        &strict(&listeners.concat()),
        &[("partners.crl", &lasting)],
    );
    let mut clients = ["keep", "drain", "close"]
        .map(|way| Client::tls(node.address(way), "localhost", &tls_config(Some("good"))));
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    let end = UNIX_EPOCH.elapsed().unwrap().as_secs() + 4;
    node.write("partners.crl", &pki().issuing.crl_until(end));
    node.reload();
    let [keep, others @ ..] = &mut clients;
    for client in others {
        assert_eq!(client.until_closed(), b"");
        assert!(UNIX_EPOCH.elapsed().unwrap() > Duration::from_secs(end), "not before its time");
    }
    assert_eq!(keep.get("/").status, 200);
    let reason = ["reason=\"ClientCertCrlProcessingError\""];
    node.metric_becomes("portcullis_connections_ended_by_trust_total", &reason, 2.0);
}

/// What may stay though it has expired ends when it is revoked.
#[test]
fn under_on_expiry_keep_an_expired_client_still_ends_when_it_is_revoked() {
    let target = Target::named("hello");
    let listener = piece::https("stays", &piece::verify("on_expiry: keep"));
    let lists = [pki().issuing.crl(&[]), pki().issuing.crl(&[&[0x51]])];
    let node = Node::with_files(
        Setup::default(),
        &configuration_of(&target, "stale_revocations: enforce", &listener),
        &[("partners.crl", &lists[0])],
    );
    let end = UNIX_EPOCH.elapsed().unwrap().as_secs() + 6;
    let short = pki().issuing.issue(Leaf::client("short").with_end(end).with_serial(&[0x51]));
    let mut client = Client::tls(node.address("stays"), "localhost", &tls_config_with(&short));
    assert_eq!(client.get("/").status, 200);
    wait::until("its end", || {
        (UNIX_EPOCH.elapsed().unwrap() > Duration::from_secs(end + 1)).then_some(())
    });
    node.reload();
    assert_eq!(client.get("/").status, 200, "after another change, too");
    node.write("partners.crl", &lists[1]);
    node.reload();
    assert_eq!(client.until_closed(), b"");
    let reason = ["reason=\"ClientCertCrlHit\""];
    node.metric_becomes("portcullis_connections_ended_by_trust_total", &reason, 1.0);
}

/// A trust store with this field and the list beside the configuration, and these listeners.
fn configuration_of(target: &Target, field: &str, listeners: &str) -> String {
    let bundle = pki().path("partners.pem");
    let store = format!(
        "trust_stores:\n  - {{name: partners, ca_certificates_bundle: {bundle}, \
         revocations: [partners.crl], {field}}}\n"
    );
    let targets = piece::targets(&[target.entry()]);
    [piece::certificates(), store, targets, "listeners:\n".to_owned(), listeners.to_owned()]
        .concat()
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
