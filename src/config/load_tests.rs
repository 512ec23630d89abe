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

#[path = "load_fault_tests.rs"]
mod faults;

#[path = "log_tests.rs"]
mod logs;

#[path = "ticket_tests.rs"]
mod tickets;
