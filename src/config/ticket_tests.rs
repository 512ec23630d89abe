//! Session tickets: their keys, and what they are bound to.
use super::*;
use crate::tls::tickets::Binding;

/// Goal: keys that nobody could share sessions by, or anybody guess, are named; good ones stay as they are
/// while their files do.
#[test]
fn ticket_keys_are_taken_from_files_that_hold_keys() {
    let site = Site::new();
    let random: Vec<u8> = (0..=255).collect();
    for (name, bytes) in [("a", 0..80), ("b", 100..148), ("short", 0..47), ("long", 0..81)] {
        site.scratch.write(name, &random[bytes]);
    }
    site.scratch.write("same", &random[..80]);
    site.scratch.write("zeros", [0; 80]);
    let with = |keys: &str| format!("session_tickets: {{keys: [{keys}]}}\n{CONFIGURATION}");
    let faults = site.faults_of(&with("a, short, long, same, zeros, none, b"));
    let expected = [
        "line 1: session_tickets.keys[1]: short: it has 47 bytes, and a key has 80 or 48",
        "line 1: session_tickets.keys[2]: long: it has 81 bytes",
        "line 1: session_tickets.keys[3]: same: this key is in the list already",
        "line 1: session_tickets.keys[4]: zeros: it has only 1 different bytes, and random ones have more",
        "line 1: session_tickets.keys[5]: none: No such file",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{fault}");
    }
    let many = vec!["a"; limits::TICKET_KEYS_MAX + 1].join(", ");
    assert!(site.faults_of(&with(&many))[0].contains("there are 17 keys, and the limit is 16"));

    let keys = |loaded: &Loaded| Arc::clone(&loaded.live.ticket_keys);
    site.configure(CONFIGURATION);
    let first = site.load(None).unwrap();
    let second = site.load(Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&keys(&first), &keys(&second)), "random keys survive a reload");
    site.configure(&with("a, b"));
    let third = site.load(Some(&second)).unwrap();
    assert!(!Arc::ptr_eq(&keys(&second), &keys(&third)));
    assert!(Arc::ptr_eq(&keys(&third), &keys(&site.load(Some(&third)).unwrap())));
    site.configure(&with("b, a"));
    let turned = site.load(Some(&third)).unwrap();
    assert!(!Arc::ptr_eq(&keys(&third), &keys(&turned)), "the first key seals");
}

/// Goal: tickets of two accesses are never confused, and equal configurations make equal bindings.
#[test]
fn what_a_ticket_is_bound_to_follows_names_and_conditions() {
    let site = Site::new();
    let text = |name: &str, more: &str, by_name: &str| {
        CONFIGURATION.split("listeners:").next().unwrap().to_owned()
            + &format!(
                "listeners:\n  - name: {name}\n    bind: 127.0.0.1:0\n    protocol: HTTPS\n    \
                 certificates: [api]\n    default_actions: [{{type: forward, target_group: orders}}]\n    \
                 mutual_authentication: {{mode: verify, trust_store: partners{more}}}\n    \
                 server_name_policies: [{{server_names: [{by_name}], \
                 mutual_authentication: {{mode: verify, trust_store: staff, session_resumption: bound}}}}]\n"
            )
    };
    let bindings = |name: &str, more: &str, by_name: &str| {
        site.configure(&text(name, more, by_name));
        let loaded = site.load(None).unwrap();
        let tls = loaded.live.listeners[name].tls.as_ref().unwrap();
        (tls.own.tickets, tls.access(Some("a.example")).tickets)
    };
    let bound = ", session_resumption: bound";
    let (own, by_name) = bindings("https", bound, "a.example");
    let policy = |binding: Option<Binding>| binding.unwrap().policy;
    assert_eq!(own.unwrap().bundle, by_name.unwrap().bundle, "both stores have one bundle");
    assert_ne!(policy(own), policy(by_name));
    assert_eq!(bindings("https", bound, "A.example"), (own, by_name));
    assert_eq!(bindings("https", "", "a.example"), (None, by_name));
    assert_eq!(bindings("https", ", session_resumption: off", "a.example"), (None, by_name));
    let (other, other_by_name) = bindings("other", bound, "a.example");
    assert!(policy(other) != policy(own) && policy(other_by_name) != policy(by_name));
    assert_ne!(policy(bindings("https", bound, "a.example, b.example").1), policy(by_name));
    site.certificate("api");
    assert_ne!(policy(bindings("https", bound, "a.example").0), policy(own), "another certificate");
    let (own, by_name) = bindings("https", bound, "a.example");
    let filter = ", client_certificate_identity_filters: [{subject_cn: [a]}]";
    for more in [filter, ", ignore_client_certificate_expiry: true"] {
        let (changed, same) = bindings("https", &format!("{bound}{more}"), "a.example");
        assert_ne!(policy(changed), policy(own), "{more}");
        assert_eq!(same, by_name);
    }
}
