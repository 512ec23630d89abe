//! Attributes as they are written, and what is made of them.
use super::*;

fn attributes(entries: &[(&str, &str)]) -> written::Attributes {
    let scalar = |(key, value): &(&str, &str)| ((*key).to_owned(), Scalar((*value).to_owned()));
    entries.iter().map(scalar).collect()
}

fn balancer_of(entries: &[(&str, &str)]) -> (Balancer, Faults) {
    let mut faults = Faults::default();
    let written = written::LoadBalancer { attributes: attributes(entries), ..Default::default() };
    let balancer = balancer(&written, net::Steering::Hash, &mut faults);
    (balancer, faults)
}

#[test]
fn the_load_balancers_attributes_have_albs_defaults_and_ranges() {
    let (balancer, faults) = balancer_of(&[]);
    assert!(faults.is_empty());
    assert_eq!(balancer.idle_timeout, Duration::from_secs(60));
    assert_eq!(balancer.client_keep_alive, Duration::from_secs(3_600));
    for (key, value, fits) in [
        (IDLE_TIMEOUT, "1", true),
        (IDLE_TIMEOUT, "4000", true),
        (IDLE_TIMEOUT, "0", false),
        (IDLE_TIMEOUT, "4001", false),
        (IDLE_TIMEOUT, "60s", false),
        (CLIENT_KEEP_ALIVE, "60", true),
        (CLIENT_KEEP_ALIVE, "59", false),
        (CLIENT_KEEP_ALIVE, "604801", false),
        (DESYNC_MODE, "monitor", true),
        (DESYNC_MODE, "defensive", true),
        (DESYNC_MODE, "strictest", true),
        (DESYNC_MODE, "Strictest", false),
        (PRESERVE_HOST, "true", true),
        (PRESERVE_HOST, "on", false),
    ] {
        assert_eq!(balancer_of(&[(key, value)]).1.is_empty(), fits, "{key}: {value}");
    }
}

/// Goal: nothing is accepted and ignored. Method: every key without code, at its default and not.
#[test]
fn an_attribute_without_code_is_taken_at_its_default_alone() {
    for (key, default) in unbuilt::BALANCER {
        assert!(balancer_of(&[(key, default)]).1.is_empty(), "{key}");
        let faults = balancer_of(&[(key, "something else")]).1.to_string();
        assert!(faults.contains(&format!("this build does not have {key}: something")), "{faults}");
    }
    for (key, default) in unbuilt::TARGET_GROUP {
        let mut faults = Faults::default();
        target_group(&attributes(&[(key, default)]), &mut faults);
        assert!(faults.is_empty(), "{key}");
        target_group(&attributes(&[(key, "something else")]), &mut faults);
        assert_eq!(faults.list.len(), 1, "{key}");
    }
}

#[test]
fn an_unknown_attribute_is_answered_with_the_one_that_was_probably_meant() {
    let faults = balancer_of(&[("idle_timeout.timeout_second", "60")]).1;
    assert_eq!(
        faults.to_string(),
        "attributes[\"idle_timeout.timeout_second\"]: unknown attribute; \
         did you mean idle_timeout.timeout_seconds?"
    );
}

#[test]
fn an_identity_header_has_no_name_that_http_works_by() {
    for name in ["X-Client-Leaf", "x", "Client.Cert_1"] {
        assert_eq!(header_name(name).as_deref(), Ok(name));
    }
    for name in [
        "",
        "a b",
        "a:b",
        "caf\u{e9}",
        "Host",
        "HOST",
        "transfer_encoding",
        "Content-Length",
        "Connection",
        "X-Forwarded-For",
        // As the filter of forgeries folds them: such a name would remove the header itself.
        "X.Forwarded.For",
        "x_forwarded-proto",
        "Content.Length",
        "Transfer--Encoding",
        &"a".repeat(65),
    ] {
        assert!(header_name(name).is_err(), "{name}");
    }
}

fn listener_of(protocol: Protocol, entries: &[(&str, &str)]) -> (Attributes, Faults) {
    let mut faults = Faults::default();
    let balancer = balancer_of(&[]).0;
    let compiled = listener(protocol, &attributes(entries), &balancer, &mut faults);
    (compiled, faults)
}

/// Goal: no two identity headers are one to the filter of forgeries, or to a target that folds.
#[test]
fn two_identity_headers_have_two_names_whatever_is_folded() {
    const LEAF: &str = "routing.http.request.x_amzn_mtls_clientcert_leaf.header_name";
    const ISSUER: &str = "routing.http.request.x_amzn_mtls_clientcert_issuer.header_name";
    for (leaf, issuer, distinct) in [
        ("X-Leaf", "X-Issuer", true),
        ("X-Cert", "x-cert", false),
        ("X-Cert", "X_Cert", false),
        ("X-Cert", "X.Cert", false),
        ("X-Cert", "X~Cert", false),
        ("X-Cert", "X--Cert", true),
        ("X-Leaf", "X.Amzn.Mtls.Clientcert", false),
    ] {
        let faults = listener_of(Protocol::Https, &[(LEAF, leaf), (ISSUER, issuer)]).1;
        assert_eq!(faults.is_empty(), distinct, "{leaf} and {issuer}: {faults}");
    }
}

#[test]
fn the_port_of_a_client_is_for_the_mode_that_appends_it() {
    use ForwardedFor::{Append, AppendWithPort, Preserve, Remove};
    for (mode, client_port, expected) in [
        ("append", "false", Append),
        ("append", "true", AppendWithPort),
        ("preserve", "true", Preserve),
        ("remove", "true", Remove),
        ("remove", "false", Remove),
    ] {
        for entries in [
            [(XFF_MODE, mode), (XFF_CLIENT_PORT, client_port)],
            [(XFF_CLIENT_PORT, client_port), (XFF_MODE, mode)],
        ] {
            let (balancer, faults) = balancer_of(&entries);
            assert!(faults.is_empty());
            assert_eq!(balancer.http.forwarded_for, expected, "{mode} {client_port}");
        }
    }
    assert_eq!(balancer_of(&[]).0.http.forwarded_for, Append);
    let faults = balancer_of(&[(XFF_MODE, "Append")]).1.to_string();
    assert!(faults.ends_with("\"Append\" is not append, preserve or remove"), "{faults}");
}

#[test]
fn a_response_header_is_set_by_its_key_and_not_by_an_empty_value() {
    for (key, name) in RESPONSE_HEADERS {
        let (attributes, faults) = listener_of(Protocol::Https, &[(key, "max-age=1")]);
        assert!(faults.is_empty(), "{faults}");
        let mut out = Vec::new();
        attributes.inserted.write(&mut out);
        assert_eq!(out, format!("{name}: max-age=1\r\n").as_bytes());
        let middle = name.to_lowercase().replace('-', "_");
        assert_eq!(*key, format!("routing.http.response.{middle}.header_value"));

        let (attributes, faults) = listener_of(Protocol::Http, &[(key, "")]);
        assert!(faults.is_empty() && !attributes.inserted.replaces(name), "{faults}");
    }
}

/// `alb-contract.md`, section 5.2: at most 1 KB; alphanumerics and ``_ :;.,\/'?!(){}[]@<>=-+*#&`|~^%``.
#[test]
fn a_response_header_has_a_value_that_alb_takes() {
    const KEY: &str = "routing.http.response.content_security_policy.header_value";
    let all = "aZ09_ :;.,\\/'?!(){}[]@<>=-+*#&`|~^%";
    for good in [all, &"x".repeat(1_024)] {
        assert!(listener_of(Protocol::Http, &[(KEY, good)]).1.is_empty(), "{good}");
    }
    for (bad, why) in [
        ("a\"b", "\"\\\"\" cannot stand in it"),
        ("a$b", "\"$\" cannot stand in it"),
        ("a\r\nX: b", "\"\\r\" cannot stand in it"),
        ("caf\u{e9}", "\"\\xc3\" cannot stand in it"),
        (" a", "it begins or ends with a blank"),
        ("a ", "it begins or ends with a blank"),
        (&"x".repeat(1_025), "it is longer than 1024 characters"),
    ] {
        let faults = listener_of(Protocol::Http, &[(KEY, bad)]).1.to_string();
        assert!(faults.ends_with(why), "{bad:?}: {faults}");
    }
}

/// RFC 6797, section 7.2.
#[test]
fn strict_transport_security_needs_tls() {
    let key = "routing.http.response.strict_transport_security.header_value";
    let entries = [(key, "max-age=63072000; includeSubDomains; preload")];
    assert!(listener_of(Protocol::Https, &entries).1.is_empty());
    let faults = listener_of(Protocol::Http, &entries).1.to_string();
    assert!(faults.ends_with("needs protocol: HTTPS"), "{faults}");
}
