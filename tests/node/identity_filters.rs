//! Conditions on identity: of the clients that the trust store vouches for, whom a listener or a
//! server name lets in.
use crate::support::node::{named, piece};
use crate::support::tools::{
    self, Identity, Tls, alert_number, curl_https, curl_was_refused, s_client,
};
use crate::support::{Node, Target, pki};

/// A listener `https` that lets in whom these filters match; `more` are further fields of it.
fn node(target: &Target, filters: &str, more: &str) -> Node {
    Node::start(&configuration(target, filters, more))
}

fn configuration(target: &Target, filters: &str, more: &str) -> String {
    let filters = format!("client_certificate_identity_filters: [{filters}]");
    [
        piece::certificates(),
        piece::partners(),
        piece::targets(&[target.entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", &format!("{}\n{more}", piece::verify(&filters))),
    ]
    .concat()
}

fn gets_in(node: &Node, name: &str, client: &'static str) -> bool {
    let ended = curl_https(node.address("https"), name, Identity::Pem(client), Tls::V13, &[]);
    assert!(ended.code == Some(0) || curl_was_refused(&ended), "{}", ended.said());
    ended.code == Some(0)
}

/// SHA-256 of a client's certificate, as openssl prints it.
fn fingerprint(client: &str) -> String {
    let file = pki().path(&format!("{client}.crt"));
    let arguments = ["x509", "-in", &file, "-noout", "-fingerprint", "-sha256"];
    let said = tools::run("openssl", &arguments, b"").success().stdout;
    said.trim().rsplit('=').next().unwrap().to_owned()
}

#[test]
fn each_kind_of_filter_lets_in_whom_it_names_and_nobody_else() {
    let target = Target::named("hello");
    let by_hash = format!("{{sha256: [\"{}\"]}}", fingerprint("good"));
    let issuer = "CN=Portcullis Tests Issuing,O=Example,ST=Oslo,C=NO";
    let by_issuer = format!("{{issuer: [\"{issuer}\"], subject_cn: [orders]}}");
    // Filters; who gets in by them, who does not.
    let cases = [
        ("{subject_cn: [device-17]}", "good", "good-rsa"),
        ("{subject_cn: [\"device-*\"]}", "good-rsa", "workload"),
        ("{san_dns: [\"*.example.com\"]}", "workload", "good"),
        ("{san_uri: [\"spiffe://example.org/orders/*\"]}", "workload", "good"),
        ("{san_email: [\"*@example.com\"]}", "workload", "good"),
        (&by_issuer, "workload", "good"),
        (&by_hash, "good", "good-rsa"),
        ("{subject_cn: [nobody]}, {subject_cn: [device-18]}", "good-rsa", "good"),
    ];
    let node = node(&target, cases[0].0, "");
    for (index, (filters, accepted, refused)) in cases.into_iter().enumerate() {
        if index > 0 {
            node.configure(&configuration(&target, filters, ""));
            node.reload();
        }
        assert!(gets_in(&node, "localhost", accepted), "{filters}: {accepted}");
        assert!(node.log_line(2 * index).contains(" Success "));
        assert!(!gets_in(&node, "localhost", refused), "{filters}: {refused}");
        let line = node.log_line(2 * index + 1);
        assert!(line.contains("Failed:ClientCertRejected"), "{filters}: {line}");
    }
    let labels = ["listener=\"https\"", "outcome=\"ClientCertRejected\""];
    node.metric_becomes("portcullis_tls_handshakes_total", &labels, 8.0);
    let status = node.status();
    let tls = &named(&status["listeners"], "https")["tls"];
    assert_eq!(tls["mutual_authentication"]["client_certificate_identity_filters"], 2);
}

/// Source: `alb-contract`, section 1.10: the path first, then the filters, then revocation.
#[test]
fn a_filter_is_judged_after_the_path_and_before_revocation() {
    let target = Target::named("hello");
    let node = node(&target, "{subject_cn: [device-17]}", "");
    let cases = [
        ("revoked", "Failed:ClientCertRejected", 49),
        ("expired", "Failed:ClientCertExpired", 45),
        ("untrusted", "Failed:ClientCertUntrusted", 48),
        ("good-rsa", "Failed:ClientCertRejected", 49),
    ];
    let mut index = 0;
    for tls in Tls::BOTH {
        for (client, word, alert) in cases {
            let request = "GET / HTTP/1.0\r\n\r\n";
            let ended = s_client(node.address("https"), Identity::Pem(client), tls, &[], request);
            assert_eq!(alert_number(&ended), Some(alert), "{client}: {}", ended.said());
            let line = node.log_line(index);
            assert!(line.contains(word), "{client}: {line}");
            index += 1;
        }
    }
    assert!(target.so_far().is_empty());
}

#[test]
fn a_server_name_has_filters_of_its_own() {
    let target = Target::named("hello");
    let own = piece::verify("client_certificate_identity_filters: [{subject_cn: [orders]}]");
    let policies = format!("server_name_policies:\n- {{server_names: [api.example.com], {own}}}");
    let node = node(&target, "{subject_cn: [\"device-*\"]}", &policies);
    for (name, client, expected) in [
        ("localhost", "good", true),
        ("localhost", "workload", false),
        ("api.example.com", "good", false),
        ("api.example.com", "workload", true),
    ] {
        assert_eq!(gets_in(&node, name, client), expected, "{name} {client}");
    }
}
