//! What the name in the ClientHello decides: who must show a certificate, and which certificate the
//! node shows.
use crate::support::client::{certificates, handshake, tls_config_for};
use crate::support::node::piece;
use crate::support::tools::{self, Identity, Tls, s_client};
use crate::support::{Node, Target, pki, target};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use std::io::Write;
use std::sync::Arc;

/// A client that does not look at the server's name, so that any name may be sent.
fn any_name(version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut config = tls_config_for(None, "root.crt", &[version]);
    config.dangerous().set_certificate_verifier(Arc::new(AnyServer));
    config
}

#[test]
fn the_name_alone_decides_who_must_show_a_certificate() {
    let target = Target::answering(target::ok("hello"));
    let node = Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https(
                "mixed",
                &format!(
                    "{}\nserver_name_policies:\n\
                     - {{server_names: [Open.Example.COM], mutual_authentication: {{mode: \"off\"}}}}\n\
                     - {{server_names: [\"*.open.example.com\"], mutual_authentication: {{mode: \"off\"}}}}\n\
                     - {{server_names: [closed.open.example.com], {}}}",
                    piece::verify(""),
                    piece::verify("")
                ),
            ),
            piece::https(
                "inverse",
                &format!(
                    "mutual_authentication: {{mode: \"off\"}}\nserver_name_policies:\n\
                     - {{server_names: [\"*.closed.example.com\"], {}}}",
                    piece::verify("")
                ),
            ),
        ]
        .concat(),
    );
    // A name as sent (none: no SNI), and whether a client without a certificate gets in.
    let cases = [
        ("mixed", Some("open.example.com"), true),
        ("mixed", Some("OPEN.example.com"), true),
        ("mixed", Some("open.example.com."), true),
        ("mixed", Some("a.open.example.com"), true),
        ("mixed", Some("closed.open.example.com"), false),
        ("mixed", Some("Closed.Open.Example.Com"), false),
        ("mixed", Some("closed.open.example.com."), false),
        // A wildcard covers one label.
        ("mixed", Some("a.b.open.example.com"), false),
        ("mixed", Some("example.com"), false),
        ("mixed", Some("xopen.example.com"), false),
        ("mixed", None, false),
        ("inverse", Some("a.closed.example.com"), false),
        ("inverse", Some("A.CLOSED.example.com."), false),
        ("inverse", Some("closed.example.com"), true),
        ("inverse", Some("a.b.closed.example.com"), true),
        ("inverse", None, true),
    ];
    for tls in Tls::BOTH {
        for (listener, name, open) in cases {
            // openssl sends the name as it is, and so does the Host header.
            let names = name.map_or(vec!["-noservername"], |name| vec!["-servername", name]);
            let host = name.unwrap_or("192.0.2.1");
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let got_in = |identity| {
                let ended = s_client(node.address(listener), identity, tls, &names, &request);
                ended.stdout.contains("HTTP/1.1 200")
            };
            assert_eq!(got_in(Identity::None), open, "{listener} {name:?} {tls:?}");
            assert!(got_in(Identity::Pem("good")), "{listener} {name:?} {tls:?}, good client");
        }
    }
}

/// RFC 9110, section 7.4: a request for a name that the connection is not good for is misdirected.
#[test]
fn a_host_whose_policy_is_not_that_of_the_handshake_gets_421_and_no_target() {
    let target = Target::answering(target::ok("hello"));
    let open = "server_name_policies:\n\
                - {server_names: [open.example.com, open2.example.com], \
                mutual_authentication: {mode: \"off\"}}";
    let node = Node::start(
        &[
            piece::certificates(),
            piece::partners(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("mixed", &format!("{}\n{open}", piece::verify(""))),
        ]
        .concat(),
    );
    let ask = |identity, name: &str, host: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let names = ["-servername", name];
        s_client(node.address("mixed"), identity, Tls::V13, &names, &request).stdout
    };
    for host in ["api.example.com", "API.example.com:443", "192.0.2.1", "[::1]:8443"] {
        let answer = ask(Identity::None, "open.example.com", host);
        assert!(answer.contains("HTTP/1.1 421 Misdirected Request"), "{host}: {answer}");
    }
    assert!(ask(Identity::Pem("good"), "api.example.com", "open.example.com").contains("421"));
    assert!(target.so_far().is_empty());
    for host in ["open.example.com", "OPEN.example.com:443", "open2.example.com"] {
        let answer = ask(Identity::None, "open.example.com", host);
        assert!(answer.contains("HTTP/1.1 200"), "{host}: {answer}");
    }
    assert!(ask(Identity::Pem("good"), "api.example.com", "other.example.com").contains("200"));
}

#[test]
fn the_certificate_is_chosen_by_name_and_the_first_is_the_default() {
    let target = Target::answering(target::ok("hello"));
    let files =
        ["server-ecdsa", "server-rsa", "server-p384", "server-one", "server-wild", "server-cn"];
    let entry = |name: &&str| {
        let (chain, key) = (pki().path(&format!("{name}.crt")), pki().path(&format!("{name}.key")));
        format!("  - {{name: {name}, chain: {chain}, key: {key}}}\n")
    };
    let entries: String = files.iter().map(entry).collect();
    let node = Node::start(
        &[
            format!("certificates:\n{entries}"),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("many", &format!("certificates: [{}]", files.join(", "))),
            piece::https("rsa-first", "certificates: [server-rsa, server-ecdsa]"),
        ]
        .concat(),
    );
    let cases = [
        ("many", Some("one.example.com"), "server-one"),
        ("many", Some("ONE.example.com"), "server-one"),
        ("many", Some("two.example.com"), "server-wild"),
        // A certificate without SAN answers for its CN.
        ("many", Some("cn.example.net"), "server-cn"),
        // Nothing fits, or no name: the first.
        ("many", Some("a.b.example.com"), "server-ecdsa"),
        ("many", Some("unknown.example.org"), "server-ecdsa"),
        ("many", None, "server-ecdsa"),
        // Several fit: ECDSA before RSA, then the longer hash and key.
        ("many", Some("localhost"), "server-p384"),
        ("rsa-first", Some("localhost"), "server-ecdsa"),
        ("rsa-first", Some("unknown.example.org"), "server-rsa"),
        ("rsa-first", None, "server-rsa"),
    ];
    for version in [&TLS12, &TLS13] {
        for (listener, name, file) in cases {
            let mut config = any_name(version);
            config.enable_sni = name.is_some();
            let mut stream =
                handshake(node.address(listener), name.unwrap_or("localhost"), &Arc::new(config));
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("the handshake succeeds");
            let shown = stream.conn.peer_certificates().expect("the server shows one").to_vec();
            let expected = certificates(&pki().read(&format!("{file}.crt")));
            assert!(shown[0] == expected[0], "{listener} {name:?} {version:?} gets {file}");
        }
    }
}

#[test]
fn a_client_that_cannot_use_ecdsa_gets_the_rsa_certificate() {
    let target = Target::answering(target::ok("hello"));
    let node = Node::start(
        &[
            piece::certificates(),
            piece::targets(&[target.entry()]),
            "listeners:\n".to_owned(),
            piece::https("both", "certificates: [ecdsa, rsa]"),
        ]
        .concat(),
    );
    for (ciphers, kind) in [("ECDHE+aRSA", "rsaEncryption"), ("ECDHE+aECDSA", "id-ecPublicKey")] {
        let ended = tools::run(
            "openssl",
            &[
                "s_client",
                "-connect",
                &node.address("both").to_string(),
                "-servername",
                "localhost",
                "-tls1_2",
                "-cipher",
                ciphers,
            ],
            b"Q",
        );
        let pem = ended.stdout.find("-----BEGIN").expect("the server shows a certificate");
        let arguments = ["x509", "-noout", "-text"];
        let text = tools::run("openssl", &arguments, &ended.stdout.as_bytes()[pem..]);
        assert!(text.stdout.contains(kind), "{ciphers}: {}", text.stdout);
    }
}

/// Accepts every server: these tests look at what the server shows, not at whether it is trusted.
#[derive(Debug)]
struct AnyServer;

impl rustls::client::danger::ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &[rustls_pki_types::CertificateDer<'_>],
        _: &rustls_pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
