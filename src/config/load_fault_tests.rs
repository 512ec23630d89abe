//! What is wrong with a file, and what is said of it.
use super::*;

/// Goal: one answer has everything. Method: wrong types, an unknown key, a missing key, unknown
/// references, missing and wrong files and values out of range, all over one file.
#[test]
fn all_faults_of_a_file_come_in_one_answer_with_their_lines() {
    let site = Site::new();
    site.scratch.write("trust/empty.pem", "");
    site.scratch.write("trust/wrong.crl", "not a list");
    let faults = site.faults_of(
        "\
node: {shards: 0, drain_timeout_seconds: 9999}
metrics: {bind: localhost:9901}
load_balancer:
  attributes:
    idle_timeout.timeout_seconds: 0
    routing.http2.enabled: maybe
certificates:
  - {name: api, chain: certs/api.crt, key: certs/none.key}
  - {name: broken, chain: 5, key: certs/api.key}
trust_stores:
  - {name: -partners, ca_certificates_bundle: trust/partners.pem}
  - {name: empty, ca_certificates_bundle: trust/empty.pem}
  - name: wrong
    ca_certificates_bundle: trust/partners.pem
    revocations:
      - trust
      - trust/partners.crl
  - name: list
    ca_certificates_bundle: trust/partners.pem
    revocations: [trust/partners.crl, trust/wrong.crl]
target_groups:
  - name: orders
    targets:
      - {id: 10.0.0.5, port: 0}
      - {id: \"a b\", port: 80}
listeners:
  - name: a
    bind: 0.0.0.0:443
    protocol: HTTPS
    certificates: [api, broken, nobody]
    mutual_authentication: {mode: verify, trust_store: empty}
    default_actions: [{type: forward, target_group: orders}]
  - name: b
    bind: 0.0.0.0:443
    protocol: HTTPS
    sl_policy: x
    ssl_policy: none
    certificates: {}
    mutual_authentication: {mode: verify}
    default_actions: [{type: forward, target_group: order}]
  - name: a
    bind: 0.0.0.0
    protocol: HTTP
    alpn_policy: HTTP2Only
    backlog: 0
    default_actions: []
",
    );
    let expected = [
        "line 1: node.drain_timeout_seconds: 9999 is not from 0 to 3600",
        "line 1: node.shards: expected auto or a whole number from 1 to 4294967295, found 0",
        "line 2: metrics.bind: \"localhost:9901\" is not an IP address and a port",
        "line 5: load_balancer.attributes[\"idle_timeout.timeout_seconds\"]: \"0\" is not a whole",
        "line 6: load_balancer.attributes[\"routing.http2.enabled\"]: \"maybe\" is not true or false",
        "line 8: certificates[0].key: certs/none.key: No such file",
        "line 9: certificates[1].chain: expected a string, found 5; put it in quotes",
        "line 11: trust_stores[0].name: a name is 1 to 32",
        "line 12: trust_stores[1].ca_certificates_bundle: trust/empty.pem: the file is empty",
        "line 16: trust_stores[2].revocations[0]: trust: this is a directory",
        "line 20: trust_stores[3].revocations[1]: trust/wrong.crl: ",
        "line 24: target_groups[0].targets[0].port: a port is from 1 to 65535",
        "line 25: target_groups[0].targets[1].id: \"a b\" is neither",
        "line 30: listeners[0].certificates[2]: there is no certificate named \"nobody\"",
        "line 34: listeners[1].bind: the listener a is there already",
        "line 36: listeners[1].sl_policy: unknown key; did you mean ssl_policy?",
        "line 37: listeners[1].ssl_policy: unknown; the policies are",
        "line 38: listeners[1].certificates: expected a list, found a mapping",
        "line 39: listeners[1].mutual_authentication.trust_store: the modes verify and optional need one",
        "line 40: listeners[1].default_actions[0].target_group: there is no target group named \
         \"order\"; did you mean orders?",
        "line 41: listeners[2].name: listeners[0] has this name already",
        "line 42: listeners[2].bind: \"0.0.0.0\" is not an IP address and a port",
        "line 44: listeners[2].alpn_policy: this build does not have alpn_policy yet",
        "line 45: listeners[2].backlog: 0 is not from 1 to 65535",
        "line 46: listeners[2].default_actions: there is no action",
    ];
    let mut sorted: Vec<_> = faults.iter().map(String::as_str).collect();
    let line = |fault: &str| -> usize {
        fault.trim_start_matches("line ").split(':').next().unwrap().parse().unwrap()
    };
    assert!(sorted.is_sorted_by_key(|fault| line(fault)), "{faults:#?}");
    sorted.sort_by_key(|fault| (line(fault), (*fault).to_owned()));
    let mut rest = sorted.clone();
    for expected in expected {
        let found = rest.iter().position(|fault| fault.starts_with(expected));
        rest.remove(found.unwrap_or_else(|| panic!("missing: {expected}\n{sorted:#?}")));
    }
    assert!(rest.is_empty(), "too much: {rest:#?}");
}

#[test]
fn what_a_mode_or_protocol_has_no_use_for_is_a_fault() {
    let site = Site::new();
    let https = |rest: &str| {
        format!(
            "certificates: [{{name: api, chain: certs/api.crt, key: certs/api.key}}]\n\
             trust_stores: [{{name: t, ca_certificates_bundle: trust/partners.pem}}]\n\
             listeners:\n  - {{name: a, bind: 127.0.0.1:0, protocol: HTTPS, certificates: [api], \
             default_actions: [{{type: fixed-response, fixed_response_config: {{status_code: \
             \"404\"}}}}], {rest}}}\n"
        )
    };
    site.configure(&https("strict_ssl_policy: true"));
    site.load(None).unwrap();
    for (rest, expected) in [
        ("mutual_authentication: {mode: off, trust_store: t}", "trust_store: needs mode: verify"),
        ("mutual_authentication: {mode: passthrough, refusal: alert}", "refusal: needs mode"),
        (
            "mutual_authentication: {mode: passthrough, session_resumption: bound}",
            "mutual_authentication.session_resumption: needs mode: verify or optional",
        ),
        (
            "session_resumption: off, mutual_authentication: {mode: verify, trust_store: t, \
             session_resumption: bound}",
            "mutual_authentication.session_resumption: the listener's own session_resumption is off",
        ),
        ("session_resumption: bound", "session_resumption: "),
        (
            "mutual_authentication: {mode: off, ignore_client_certificate_expiry: true}",
            "ignore_client_certificate_expiry: needs mode",
        ),
        (
            "mutual_authentication: {mode: off, advertise_trust_store_ca_names: on}",
            "advertise_trust_store_ca_names: needs mode",
        ),
        (
            "server_name_policies: [{server_names: [], mutual_authentication: {}}]",
            "server_name_policies[0].server_names: a policy needs at least one name",
        ),
        (
            "server_name_policies: [{server_names: [a.b, A.B.], mutual_authentication: {}}]",
            "server_name_policies[0].server_names[1]: \"A.B.\": has a policy already",
        ),
        (
            "server_name_policies: [{server_names: [\"a.*\"], mutual_authentication: {}}]",
            "server_name_policies[0].server_names[0]: \"a.*\": not a server name",
        ),
        (
            "attributes: {routing.http.request.x_amzn_tls_version.header_name: x-amzn-mtls_clientcert}",
            "x_amzn_mtls_clientcert.header_name has the same name",
        ),
        (
            "attributes: {routing.http.request.x_amzn_tls_version.header_name: Host}",
            "Host is a header of HTTP itself",
        ),
        (
            "attributes: {tcp.idle_timeout.seconds: 60}",
            "this build does not have tcp.idle_timeout.seconds: 60 yet",
        ),
        (
            "attributes: {routing.http.response.x_frame_options.header_value: \"$\"}",
            "x_frame_options.header_value\"]: \"$\" cannot stand in it",
        ),
        ("rules: [{priority: 1}]", "rules[0]: this build does not have rules yet"),
        ("ssl_policy: ELBSecurityPolicy-FS-1-2-2019-08", "is not offered"),
    ] {
        let faults = site.faults_of(&https(rest));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(expected), "{faults:?}");
    }
    let http = https("strict_ssl_policy: true, session_resumption: on, mutual_authentication: {}");
    let faults = site.faults_of(&http.replace("protocol: HTTPS", "protocol: HTTP"));
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.ends_with("needs protocol: HTTPS")), "{faults:?}");
}

#[test]
fn a_policy_that_is_held_in_part_is_a_warning_or_when_strict_a_fault() {
    let site = Site::new();
    let text = CONFIGURATION
        .replace("protocol: HTTPS", "protocol: HTTPS\n    ssl_policy: ELBSecurityPolicy-2016-08");
    site.configure(&text);
    let loaded = site.load(None).unwrap();
    let [warning] = loaded.live.warnings.as_slice() else {
        panic!("{:?}", loaded.live.warnings.as_slice())
    };
    assert_eq!((warning.path.as_str(), warning.line), ("listeners[0].ssl_policy", Some(25)));
    assert!(warning.message.contains("TLSv1.1") && warning.message.contains("AES128-SHA"));
    let strict = text.replace("protocol: HTTPS", "protocol: HTTPS\n    strict_ssl_policy: true");
    let faults = site.faults_of(&strict);
    assert!(
        faults[0].contains("AES256-SHA256, AES256-SHA, and strict_ssl_policy is set"),
        "{faults:?}"
    );
}

#[test]
fn certificates_that_do_not_fit_their_keys_or_are_none_are_named() {
    let site = Site::new();
    site.certificate("other");
    let faults = site.faults_of(&CONFIGURATION.replace("certs/api.key", "certs/other.key"));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("line 10: certificates[0].key: certs/other.key: "), "{faults:?}");
    site.scratch
        .write("certs/api.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    site.scratch.write("certs/api.key", "no key");
    let faults = site.faults_of(CONFIGURATION);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("chain: certs/api.crt: "), "{faults:?}");
    assert!(faults[1].contains("key: certs/api.key: "), "{faults:?}");
}

#[test]
fn a_list_of_another_ca_is_refused_at_its_place() {
    let site = Site::new();
    let mine = std::fs::read(site.scratch.path("trust/partners.crl")).unwrap();
    let stranger = Site::new();
    stranger.scratch.write("trust/mine.crl", mine);
    let faults = stranger.faults_of(
        &CONFIGURATION.replace("[trust/partners.crl]", "[trust/partners.crl, trust/mine.crl]"),
    );
    assert_eq!(faults.len(), 1, "{faults:?}");
    let place = "line 14: trust_stores[0].revocations[1]: trust/mine.crl: ";
    assert!(faults[0].starts_with(place), "{faults:?}");
}

#[test]
fn what_needs_a_restart_is_a_fault_of_a_reload() {
    let site = Site::new();
    let before = site.load(None).unwrap();
    site.configure(
        &CONFIGURATION
            .replace("shards: 2", "shards: 3")
            .replace(":9901", ":9902")
            .replace("node:", "admin: {bind: unix:other.sock}\nnode:"),
    );
    assert_eq!(
        site.faults(Some(&before)),
        [
            "line 2: admin.bind: a change here needs a restart",
            "line 3: node.shards: a change here needs a restart",
            "line 4: metrics.bind: a change here needs a restart",
        ]
    );
    site.load(None).unwrap();
}

#[test]
fn metrics_and_a_listener_cannot_share_a_port() {
    let site = Site::new();
    for (metrics, listener) in [
        ("127.0.0.1:8443", "127.0.0.1:8443"),
        ("127.0.0.1:8443", "0.0.0.0:8443"),
        ("0.0.0.0:8443", "127.0.0.1:8443"),
    ] {
        let text = CONFIGURATION.replace("127.0.0.1:9901", metrics);
        let faults = site.faults_of(&text.replace("127.0.0.1:8443\n", &format!("{listener}\n")));
        assert_eq!(faults, ["line 3: metrics.bind: the listener https has this port"]);
    }
    site.configure(&CONFIGURATION.replace("127.0.0.1:9901", "127.0.0.2:8443"));
    site.load(None).unwrap();
}

#[test]
fn a_mode_that_cannot_be_read_makes_no_fault_of_what_goes_with_it() {
    let site = Site::new();
    let faults = site.faults_of(&CONFIGURATION.replace("mode: verify", "mode: verfy"));
    let word = "\"verfy\" is unknown here; did you mean verify?";
    assert_eq!(faults, [format!("line 26: listeners[0].mutual_authentication.mode: {word}")]);
}

#[test]
fn a_failed_load_still_says_which_files_it_looked_at() {
    let site = Site::new();
    site.configure(&CONFIGURATION.replace("certs/api.key", "certs/coming.key"));
    let (inputs, outcome) = attempt(&site.path(), None);
    assert!(outcome.is_err());
    assert_eq!(inputs.0[&site.scratch.path("certs/coming.key")].digest, None);
    assert!(inputs.0[&site.scratch.path("certs/api.crt")].digest.is_some());
    let missing = load(&site.scratch.path("none.yaml"), None).unwrap_err();
    assert!(missing.to_string().ends_with("none.yaml: No such file or directory (os error 2)"));
}

#[test]
fn the_admin_socket_is_found_in_a_file_with_other_faults() {
    let site = Site::new();
    site.configure("node: {shards: many}\nadmin: {bind: unix:/run/a.sock}\n");
    assert_eq!(admin(&site.path()), Ok(Endpoint::Unix("/run/a.sock".into())));
    site.configure("admin: {bind: 5}\n");
    assert_eq!(admin(&site.path()).unwrap_err().list.len(), 1);
}
