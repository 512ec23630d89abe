//! The command line: what it says, and how a bad start ends.
use crate::support::node::{piece, portcullis};
use crate::support::scratch::Scratch;
use crate::support::{Node, Target, pki, target, tools};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;

/// A configuration that is right.
fn right() -> String {
    [
        "admin: {bind: \"unix:portcullis.sock\"}\n".to_owned(),
        piece::certificates(),
        piece::partners(),
        piece::targets(&[target::nobody().entry()]),
        "listeners:\n".to_owned(),
        piece::https("https", &piece::verify("")),
    ]
    .concat()
}

/// `portcullis check` on this text.
fn check(directory: &Scratch, text: &str) -> tools::Ended {
    let file = directory.path().join("portcullis.yaml");
    fs::write(&file, text).unwrap();
    portcullis(&["check", "--config", file.to_str().unwrap()])
}

#[test]
fn check_accepts_what_is_right() {
    let directory = Scratch::new("check");
    check(&directory, &right()).success();
    // JSON is valid YAML.
    let json = r#"{"target_groups": [{"name": "none", "protocol": "HTTP", "targets": []}],
        "listeners": [{"name": "plain", "bind": "127.0.0.1:0", "protocol": "HTTP",
        "default_actions": [{"type": "forward", "target_group": "none"}]}]}"#;
    check(&directory, json).success();
}

/// Each row: what is replaced in the right configuration, by what; the path, and a word of the
/// sentence that the fault must have. The line is looked up where the replacement begins.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    // Unknown keys and wrong types.
    (
        "    protocol: HTTPS",
        "    colour: red\n    protocol: HTTPS",
        "listeners[0].colour",
        "unknown",
    ),
    ("admin:", "nodes: {}\nadmin:", "nodes", "unknown"),
    ("    bind: 127.0.0.1:0", "    bind: [1, 2]", "listeners[0].bind", ""),
    ("    bind: 127.0.0.1:0", "    bind: somewhere", "listeners[0].bind", ""),
    ("    bind: 127.0.0.1:0", "    bind: 127.0.0.1:70000", "listeners[0].bind", ""),
    ("    protocol: HTTPS", "    protocol: GOPHER", "listeners[0].protocol", ""),
    ("    certificates: [ecdsa]", "    certificates: []", "listeners[0]", "certificates"),
    ("    certificates: [ecdsa]", "    certificates: [ed]", "listeners[0].certificates", "ed"),
    ("mode: verify", "mode: demand", "listeners[0].mutual_authentication.mode", ""),
    (
        "trust_store: partners",
        "trust_store: friends",
        "listeners[0].mutual_authentication.trust_store",
        "friends",
    ),
    (", trust_store: partners", "", "listeners[0].mutual_authentication", "trust_store"),
    (
        "mode: verify",
        "mode: verify, refusal: shout",
        "listeners[0].mutual_authentication.refusal",
        "",
    ),
    (
        "mode: verify",
        "mode: verify, client_certificate_identity_filters: [{subject_cn: [\"a*b\"]}]",
        "listeners[0].mutual_authentication.client_certificate_identity_filters[0].subject_cn[0]",
        "at the end",
    ),
    (
        "mode: verify",
        "mode: verify, client_certificate_identity_filters: [{subject: [a]}]",
        "listeners[0].mutual_authentication.client_certificate_identity_filters[0].subject",
        "unknown",
    ),
    (
        "target_group: targets",
        "target_group: none",
        "listeners[0].default_actions[0].target_group",
        "none",
    ),
    ("type: forward", "type: teleport", "listeners[0].default_actions[0].type", ""),
    (
        "    protocol: HTTPS",
        "    ssl_policy: ELBSecurityPolicy-2099\n    protocol: HTTPS",
        "listeners[0].ssl_policy",
        "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
    ),
    (
        "    protocol: HTTPS",
        "    ssl_policy: ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04\n    protocol: HTTPS",
        "listeners[0].ssl_policy",
        "not offered",
    ),
    (
        "    protocol: HTTPS",
        "    ssl_policy: ELBSecurityPolicy-2016-08\n    strict_ssl_policy: true\n    protocol: HTTPS",
        "listeners[0].ssl_policy",
        "TLSv1.1",
    ),
    (
        "    protocol: HTTPS",
        "    attributes: {routing.http.request.nonsense: x}\n    protocol: HTTPS",
        "listeners[0].attributes",
        "nonsense",
    ),
    // Features that this build lacks.
    (
        "    protocol: HTTPS",
        "    rules: [{priority: 1}]\n    protocol: HTTPS",
        "listeners[0].rules",
        "does not have rules",
    ),
    ("    protocol: HTTPS", "    protocol: TCP", "listeners[0].protocol", "TCP"),
    ("    protocol: HTTPS", "    protocol: TLS", "listeners[0].protocol", "TLS"),
    (
        "mode: verify",
        "mode: verify, session_resumption: resumed",
        "listeners[0].mutual_authentication.session_resumption",
        "resumed",
    ),
    (
        "{name: partners,",
        "{name: partners, stale_revocations: ignore,",
        "trust_stores[0].stale_revocations",
        "",
    ),
    (
        "{name: partners,",
        "{name: partners, unlisted_issuers: ignore,",
        "trust_stores[0].unlisted_issuers",
        "",
    ),
    ("{name: partners,", "{name: partners, source: api,", "trust_stores[0].source", ""),
    (
        "{name: targets, protocol: HTTP,",
        "{name: targets, protocol: HTTPS,",
        "target_groups[0].protocol",
        "HTTPS",
    ),
    // Files.
    ("naming.crl", "absent.crl", "trust_stores[0].revocations[0]", "absent.crl"),
    ("partners.pem", "absent.pem", "trust_stores[0].ca_certificates_bundle", "absent.pem"),
    ("server-ecdsa.key", "server-rsa.key", "certificates[0]", ""),
    ("server-ecdsa.crt", "absent.crt", "certificates[0].chain", "absent.crt"),
    ("server-ecdsa.key", "absent.key", "certificates[0].key", "absent.key"),
    // Names.
    ("{name: targets,", "{name: \"\",", "target_groups[0].name", ""),
    ("name: rsa", "name: ecdsa", "certificates[1].name", "certificates[0]"),
];

#[test]
fn check_tells_each_fault_with_its_path_and_line() {
    let directory = Scratch::new("check");
    let mut missed = Vec::new();
    for &(from, to, path, word) in FAULTS {
        let right = right();
        assert!(right.contains(from), "{from} is in\n{right}");
        let wrong = right.replacen(from, to, 1);
        let ended = check(&directory, &wrong);
        let said = ended.said();
        let first = 1 + right[..right.find(from).unwrap()].matches('\n').count();
        // A fault about what is missing stands where the object begins that misses it.
        let missing_lines = if path == "listeners[0]" { 4 } else { 0 };
        let lines = first - missing_lines..=first + to.matches('\n').count();
        let is_told = said.lines().any(|told| {
            let line = told.strip_prefix("line ").and_then(|rest| rest.split(':').next());
            let line = line.and_then(|line| line.parse::<usize>().ok());
            told.contains(path)
                && told.contains(word)
                && line.is_some_and(|line| lines.contains(&line))
        });
        if ended.code != Some(1) || !is_told {
            missed.push(format!("{to}: no {path} with `{word}` on {lines:?} in\n{said}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn check_tells_all_faults_at_once() {
    let directory = Scratch::new("check");
    let wrong = right()
        .replace("mode: verify", "mode: demand")
        .replace("partners.pem", "absent.pem")
        .replace("type: forward", "type: teleport")
        .replace("    protocol: HTTPS", "    colour: red\n    protocol: HTTPS");
    let ended = check(&directory, &wrong);
    assert_eq!(ended.code, Some(1));
    for word in ["demand", "absent.pem", "teleport", "colour"] {
        assert!(ended.said().contains(word), "{word}: {}", ended.said());
    }
}

#[test]
fn two_policies_for_one_name_are_a_fault() {
    let directory = Scratch::new("check");
    let policies = "    server_name_policies:\n\
        \x20   - {server_names: [a.example.com], mutual_authentication: {mode: passthrough}}\n\
        \x20   - {server_names: [A.example.com.], mutual_authentication: {mode: \"off\"}}\n";
    let wrong = right() + policies;
    let ended = check(&directory, &wrong);
    assert_eq!(ended.code, Some(1), "{}", ended.said());
    assert!(ended.said().contains("listeners[0].server_name_policies[1]"), "{}", ended.said());
}

#[test]
fn what_is_no_configuration_is_told_in_a_sentence() {
    let directory = Scratch::new("check");
    let cases = [
        ("", ""),
        ("listeners: [", "line "),
        ("just words", ""),
        ("- a\n- list\n", ""),
        ("listeners: {a: b}\n", "listeners"),
        ("a: 1\na: 2\n", "a"),
        ("\u{0}\u{1}", ""),
    ];
    for (text, word) in cases {
        let ended = check(&directory, text);
        assert_eq!(ended.code, Some(1), "{text:?}: {}", ended.said());
        assert!(ended.said().contains(word), "{text:?}: {}", ended.said());
        assert!(!ended.said().contains("panicked"), "{text:?}: {}", ended.said());
    }
    for path in [directory.path().join("absent.yaml"), directory.path().to_owned()] {
        for command in ["check", "serve"] {
            let ended = portcullis(&[command, "--config", path.to_str().unwrap()]);
            assert_eq!(ended.code, Some(1), "{command}: {}", ended.said());
            assert!(ended.said().contains(path.to_str().unwrap()), "{command}: {}", ended.said());
        }
    }
}

#[test]
fn a_policy_held_in_part_is_a_warning_in_status() {
    let target = Target::named("hello");
    let node = Node::start(
        &[
            piece::certificates(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("old", "ssl_policy: ELBSecurityPolicy-2016-08"),
            piece::https("new", "ssl_policy: ELBSecurityPolicy-TLS13-1-3-2021-06"),
        ]
        .concat(),
    );
    let warnings = node.status()["warnings"].to_string();
    for word in ["TLSv1.1", "AES128-SHA"] {
        assert!(warnings.contains(word), "{word}: {warnings}");
    }
    let (curl, none) = (tools::curl_https, tools::Identity::None);
    let ended = curl(node.address("new"), "localhost", none, tools::Tls::V12, &[]);
    assert_eq!(ended.code, Some(35), "{}", ended.said());
    let ended = curl(node.address("old"), "localhost", none, tools::Tls::V12, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.said());
    let ended = curl(node.address("old"), "localhost", none, tools::Tls::V13, &[]);
    assert_eq!(ended.code, Some(35), "this policy has no TLS 1.3: {}", ended.said());
}

#[test]
fn a_port_in_use_ends_the_start_with_a_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = Scratch::new("start");
    let file = directory.path().join("portcullis.yaml");
    for text in [
        right().replace("bind: 127.0.0.1:0", &format!("bind: {address}")),
        right().replace("admin:", &format!("metrics: {{bind: \"{address}\"}}\nadmin:")),
    ] {
        fs::write(&file, text).unwrap();
        let ended = portcullis(&["serve", "--config", file.to_str().unwrap()]);
        assert_eq!(ended.code, Some(1), "{}", ended.said());
        assert!(ended.said().contains(&address), "{}", ended.said());
        assert!(!ended.said().contains("panicked"), "{}", ended.said());
    }
}

#[test]
fn a_key_that_may_not_be_read_ends_the_start_with_a_sentence() {
    // Root reads everything, so a directory stands for a file that cannot be read.
    let directory = Scratch::new("start");
    fs::create_dir(directory.path().join("locked.key")).unwrap();
    let key = directory.path().join("locked.key");
    let text = right().replace(&pki().path("server-ecdsa.key"), key.to_str().unwrap());
    let file = directory.path().join("portcullis.yaml");
    fs::write(&file, text).unwrap();
    for command in ["check", "serve"] {
        let ended = portcullis(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!(ended.code, Some(1), "{}", ended.said());
        assert!(ended.said().contains("certificates[0].key"), "{}", ended.said());
    }
}

#[test]
fn the_help_names_every_command_and_the_version_is_the_packages() {
    let help = portcullis(&["--help"]).success();
    for command in ["serve", "check", "schema", "reload", "drain", "demo"] {
        assert!(help.stdout.contains(command), "{}", help.stdout);
    }
    let version = portcullis(&["--version"]).success();
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", version.stdout);
    assert_ne!(portcullis(&["fly"]).code, Some(0));
}

#[test]
fn the_schema_is_json_schema_and_knows_every_section() {
    let schema = portcullis(&["schema"]).success();
    let schema: Value = serde_json::from_str(&schema.stdout).expect("the schema is JSON");
    assert!(
        schema["$schema"].as_str().is_some_and(|uri| uri.contains("json-schema.org")),
        "{schema}"
    );
    let sections =
        "node admin metrics logs load_balancer certificates trust_stores target_groups listeners";
    for section in sections.split(' ') {
        assert!(schema["properties"][section].is_object(), "{section}: {schema}");
    }
}

#[test]
fn reload_and_drain_without_a_node_end_with_a_sentence() {
    let directory = Scratch::new("start");
    let file = directory.path().join("portcullis.yaml");
    fs::write(&file, right()).unwrap();
    for command in ["reload", "drain"] {
        let ended = portcullis(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!(ended.code, Some(1), "{}", ended.said());
        assert!(ended.said().contains("portcullis.sock"), "{}", ended.said());
    }
}
