//! Whole files, with a PKI of their own, and what a load makes of them.
use super::*;
use crate::config::scratch::Scratch;
use crate::config::snapshot::{Authentication, Presence, RefusalForm};
use crate::http::attributes::ServerName;
use crate::observe::sink::{Form, Rotation, WhenFull};
use crate::route::Action;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

type Ca = CertifiedIssuer<'static, KeyPair>;

/// A directory with the files that [`CONFIGURATION`] names.
struct Site {
    scratch: Scratch,
    ca: Ca,
}

impl Site {
    fn new() -> Self {
        let site = Self { scratch: Scratch::new(), ca: ca("CA") };
        site.certificate("api");
        site.scratch.write("trust/partners.pem", site.ca.pem());
        site.revoke(&[]);
        site.configure(CONFIGURATION);
        site
    }

    fn configure(&self, text: &str) {
        self.scratch.write("portcullis.yaml", text);
    }

    fn certificate(&self, name: &str) {
        self.certificate_until(name, 2099);
    }

    fn certificate_until(&self, name: &str, year: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![format!("{name}.example.com")]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        self.scratch.write(&format!("certs/{name}.key"), key.serialize_pem());
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        self.scratch.write(&format!("certs/{name}.crt"), certificate.pem());
    }

    fn revoke(&self, serials: &[u64]) {
        self.revoke_until(serials, 2099);
    }

    fn revoke_until(&self, serials: &[u64], year: i32) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.ca).unwrap();
        self.scratch.write("trust/partners.crl", list.pem().unwrap());
    }

    fn path(&self) -> PathBuf {
        self.scratch.path("portcullis.yaml")
    }

    fn load(&self, previous: Option<&Loaded>) -> Result<Loaded, Faults> {
        load(&self.path(), previous)
    }

    /// Faults as they are printed, without the directory.
    fn faults(&self, previous: Option<&Loaded>) -> Vec<String> {
        let faults = self.load(previous).expect_err("the file has faults");
        let base =
            format!("{}/", self.scratch.path(".").components().collect::<PathBuf>().display());
        faults.list.iter().map(|fault| fault.to_string().replace(&base, "")).collect()
    }

    fn faults_of(&self, text: &str) -> Vec<String> {
        self.configure(text);
        self.faults(None)
    }
}

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ca::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

const CONFIGURATION: &str = r#"
node: {name: edge-1, shards: 2, io: epoll, steering: cbpf}
metrics: {bind: 127.0.0.1:9901}
logs: {connection: connection.log, format: json}
load_balancer:
  name: edge
  server_header: awselb/2.0
  attributes: {idle_timeout.timeout_seconds: 90, routing.http.preserve_host_header.enabled: true}
certificates:
  - {name: api, chain: certs/api.crt, key: certs/api.key}
trust_stores:
  - name: partners
    ca_certificates_bundle: trust/partners.pem
    revocations: [trust/partners.crl]
  - name: staff
    ca_certificates_bundle: trust/partners.pem
target_groups:
  - name: orders
    protocol: HTTP
    targets: [{id: 10.0.0.5, port: 8080}, {id: orders.internal, port: 8081}]
listeners:
  - name: https
    bind: 127.0.0.1:8443
    protocol: HTTPS
    certificates: [api]
    mutual_authentication: {mode: verify, trust_store: partners, refusal: http}
    server_name_policies:
      - {server_names: [open.example.com, "*.open.example.com"], mutual_authentication: {mode: off}}
      - server_names: [shown.example.com]
        mutual_authentication: {mode: passthrough}
    attributes:
      routing.http.request.x_amzn_mtls_clientcert_leaf.header_name: X-Client-Leaf
    default_actions: [{type: forward, target_group: orders}]
  - name: http
    bind: "[::1]:8080"
    protocol: HTTP
    attributes: {routing.http.response.server.enabled: false}
    handshake_timeout_ms: 500
    backlog: 16
    defer_accept: false
    default_actions:
      - type: fixed-response
        fixed_response_config: {status_code: 503, message_body: later}
"#;

#[test]
fn a_whole_file_becomes_the_live_value() {
    let site = Site::new();
    let loaded = site.load(None).unwrap();
    assert_eq!(
        loaded.node,
        Node {
            name: "edge-1".to_owned(),
            shards: Some(2),
            io: net::Io::Epoll,
            steering: net::Steering::Cbpf,
            connections_max: None,
            memory_budget_mib: Budget::Auto,
            drain_timeout: Duration::from_secs(30),
            state_dir: None,
        }
    );
    assert_eq!(loaded.admin, Endpoint::Unix(site.scratch.path("portcullis.sock")));
    assert_eq!(loaded.metrics, Some("127.0.0.1:9901".parse().unwrap()));
    let live = &loaded.live;
    assert_eq!((live.generation, live.warnings.len()), (0, 0));
    let log = live.logs.connection.as_ref().unwrap();
    assert_eq!((log.form, log.when_full, log.rotation), (Form::Json, WhenFull::Drop, None));
    assert!(live.logs.access.is_none());
    assert!(log.elb.starts_with("app/edge/") && log.elb.len() == "app/edge/".len() + 16);

    let https = &live.listeners["https"];
    assert_eq!(https.idle_timeout, Duration::from_secs(90));
    assert_eq!(https.socket.steering, net::Steering::Cbpf);
    assert_eq!(https.attributes.names.leaf, "X-Client-Leaf");
    assert_eq!(https.attributes.server, ServerName::Alb);
    assert!(https.attributes.preserve_host);
    assert!(live.forbidden.contains("x-client-leaf"));
    let tls = https.tls.as_ref().unwrap();
    let Authentication::Verify(verify) = &tls.own.authentication else { panic!("verify") };
    assert_eq!(verify.refusal, RefusalForm::Http);
    assert_eq!(&*verify.trust_store, "partners");
    assert!(live.trust_stores.contains_key("partners"));
    let authentication = |name: &str| &tls.access(Some(name)).authentication;
    assert!(matches!(authentication("a.open.example.com"), Authentication::Off));
    assert!(matches!(authentication("shown.example.com"), Authentication::Passthrough));
    assert!(matches!(authentication("other.example.com"), Authentication::Verify(_)));
    let Action::Forward(group) = &https.default_action else { panic!("forward") };
    assert!(Arc::ptr_eq(group, &live.target_groups["orders"]));

    let http = &live.listeners["http"];
    assert!(http.tls.is_none());
    assert_eq!(http.attributes.server, ServerName::Hidden);
    assert_eq!(http.handshake_timeout, Duration::from_millis(500));
    assert_eq!((http.socket.backlog, http.socket.defer_accept), (16, false));
    let Action::FixedResponse(response) = &http.default_action else { panic!("response") };
    assert_eq!((response.status, response.body.as_str()), (503, "later"));

    let names: Vec<_> = loaded.inputs.0.keys().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, ["api.crt", "api.key", "portcullis.yaml", "partners.crl", "partners.pem"]);
}

#[test]
fn the_example_of_the_design_loads_whole() {
    let site = Site::new();
    site.configure(crate::config::read::tests::EXAMPLE);
    std::fs::create_dir(site.scratch.path("logs")).unwrap();
    site.load(None).unwrap();
}

#[test]
fn a_reload_takes_over_what_did_not_change() {
    let site = Site::new();
    let before = site.load(None).unwrap();
    site.revoke(&[7]);
    let after = site.load(Some(&before)).unwrap();
    let (old, new) = (&before.live, &after.live);
    assert!(!Arc::ptr_eq(&old.trust_stores["partners"], &new.trust_stores["partners"]));
    assert_eq!(new.trust_stores["partners"].revocations.entries(), 1);
    assert!(Arc::ptr_eq(&old.trust_stores["staff"], &new.trust_stores["staff"]));
    assert!(Arc::ptr_eq(&old.certificates["api"], &new.certificates["api"]));
    assert!(Arc::ptr_eq(&old.target_groups["orders"], &new.target_groups["orders"]));
    let tls = |live: &Live| live.listeners["https"].tls.as_ref().unwrap().own.clone();
    assert!(Arc::ptr_eq(&tls(old).server_config, &tls(new).server_config));

    site.certificate("api");
    let last = site.load(Some(&after)).unwrap();
    assert!(!Arc::ptr_eq(&tls(new).server_config, &tls(&last.live).server_config));
    assert_ne!(before.inputs, last.inputs);
}

/// Also in a reload that takes both over: time goes on where files stay.
#[test]
fn what_has_expired_loads_with_a_warning() {
    let site = Site::new();
    site.certificate_until("api", 2021);
    site.revoke_until(&[], 2021);
    let first = site.load(None).unwrap();
    let again = site.load(Some(&first)).unwrap();
    for loaded in [first, again] {
        let warnings: Vec<_> = loaded.live.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "line 10: certificates[0].chain: the certificate expired at 2021-01-01T00:00:00Z",
                "line 14: trust_stores[0].revocations: trust/partners.crl: the list of CN=CA was \
                 due for renewal at 2021-01-01T00:00:00Z; it is enforced as it stands",
            ]
        );
    }
}

#[test]
fn a_trust_store_with_other_rules_is_another_store() {
    use crate::trust::{Rules, StaleRevocations, UnlistedIssuers};
    let site = Site::new();
    let before = site.load(None).unwrap();
    let name = "name: staff\n";
    let strict = format!("{name}    stale_revocations: refuse\n    unlisted_issuers: refuse\n");
    site.configure(&CONFIGURATION.replace(name, &strict));
    let after = site.load(Some(&before)).unwrap();
    let rules = |loaded: &Loaded| loaded.live.trust_stores["staff"].rules;
    assert_eq!(rules(&before), Rules::default());
    let (stale_revocations, unlisted_issuers) = (StaleRevocations::Refuse, UnlistedIssuers::Refuse);
    assert_eq!(rules(&after), Rules { stale_revocations, unlisted_issuers });
}

#[test]
fn a_group_with_other_targets_is_another_group() {
    let site = Site::new();
    let before = site.load(None).unwrap();
    site.configure(&CONFIGURATION.replace("10.0.0.5", "10.0.0.7"));
    let after = site.load(Some(&before)).unwrap();
    let group = |loaded: &Loaded| Arc::clone(&loaded.live.target_groups["orders"]);
    assert!(!Arc::ptr_eq(&group(&before), &group(&after)));
}

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
fn a_log_stays_open_over_reloads_and_a_check_opens_none() {
    let site = Site::new();
    assert_eq!(check(&site.path()), Ok(Vec::new()));
    assert!(!site.scratch.path("connection.log").exists());
    let before = site.load(None).unwrap();
    let log = |loaded: &Loaded| Arc::clone(loaded.live.logs.connection.as_ref().unwrap());
    log(&before).write(b"one\n".to_vec());
    let after = site.load(Some(&before)).unwrap();
    drop(before);
    log(&after).write(b"two\n".to_vec());
    log(&after).sink.flush();
    let written = std::fs::read_to_string(site.scratch.path("connection.log")).unwrap();
    assert_eq!(written, "one\ntwo\n");

    let faults = site.faults_of(&CONFIGURATION.replace("connection.log", "none/connection.log"));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("line 4: logs.connection: none/connection.log: No such"));
    let checked = check(&site.path()).unwrap_err();
    assert!(checked.to_string().contains("none/connection.log: No such"), "{checked}");
}

const LOGS: &str = "logs: {connection: connection.log, format: json}";

#[test]
fn each_log_has_settings_of_its_own() {
    let site = Site::new();
    let access = "{path: access.log, format: alb, when_full: block, rotate_bytes: 1048576}";
    let rotated = "{path: connection.log, rotate_bytes: 5000000000, rotate_keep: 100}";
    let logs = format!("logs: {{access: {access}, connection: {rotated}, format: json}}");
    site.configure(&CONFIGURATION.replace(LOGS, &logs));
    let logs = site.load(None).unwrap().live.logs;
    let (access, connection) = (logs.access.unwrap(), logs.connection.unwrap());
    assert_eq!((access.form, access.when_full), (Form::Alb, WhenFull::Block));
    assert_eq!(access.rotation, Some(Rotation { bytes_max: 1_048_576, keep: 5 }));
    assert_eq!(access.sink.path(), site.scratch.path("access.log"));
    assert_eq!(access.elb, connection.elb);
    assert_eq!((connection.form, connection.when_full), (Form::Json, WhenFull::Drop));
    assert_eq!(connection.rotation, Some(Rotation { bytes_max: 5_000_000_000, keep: 100 }));
}

#[test]
fn what_logs_cannot_be_is_a_fault() {
    let site = Site::new();
    let one_or_the_other =
        "one of this file and that of logs.connection would be renamed to the other";
    for (logs, expected) in [
        ("access: \"\"", "logs.access: expected a path, found nothing"),
        ("access: 5", "logs.access: expected a path or a mapping, found 5"),
        ("access: [a.log]", "logs.access: expected a mapping, found a list"),
        ("access: {format: alb}", "logs.access: the key path is missing"),
        (
            "access: {path: a.log, rotate: 5}",
            "logs.access.rotate: unknown key; the keys here are path, \
          format, when_full, rotate_bytes, rotate_keep",
        ),
        (
            "access: {path: a.log, when_full: wait}",
            "logs.access.when_full: \"wait\" is unknown here; the words are drop or block",
        ),
        (
            "access: {path: a.log, rotate_bytes: 1048575}",
            "logs.access.rotate_bytes: 1048575 is below 1048576",
        ),
        (
            "access: {path: a.log, rotate_keep: 3}",
            "logs.access.rotate_keep: goes with rotate_bytes",
        ),
        (
            "access: {path: a.log, rotate_bytes: 1048576, rotate_keep: 101}",
            "logs.access.rotate_keep: 101 is not from 1 to 100",
        ),
        (
            "access: {path: \"-\", rotate_bytes: 1048576}",
            "logs.access.rotate_bytes: standard output is not a file that could be renamed",
        ),
        (
            "connection: a.log, access: {path: a.log, rotate_bytes: 1048576}",
            "logs.access: logs.connection has this file, with another rotation",
        ),
        ("connection: a.log.5, access: {path: a.log, rotate_bytes: 1048576}", one_or_the_other),
        ("connection: {path: a.log, rotate_bytes: 1048576}, access: ./a.log.1", one_or_the_other),
        ("access: none/a.log", "none/a.log: No such file or directory (os error 2)"),
    ] {
        let faults = site.faults_of(&CONFIGURATION.replace(LOGS, &format!("logs: {{{logs}}}")));
        assert!(faults.len() == 1 && faults[0].ends_with(expected), "{logs}: {faults:?}");
    }
    let both = "logs: {connection: none/a.log, access: none/b.log}";
    assert_eq!(site.faults_of(&CONFIGURATION.replace(LOGS, both)).len(), 2);
}

/// Two writers would mix each other's lines.
#[test]
fn logs_of_one_file_share_its_writer() {
    let site = Site::new();
    let access = |loaded: &Loaded| Arc::clone(loaded.live.logs.access.as_ref().unwrap());
    let connection = |loaded: &Loaded| Arc::clone(loaded.live.logs.connection.as_ref().unwrap());
    site.configure(&CONFIGURATION.replace(LOGS, "logs: {connection: both.log, access: both.log}"));
    let before = site.load(None).unwrap();
    // What the one hands over, the other waits for.
    access(&before).write(b"one\n".to_vec());
    connection(&before).write(b"two\n".to_vec());
    connection(&before).sink.flush();
    let path = site.scratch.path("both.log");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");

    // A log that changes places takes over what is open there.
    site.configure(&CONFIGURATION.replace(LOGS, "logs: {access: both.log}"));
    let after = site.load(Some(&before)).unwrap();
    assert!(after.live.logs.connection.is_none());
    connection(&before).write(b"three\n".to_vec());
    access(&after).sink.flush();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
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

#[test]
fn identity_filters_say_whom_a_listener_lets_in() {
    let site = Site::new();
    let filters = "client_certificate_identity_filters:
      - {san_uri: [\"spiffe://example.org/orders/*\"], issuer: [CN=CA]}
      - {action: accept, subject_cn: [a, b]}";
    let configuration = CONFIGURATION.replace(
        "{mode: verify, trust_store: partners, refusal: http}",
        &format!("\n      mode: optional\n      trust_store: partners\n      {filters}"),
    );
    site.configure(&configuration);
    let loaded = site.load(None).unwrap();
    let tls = loaded.live.listeners["https"].tls.as_ref().unwrap();
    let Authentication::Verify(verify) = &tls.own.authentication else { panic!("optional") };
    assert_eq!(verify.presence, Presence::Optional);
    assert_eq!(verify.conditions.filters.count(), 2);
    let access = tls.access(Some("b.open.example.com"));
    assert_eq!(access.server_names, ["open.example.com", "*.open.example.com"]);
    assert!(tls.own.server_names.is_empty());

    let faults = site.faults_of(&configuration.replace(
        "- {action: accept, subject_cn: [a, b]}",
        "- {subject_cn: [good, \"*\", a*b], san_dns: [x_y*], sha256: [7a]}
      - {}
      - {san_urn: [x]}
      - {action: refuse, subject_cn: [x]}
      - {subject_ou: x}",
    ));
    let key = "listeners[0].mutual_authentication.client_certificate_identity_filters";
    for expected in [
        "[1].subject_cn[1]: \"*\": a lone * says nothing",
        "[1].subject_cn[2]: \"a*b\": a * may stand only at the end",
        "[1].san_dns[0]: \"x_y*\": expected a DNS name or *.parent",
        "[1].sha256[0]: \"7a\": expected the SHA-256",
        "[2]: a filter needs at least one field",
        "[3].san_urn: unknown key; did you mean san_uri?",
        "[4].action: \"refuse\" is unknown here",
        "[5].subject_ou: expected a list, found \"x\"",
    ] {
        let expected = format!("{key}{expected}");
        assert!(faults.iter().any(|fault| fault.contains(&expected)), "{expected}\n{faults:#?}");
    }
    let off = CONFIGURATION.replace(
        "mutual_authentication: {mode: off}",
        "mutual_authentication: {mode: off, client_certificate_identity_filters: [{issuer: [x]}]}",
    );
    let expected = "client_certificate_identity_filters: needs mode: verify or optional";
    assert!(site.faults_of(&off)[0].contains(expected));
}

#[path = "ticket_tests.rs"]
mod tickets;
