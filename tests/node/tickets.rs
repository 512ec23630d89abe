//! Sessions resumed under `session_resumption: bound`: whoever would be refused now gets no answer of a
//! target by an old ticket, and everybody else is really resumed.
use crate::support::client::{certificates, handshake, tls_config_for, tls_config_of};
use crate::support::comer::{Comer, WAYS, Way};
use crate::support::node::{Setup, piece};
use crate::support::pki::Leaf;
use crate::support::{Node, Target, pki, wait};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::version::TLS13;
use rustls::{ClientConfig, HandshakeKind};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

pub const BOUND: &str = "session_resumption: bound";

/// A trust store by this name, from files of the PKI.
pub fn store(name: &str, bundle: &str, lists: &str, more: &str) -> String {
    let lists: Vec<_> = lists.split_whitespace().map(|list| pki().path(list)).collect();
    format!(
        "trust_stores:\n  - {{name: {name}, ca_certificates_bundle: {}, revocations: [{}]{more}}}\n",
        pki().path(bundle),
        lists.join(", ")
    )
}

pub fn whole(target: &Target, store: &str, listeners: &[(&str, String)]) -> String {
    let listeners = listeners.iter().map(|(name, more)| piece::https(name, more));
    let targets = piece::targets(&[target.entry()]);
    [&piece::certificates(), store, &targets, "listeners:\n", &listeners.collect::<String>()]
        .concat()
}

pub fn bound(target: &Target) -> String {
    whole(target, &piece::partners(), &[("https", piece::verify(BOUND))])
}

pub fn resumptions(node: &Node, outcome: &str) -> f64 {
    let outcome = format!("outcome=\"{outcome}\"");
    node.metric("portcullis_tls_resumptions_total", &[&outcome])
}

/// Waits for one more failure with this code than the log held before.
fn logged_once_more(node: &Node, before: &[String], code: &str) {
    let failed = format!("Failed:{code} ");
    let count = |log: &[String]| log.iter().filter(|line| line.contains(&failed)).count();
    wait::until(&failed, || (count(&node.log()) == count(before) + 1).then_some(()));
}

/// Goal: the client is known again, without its certificate in the handshake: headers, log, counters.
#[test]
fn a_client_that_comes_back_is_resumed_and_known() {
    let target = Target::named("hello");
    let node = Node::with(Setup { format: "json", ..Setup::default() }, &bound(&target));
    for (index, comer) in Comer::all(Some("good")).into_iter().enumerate() {
        comer.settle(node.address("https"), "localhost");
        for resumed in [false, comer.way != Way::Tls12Id] {
            let received = target.received();
            assert_eq!(received.values("x-amzn-mtls-clientcert-serial-number"), ["03A5B1"]);
            assert_eq!(received.values("x-amzn-mtls-clientcert-leaf").len(), 1);
            let line = node.log_line(2 * index + usize::from(resumed));
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["resumed"], resumed, "{:?}", comer.way);
            assert_eq!(line["tls_verify_status"], "Success");
            assert_eq!(line["leaf_client_cert_serial_number"], "03A5B1");
        }
    }
    node.metric_becomes("portcullis_tls_resumptions_total", &["outcome=\"resumed\""], 2.0);
    assert_eq!(node.metric("portcullis_tls_resumptions_total", &[]), 2.0);
    assert_eq!(node.metric("portcullis_tls_handshakes_total", &["outcome=\"success\""]), 6.0);
    let mutual = &node.status()["listeners"][0]["tls"]["mutual_authentication"];
    assert_eq!(mutual["session_resumption"], "bound");
}

/// What becomes of a client that comes back after a change.
enum Then {
    /// Refused, with this code in the log.
    Refused(&'static str),
    /// Let in by a full handshake.
    Full,
    /// Still resumed.
    Resumed,
}

/// A trust store, and what the listener says of mutual authentication.
type Setting = (String, String);

/// What changed; who comes; before and after; what then; what the ticket is counted as.
type Row = (&'static str, Option<&'static str>, Setting, Setting, Then, &'static str);

/// Goal: nobody gets in by a session who would be refused now, and nobody is held to an older policy.
/// Method: each change of trust or policy between two visits, each way to come back.
/// Source: CVE-2025-68121, botan#5818, s2n-tls#6103.
#[test]
fn a_session_is_judged_by_what_holds_when_its_client_comes_back() {
    let partners = |lists: &str| store("partners", "partners.pem", lists, "");
    let forgiving = "ignore_client_certificate_expiry: true";
    let bound_and = |more: &str| piece::verify(&format!("{BOUND}, {more}"));
    let filter = |cn: &str| {
        bound_and(&format!("client_certificate_identity_filters: [{{subject_cn: [{cn}]}}]"))
    };
    let off = || "mutual_authentication: {mode: \"off\"}".to_owned();
    let verify = || piece::verify(BOUND);
    let named = |name: &str| verify().replace("partners", name);
    let empty = || partners("empty.crl");
    let rows: Vec<Row> = vec![
        (
            "nothing",
            Some("good"),
            (empty(), verify()),
            (empty(), verify()),
            Then::Resumed,
            "resumed",
        ),
        (
            "a list that names others",
            Some("good"),
            (empty(), verify()),
            (partners("naming.crl"), verify()),
            Then::Resumed,
            "resumed",
        ),
        (
            "revoked",
            Some("revoked"),
            (empty(), verify()),
            (partners("naming.crl"), verify()),
            Then::Refused("ClientCertCrlHit"),
            "refused",
        ),
        (
            "the CA left",
            Some("good"),
            (partners(""), verify()),
            (store("partners", "stranger.crt", "", ""), verify()),
            Then::Refused("ClientCertUntrusted"),
            "other_bundle",
        ),
        (
            "another bundle that has the CA",
            Some("good"),
            (partners(""), verify()),
            (store("partners", "root.crt", "", ""), verify()),
            Then::Full,
            "other_bundle",
        ),
        (
            "lists became mandatory",
            Some("good"),
            (partners(""), verify()),
            (store("partners", "partners.pem", "", ", unlisted_issuers: refuse"), verify()),
            Then::Refused("ClientCertCrlProcessingError"),
            "refused",
        ),
        (
            "expiry is no longer forgiven",
            Some("expired"),
            (empty(), bound_and(forgiving)),
            (empty(), verify()),
            Then::Refused("ClientCertExpired"),
            "other_policy",
        ),
        (
            "the client is filtered out",
            Some("good"),
            (empty(), filter("\"device-*\"")),
            (empty(), filter("nobody")),
            Then::Refused("ClientCertRejected"),
            "other_policy",
        ),
        (
            "filters came, and let it in",
            Some("good"),
            (empty(), verify()),
            (empty(), filter("device-17")),
            Then::Full,
            "other_policy",
        ),
        (
            "certificates became mandatory",
            None,
            (empty(), off()),
            (empty(), verify()),
            Then::Refused("UnmappedConnectionError"),
            "other_policy",
        ),
        (
            "certificates became optional",
            None,
            (empty(), off()),
            (empty(), verify().replace("verify", "optional")),
            Then::Full,
            "other_policy",
        ),
        (
            "the listener shows another certificate",
            Some("good"),
            (empty(), verify()),
            (empty(), verify() + "\ncertificates: [rsa]"),
            Then::Full,
            "other_policy",
        ),
        (
            "the trust store has another name",
            Some("good"),
            (empty(), verify()),
            (empty().replace("name: partners", "name: others"), named("others")),
            Then::Full,
            "other_policy",
        ),
        (
            "sessions are no longer resumed",
            Some("good"),
            (empty(), verify()),
            (empty(), piece::verify("")),
            Then::Full,
            "",
        ),
    ];
    let target = Target::named("hello");
    let of = |(store, more): &Setting| {
        whole(
            &target,
            store,
            &[
                ("https", more.clone()),
                ("other", piece::verify(BOUND).replace("partners", store_name(store))),
            ],
        )
    };
    let node = Node::start(&of(&rows[0].2));
    let address = node.address("https");
    for (what, identity, before, after, then, outcome) in &rows {
        node.configure(&of(before));
        node.reload();
        let comers = Comer::all(*identity);
        for comer in &comers {
            comer.settle(address, "localhost");
        }
        node.configure(&of(after));
        node.reload();
        let counted = resumptions(&node, outcome);
        let served = target.so_far().len();
        assert_eq!(served, 6, "{what}");
        for comer in &comers {
            let case = format!("{what}, {:?}", comer.way);
            let logged = node.log();
            let kind = comer.visit(address, "localhost");
            match then {
                Then::Resumed => assert_eq!(kind, Some(comer.way.resumed()), "{case}"),
                Then::Full => assert_eq!(kind, Some(HandshakeKind::Full), "{case}"),
                Then::Refused(code) => {
                    assert_eq!(kind, None, "{case}");
                    logged_once_more(&node, &logged, code);
                }
            }
        }
        if matches!(then, Then::Refused(_)) {
            assert!(target.so_far().is_empty(), "{what}");
        } else {
            assert_eq!(target.so_far().len(), 3, "{what}");
        }
        if !outcome.is_empty() {
            // A session id is no ticket.
            assert_eq!(resumptions(&node, outcome) - counted, 2.0, "{what}: {outcome}");
        }
    }
    node.assert_no_panic();
}

fn store_name(store: &str) -> &str {
    if store.contains("name: others") { "others" } else { "partners" }
}

/// Goal: a ticket is good where it was given and nowhere else. Method: a client that offers it to every
/// listener, under every name and under none. Source: CVE-2025-23419, CVE-2025-23048.
#[test]
fn a_session_of_one_listener_or_name_resumes_at_no_other() {
    let target = Target::named("hello");
    let by_name = format!(
        "{}\nserver_name_policies:\n\
         - {{server_names: [open.example.com], mutual_authentication: {{mode: \"off\"}}}}\n\
         - {{server_names: [api.example.com], {}}}",
        piece::verify(BOUND),
        piece::verify(BOUND),
    );
    let listeners = [
        ("one", piece::verify(BOUND)),
        ("two", piece::verify(BOUND)),
        ("open", "mutual_authentication: {mode: \"off\"}".to_owned()),
        ("never", "session_resumption: off".to_owned()),
        ("by-name", by_name),
    ];
    let node = Node::start(&whole(&target, &piece::partners(), &listeners));
    // No name is sent to an address. `closed` demands certificates.
    let places = [
        ("one", "localhost", true),
        ("one", "127.0.0.1", true),
        ("two", "localhost", true),
        ("open", "localhost", false),
        ("never", "localhost", false),
        ("by-name", "localhost", true),
        ("by-name", "127.0.0.1", true),
        ("by-name", "open.example.com", false),
        ("by-name", "api.example.com", true),
    ];
    for identity in [Some("good"), None] {
        for (from, from_name, _) in places.iter().filter(|place| identity.is_some() || !place.2) {
            for (to, to_name, closed) in &places {
                for comer in Comer::all(identity) {
                    let case = format!("{:?} {from} {from_name} to {to} {to_name}", comer.way);
                    let first = comer.visit(node.address(from), from_name);
                    assert_eq!(first, Some(HandshakeKind::Full), "{case}");
                    let kind = comer.visit(node.address(to), to_name);
                    let is_home = (from, from_name) == (to, to_name) && *from != "never";
                    let expected = match identity {
                        None if *closed => None,
                        _ if is_home => Some(comer.way.resumed()),
                        _ => Some(HandshakeKind::Full),
                    };
                    assert_eq!(kind, expected, "{case}");
                }
            }
        }
    }
    node.assert_no_panic();
}

/// Goal: the verdict is that of the end of the handshake, whatever the ticket was worth at its beginning.
#[test]
fn trust_that_changes_between_ticket_and_finished_closes_the_connection() {
    let target = Target::named("hello");
    let at = |list: &str| {
        let store = store("partners", "partners.pem", list, "");
        // A handshake waits for a change here.
        let with = |authentication: &str| {
            format!("handshake_timeout_ms: 60000\n{}", piece::verify(authentication))
        };
        let http = with(&format!("{BOUND}, refusal: http"));
        whole(&target, &store, &[("https", with(BOUND)), ("http", http)])
    };
    let node = Node::start(&at("empty.crl"));
    for way in [Way::Tls13, Way::Tls12Ticket] {
        for listener in ["https", "http"] {
            node.configure(&at("empty.crl"));
            node.reload();
            let comer = Comer::new(way, Some("revoked"));
            let address = node.address(listener);
            comer.settle(address, "localhost");
            target.so_far();
            let logged = node.log();
            let mut stream = handshake(address, "localhost", &comer.config);
            let (conn, socket) = (&mut stream.conn, &mut stream.sock);
            while conn.wants_write() {
                conn.write_tls(socket).unwrap();
            }
            while conn.is_handshaking() {
                conn.read_tls(socket).unwrap();
                conn.process_new_packets().unwrap();
            }
            assert_eq!(conn.handshake_kind(), Some(HandshakeKind::Resumed));
            node.configure(&at("naming.crl"));
            node.reload();
            // Finished goes out with the request.
            let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            let mut answer = Vec::new();
            let _ = stream.write_all(request).and_then(|()| stream.read_to_end(&mut answer));
            let answer = String::from_utf8_lossy(&answer);
            let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 403");
            assert!(is_refused && (listener == "http" || answer.is_empty()), "{answer}");
            logged_once_more(&node, &logged, "ClientCertCrlHit");
            assert!(target.so_far().is_empty(), "{way:?} {listener}");
        }
    }
    node.assert_no_panic();
}

/// Time is a change, too: nothing else happens here.
#[test]
fn a_session_ends_with_the_certificate_that_it_was_made_with() {
    let target = Target::named("hello");
    let forgiving = format!("{BOUND}, ignore_client_certificate_expiry: true");
    let listeners = [("https", piece::verify(BOUND)), ("forgives", piece::verify(&forgiving))];
    let node = Node::start(&whole(&target, &piece::partners(), &listeners));
    let now = || UNIX_EPOCH.elapsed().unwrap().as_secs();
    let settled_before = |end: u64| {
        let short = pki().issuing.issue(Leaf::client("short").with_end(end));
        let comers = |listener: &str| {
            let comers = WAYS.map(|way| Comer::of(way, tls_config_of(&short, &[way.version()])));
            let settles = |comer: &Comer| comer.settles(node.address(listener), "localhost");
            (comers.iter().all(settles), comers)
        };
        let ((of_ends, ends), (of_stays, stays)) = (comers("https"), comers("forgives"));
        let is_in_time = now() < end;
        assert!(of_ends && of_stays || !is_in_time);
        is_in_time.then_some((end, ends, stays))
    };
    // A machine that is too slow for the first gets more time.
    let windows = [6, 20, 60, 180];
    let settled = windows.into_iter().find_map(|seconds| settled_before(now() + seconds));
    let (end, ends, stays) = settled.expect("three minutes are enough");
    let patience = Duration::from_secs(240);
    wait::within(patience, "the end", || (now() > end + 1).then_some(()));
    let expired = resumptions(&node, "expired");
    for (ends, stays) in ends.iter().zip(&stays) {
        assert_eq!(ends.visit(node.address("https"), "localhost"), None, "{:?}", ends.way);
        let kind = stays.visit(node.address("forgives"), "localhost");
        assert_eq!(kind, Some(stays.way.resumed()), "{:?}", stays.way);
    }
    assert_eq!(resumptions(&node, "expired") - expired, 2.0);
}

/// Goal: a refused client gets nothing that a later one could be let in by. Method: `refusal: http`, where
/// its handshake ends well, and a client without a certificate where one is asked for.
#[test]
fn who_is_refused_or_shows_nothing_gets_no_ticket() {
    let target = Target::named("hello");
    let http = piece::verify(&format!("{BOUND}, refusal: http"));
    let optional = piece::verify(BOUND).replace("verify", "optional");
    let listeners = [("http", http), ("optional", optional)];
    let node = Node::start(&whole(&target, &piece::partners(), &listeners));
    let rows = [
        ("http", Some("revoked"), 403),
        ("http", Some("untrusted"), 403),
        ("http", None, 403),
        ("optional", None, 200),
    ];
    for (listener, identity, status) in rows {
        for comer in Comer::all(identity) {
            for turn in 0..3 {
                let came = comer.ask(node.address(listener), "localhost");
                let case = format!("{listener} {identity:?} {:?} turn {turn}", comer.way);
                assert_eq!(came, Some((status, Some(HandshakeKind::Full))), "{case}");
            }
        }
    }
    assert_eq!(node.metric("portcullis_tls_resumptions_total", &[]), 0.0);
    for listener in ["http", "optional"] {
        for comer in Comer::all(Some("good")) {
            comer.settle(node.address(listener), "localhost");
        }
    }
}

/// CVE-2026-34873: a retried ClientHello must not lose what resumption is judged by.
#[test]
fn a_session_after_a_hello_retry_request_is_judged_like_any_other() {
    let target = Target::named("hello");
    let at = |list: &str| {
        let store = store("partners", "partners.pem", list, "");
        whole(&target, &store, &[("https", piece::verify(BOUND))])
    };
    let node = Node::start(&at("empty.crl"));
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // The node does not have the first, of which it gets a share.
    provider.kx_groups = vec![kx_group::MLKEM768, kx_group::X25519];
    let config = tls_config_for(Some("revoked"), "root.crt", &[&TLS13]);
    let identity = Arc::clone(&config.client_auth_cert_resolver);
    let mut retried = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots())
        .with_client_cert_resolver(identity);
    retried.enable_sni = true;
    let comer = Comer::of(Way::Tls13, retried);
    let visit = || comer.visit(node.address("https"), "localhost");
    assert_eq!(visit(), Some(HandshakeKind::FullWithHelloRetryRequest));
    assert_eq!(visit(), Some(HandshakeKind::Resumed));
    node.configure(&at("naming.crl"));
    node.reload();
    assert_eq!(visit(), None);
    assert_eq!(resumptions(&node, "refused"), 1.0);
}

fn roots() -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    for root in certificates(&pki().read("root.crt")) {
        roots.add(root).unwrap();
    }
    roots
}
