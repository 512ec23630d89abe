//! What the reader says of files that are wrong in form.
use super::*;
use crate::config::written;

fn read_text(text: &str) -> (Option<Configuration>, Faults) {
    let mut faults = Faults::default();
    let tree = tree::read(text.as_bytes(), &mut faults);
    let read = tree.and_then(|tree| read(tree, &mut faults));
    faults.sort();
    (read.map(|(configuration, _)| configuration), faults)
}

fn faults(text: &str) -> Vec<String> {
    read_text(text).1.list.iter().map(ToString::to_string).collect()
}

fn configuration(text: &str) -> Configuration {
    let (configuration, faults) = read_text(text);
    assert!(faults.is_empty(), "{faults}");
    configuration.unwrap()
}

/// The example of the design, without the keys that come later.
pub(crate) const EXAMPLE: &str = r#"
node: {name: edge-1, shards: auto, io: auto, steering: hash, state_dir: state}
admin: {bind: unix:portcullis.sock}
metrics: {bind: 0.0.0.0:9901}
logs: {connection: logs/connection.log}
load_balancer: {name: edge, attributes: {idle_timeout.timeout_seconds: 60}}
certificates:
  - {name: api, chain: certs/api.crt, key: certs/api.key}
trust_stores:
  - name: partners
    source: files
    ca_certificates_bundle: trust/partners.pem
    revocations: [trust/partners.crl]
target_groups:
  - name: orders
    protocol: HTTP
    targets: [{id: 10.0.0.5, port: 8080}, {id: 10.0.0.6, port: 8080}]
    attributes: {load_balancing.algorithm.type: round_robin}
listeners:
  - name: https
    bind: 0.0.0.0:443
    protocol: HTTPS
    ssl_policy: ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09
    certificates: [api]
    strict_ssl_policy: false
    mutual_authentication: {mode: verify, trust_store: partners, refusal: alert}
    server_name_policies:
      - {server_names: [open.example.com], mutual_authentication: {mode: "off"}}
    attributes: {routing.http.request.x_amzn_mtls_clientcert_leaf.header_name: X-Client-Leaf}
    rules: []
    default_actions: [{type: forward, target_group: orders}]
"#;

#[test]
fn the_example_of_the_design_is_read() {
    let read = configuration(EXAMPLE);
    assert_eq!(read.node.name, "edge-1");
    let (_, listener) = &read.listeners.0[0];
    assert_eq!(listener.mutual_authentication.as_ref().unwrap().mode, written::Mode::Verify);
    assert_eq!(read.target_groups.0[0].1.targets.0[1].1.id, "10.0.0.6");
    assert_eq!(read.load_balancer.attributes["idle_timeout.timeout_seconds"].0, "60");
}

#[test]
fn the_example_reads_the_same_as_json() {
    let mut noted = Faults::default();
    let tree = tree::read(EXAMPLE.as_bytes(), &mut noted).unwrap();
    let json = serde_json::to_string_pretty(&tree.value).unwrap();
    assert_eq!(format!("{:?}", configuration(&json)), format!("{:?}", configuration(EXAMPLE)));
}

#[test]
fn off_and_on_need_no_quotes() {
    let text = "listeners: [{name: a, bind: x, protocol: HTTPS, default_actions: [], \
                mutual_authentication: {mode: off, advertise_trust_store_ca_names: on}}]";
    let read = configuration(text);
    let authentication = read.listeners.0[0].1.mutual_authentication.as_ref().unwrap();
    assert_eq!(authentication.mode, written::Mode::Off);
    assert_eq!(authentication.advertise_trust_store_ca_names, Some(written::OnOff::On));
}

#[test]
fn an_unknown_key_is_answered_with_the_key_that_was_probably_meant() {
    assert_eq!(faults("nod: {}"), ["line 1: nod: unknown key; did you mean node?"]);
    assert_eq!(
        faults("node:\n  name: a\n  shard: 2\n"),
        ["line 3: node.shard: unknown key; did you mean shards?"]
    );
    assert_eq!(
        faults("metrics: {bind: x, colour: red}"),
        ["line 1: metrics.colour: unknown key; the keys here are bind"]
    );
}

#[test]
fn unknown_keys_wrong_types_and_missing_keys_come_in_one_answer_in_the_order_of_the_file() {
    let text = "\
node:
  shards: many
  nme: edge
metrics: {}
certificates:
  - {name: a, chain: 5, key: k}
  - {name: b, chian: c, key: k}
target_groups:
  - name: orders
    protocol: HTTP
    targets:
      - {id: 10.0.0.5, port: 80800}
      - {id: 10.0.0.6, port: 8080}
listeners:
  - name: https
    bind: 0.0.0.0:443
    protocol: HTPS
    default_actions: []
  - name: http
    bind: 0.0.0.0:80
    protocol: HTTP
    defer_accept: on
    certificates: [{}]
    default_actions: []
";
    let (read, noted) = read_text(text);
    let noted: Vec<_> = noted.list.iter().map(ToString::to_string).collect();
    assert_eq!(
        noted,
        [
            "line 2: node.shards: expected auto or a whole number from 1 to 4294967295, found \"many\"",
            "line 3: node.nme: unknown key; did you mean name?",
            "line 4: metrics: the key bind is missing",
            "line 6: certificates[0].chain: expected a string, found 5; put it in quotes",
            "line 7: certificates[1]: the key chain is missing",
            "line 7: certificates[1].chian: unknown key; did you mean chain?",
            "line 12: target_groups[0].targets[0].port: expected a whole number from 0 to 65535, \
             found 80800",
            "line 17: listeners[0].protocol: \"HTPS\" is unknown here; did you mean HTTPS?",
            "line 22: listeners[1].defer_accept: expected true or false, found \"on\"",
            "line 23: listeners[1].certificates[0]: expected a string, found a mapping",
        ]
    );
    let read = read.unwrap();
    let (position, listener) = &read.listeners.0[0];
    assert_eq!((*position, listener.name.as_str()), (1, "http"), "the rest was read");
    assert_eq!(read.target_groups.0[0].1.targets.0[0].0, 1, "positions are as written");
}

#[test]
fn names_of_elements_that_were_cut_out_stay_declared() {
    let text = "certificates: [{name: a, chain: [], key: k}, {name: b, chain: c, key: k}]\n\
                trust_stores: [{nam: t}]\n";
    let mut noted = Faults::default();
    let tree = tree::read(text.as_bytes(), &mut noted).unwrap();
    let (read, declared) = read(tree, &mut noted).unwrap();
    assert_eq!(read.certificates.0.len(), 1);
    assert!(declared.certificates.known.contains("a"));
    assert!(!declared.certificates.may_miss_some);
    assert!(declared.trust_stores.may_miss_some);
}

#[test]
fn a_section_of_the_wrong_kind_is_a_fault_of_its_own_alone() {
    assert_eq!(
        faults("listeners: {name: a}\nnode: []\nload_balancer: {attributes: {a: []}}\n"),
        [
            "line 1: listeners: expected a list, found a mapping",
            "line 2: node: expected a mapping, found a list",
            "line 3: load_balancer.attributes.a: expected a string, a number, true or false, \
             found a list",
        ]
    );
}

/// Goal: no key of a later feature is accepted and ignored. Method: each one, written where it will be.
#[test]
fn every_key_and_word_of_a_later_feature_is_a_fault_that_says_so() {
    for pattern in later::KEYS {
        let name = pattern.rsplit('.').next().unwrap().trim_end_matches("[]");
        let expected = format!("this build does not have {name} yet");
        assert_later(pattern, Value::from("x"), &expected);
    }
    for (pattern, words) in later::WORDS {
        for word in *words {
            let expected = format!("this build does not have {word} yet");
            assert_later(pattern, Value::from(*word), &expected);
        }
    }
}

/// Writes `value` at `pattern` and nothing else, apart from the mappings and lists around it.
fn assert_later(pattern: &str, value: Value, expected: &str) {
    let mut file = value;
    for step in pattern.rsplit('.') {
        let name = step.trim_end_matches("[]");
        if step.ends_with("[]") {
            file = Value::Array(vec![file]);
        }
        file = serde_json::json!({ name: file });
    }
    let noted = faults(&file.to_string());
    assert!(noted.iter().any(|fault| fault.ends_with(expected)), "{pattern}: {noted:?}");
}

/// Goal: the schema and the reader know the same keys. Method: every mapping of the schema is offered
/// every key of the schema and one that nobody knows; only that one is unknown.
#[test]
fn the_schema_has_exactly_the_keys_that_the_reader_takes() {
    let schema = schema::schema();
    let places = [
        "",
        "node",
        "admin",
        "metrics",
        "logs",
        "logs.access",
        "logs.connection",
        "load_balancer",
        "certificates[]",
        "trust_stores[]",
        "target_groups[]",
        "target_groups[].targets[]",
        "listeners[]",
        "listeners[].mutual_authentication",
        "listeners[].server_name_policies[]",
        "listeners[].server_name_policies[].mutual_authentication",
        "listeners[].default_actions[]",
        "listeners[].default_actions[].fixed_response_config",
    ];
    for pattern in places {
        let steps: Vec<&str> = pattern.split('.').filter(|step| !step.is_empty()).collect();
        let mut place = Place::default();
        for step in &steps {
            place.0.push(Segment::Key(step.trim_end_matches("[]").to_owned()));
            if step.ends_with("[]") {
                place.0.push(Segment::Index(0));
            }
        }
        let keys = schema::keys_at(&schema, &place.0);
        assert!(!keys.is_empty(), "{pattern} is not in the schema");
        let entry = |key: &str| (key.to_owned(), Value::Bool(true));
        let known = keys.iter().map(|key| entry(key)).chain([entry("nobody_knows_this")]);
        let mut file = Value::Object(known.collect());
        for step in steps.iter().rev() {
            if step.ends_with("[]") {
                file = Value::Array(vec![file]);
            }
            file = serde_json::json!({ step.trim_end_matches("[]"): file });
        }
        let noted = faults(&file.to_string());
        let unknown: Vec<_> = noted.iter().filter(|fault| fault.contains("unknown key")).collect();
        assert_eq!(unknown.len(), 1, "{pattern}: {noted:?}");
        assert!(unknown[0].contains("nobody_knows_this"), "{pattern}: {noted:?}");
    }
}

#[test]
fn the_schema_describes_every_key_and_takes_no_null() {
    fn walk(value: &Value, seen: &mut usize) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object) {
            assert_eq!(value.get("additionalProperties"), Some(&Value::Bool(false)), "{value}");
            for (key, property) in properties {
                *seen += 1;
                assert!(property.get("description").is_some(), "{key} has no description");
            }
        }
        match value {
            Value::Array(values) => values.iter().for_each(|value| walk(value, seen)),
            Value::Object(entries) => entries.values().for_each(|value| walk(value, seen)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let schema = schema::schema();
    let mut seen = 0;
    walk(&schema, &mut seen);
    assert!(seen > 40, "{seen}");
    assert!(!schema.to_string().contains("\"null\""), "{schema:#}");
}

#[test]
fn a_file_of_nonsense_ends_in_a_bounded_answer() {
    let elements = vec!["{name: [], x: 1}"; 3 * limits::FAULTS_MAX].join(", ");
    assert_eq!(faults(&format!("listeners: [{elements}]")).len(), limits::FAULTS_MAX + 1);
}
