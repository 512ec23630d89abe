//! NIST's PKITS, live: every case is a client with its key, at a listener whose trust stores refuse
//! stale lists and unlisted issuers. The suite's certificates are valid until the end of 2030.
use crate::support::client::{handshake, tls_config_for};
use crate::support::node::Setup;
use crate::support::pkits::{self, Case};
use crate::support::{Node, pki};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, UnixTime};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

type Version = &'static rustls::SupportedProtocolVersion;

/// One listener; the server name selects the case's trust store.
fn node(cases: &[Case]) -> Node {
    let now = UnixTime::now();
    let (mut stores, mut policies, mut files) = (String::new(), String::new(), Vec::new());
    for (index, case) in cases.iter().enumerate() {
        let material = case.material(now);
        let mut revocations = String::new();
        files.push((format!("{index}.pem"), material.bundle));
        if !material.revocations.is_empty() {
            files.push((format!("{index}.crl"), material.revocations));
            revocations = format!(", revocations: [{index}.crl]");
        }
        let _ = writeln!(
            stores,
            "  - {{name: case-{index}, ca_certificates_bundle: {index}.pem{revocations}, \
             stale_revocations: refuse, unlisted_issuers: refuse}}"
        );
        let _ = writeln!(
            policies,
            "      - {{server_names: [case-{index}.example.com], \
             mutual_authentication: {{mode: verify, trust_store: case-{index}}}}}"
        );
    }
    let configuration = format!(
        "certificates: [{{name: wild, chain: {}, key: {}}}]\n\
         trust_stores:\n{stores}\
         listeners:\n  - name: pkits\n    bind: 127.0.0.1:0\n    protocol: HTTPS\n    \
         certificates: [wild]\n    server_name_policies:\n{policies}    \
         default_actions: [{{type: fixed-response, fixed_response_config: {{status_code: 200}}}}]\n",
        pki().path("server-wild.crt"),
        pki().path("server-wild.key"),
    );
    let files: Vec<_> =
        files.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
    Node::with_files(Setup::default(), &configuration, &files)
}

/// Whether the case's client gets an answer.
fn is_accepted(address: SocketAddr, index: usize, case: &Case, version: Version) -> bool {
    let name = format!("case-{index}.example.com");
    let mut config = tls_config_for(None, "root.crt", &[version]);
    let key = CertifiedKey::new(case.chain.clone(), key(case));
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(key));
    let mut stream = handshake(address, &name, &Arc::new(config));
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let sent = stream.write_all(request.as_bytes());
    match sent.and_then(|()| stream.read_to_end(&mut answer)) {
        Ok(_) => {
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", case.name);
            true
        }
        Err(error) => {
            assert!(error.to_string().contains("received fatal alert"), "{}: {error}", case.name);
            assert!(answer.is_empty(), "{}", case.name);
            false
        }
    }
}

/// The key of the case's client. TLS has no use for DSA keys: those clients sign with another key, and
/// are refused for their certificates before that is looked at.
fn key(case: &Case) -> Arc<dyn rustls::sign::SigningKey> {
    let path = |name: &str| pkits::path(&format!("keys/{name}.pem"));
    let load = |name: &str| {
        let key = PrivateKeyDer::from_pem_file(path(name)).unwrap_or_else(|error| {
            panic!("{}: {error}; tests/run fetches what the tests need", path(name).display())
        });
        any_supported_type(&key)
    };
    let is_dsa = case.leaf.contains("DSA");
    assert_eq!(load(&case.leaf).is_err(), is_dsa, "{}", case.name);
    load(if is_dsa { "AnyPolicyTest14EE" } else { &case.leaf }).unwrap()
}

#[test]
fn every_pkits_client_gets_its_verdict_at_a_listener() {
    let cases = pkits::cases();
    let node = node(&cases);
    let address = node.address("pkits");
    let mut wrong = Vec::new();
    for version in [&TLS13, &TLS12] {
        for (index, case) in cases.iter().enumerate() {
            if is_accepted(address, index, case, version) != case.is_accepted() {
                let left_out = case.material(UnixTime::now()).left_out;
                wrong.push(format!("{} {version:?}, left out: {left_out:#?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    node.assert_no_panic();
}
