//! What targets are told about the client's certificate, byte for byte, and that no client can forge it.
use crate::support::client::{tls_config, tls_config_for};
use crate::support::node::piece;
use crate::support::pki::{Issued, Leaf};
use crate::support::{Client, Node, Target, pki, target, tools};
use rcgen::DnType;
use rustls::version::{TLS12, TLS13};
use std::sync::Arc;

/// The certificate part of a header: PEM, with `%20` and `%0A`, and `+ / =` as they are.
fn encoded(pem: &str) -> String {
    pem.replace("\r\n", "\n").replace(' ', "%20").replace('\n', "%0A")
}

fn leaf_of(name: &str) -> String {
    let chain = pki().read(&format!("{name}.crt")).replace("\r\n", "\n");
    let end = chain.find("-----END CERTIFICATE-----\n").expect("the file is PEM");
    chain[..end + "-----END CERTIFICATE-----\n".len()].to_owned()
}

fn configuration(target: &Target) -> String {
    let renamed = [
        ("serial_number", "X-Serial"),
        ("issuer", "X-Issuer"),
        ("subject", "X-Subject"),
        ("validity", "X-Validity"),
        ("leaf", "X-Leaf"),
    ];
    let renamed = renamed.map(|(field, name)| {
        format!("routing.http.request.x_amzn_mtls_clientcert_{field}.header_name: {name}")
    });
    [
        piece::certificates(),
        piece::partners(),
        piece::targets(&[target.entry()]),
        "load_balancer:\n  name: edge\n  attributes:\n    \
         routing.http.x_amzn_tls_version_and_cipher_suite.enabled: true\n"
            .to_owned(),
        "listeners:\n".to_owned(),
        piece::https("verify", &piece::verify("")),
        piece::https(
            "renamed",
            &format!("{}\nattributes: {{{}}}", piece::verify(""), renamed.join(", ")),
        ),
        piece::https("passthrough", "mutual_authentication: {mode: passthrough}"),
        piece::https(
            "chain-renamed",
            "mutual_authentication: {mode: passthrough}\n\
             attributes: {routing.http.request.x_amzn_mtls_clientcert.header_name: X-Chain}",
        ),
        piece::https("off", ""),
        piece::http("plain", ""),
    ]
    .concat()
}

#[test]
fn a_target_gets_the_five_headers_of_verify_byte_for_byte() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target));
    let issuer = "CN=Portcullis Tests Issuing,O=Example,ST=Oslo,C=NO";
    let clients = [
        ("good", "03A5B1", "CN=device-17,O=Example,ST=Oslo,C=NO"),
        ("good-rsa", "FEF257372D5C14D4", "CN=device-18,O=Example,ST=Oslo,C=NO"),
    ];
    let prefix = "X-Amzn-Mtls-Clientcert-";
    for (listener, prefix) in [("verify", prefix), ("renamed", "X-")] {
        for (client, serial, subject) in clients {
            let mut connection =
                Client::tls(node.address(listener), "localhost", &tls_config(Some(client)));
            connection.get("/");
            let received = target.received();
            let serial_name = if prefix == "X-" { "Serial" } else { "Serial-Number" };
            let expected = [
                format!("{prefix}{serial_name}: {serial}"),
                format!("{prefix}Issuer: {issuer}"),
                format!("{prefix}Subject: {subject}"),
                format!(
                    "{prefix}Validity: NotBefore=2024-01-02T00:00:00Z;NotAfter=2085-01-02T00:00:00Z"
                ),
                format!("{prefix}Leaf: {}", encoded(&leaf_of(client))),
            ];
            for line in &expected {
                let count = received.headers().iter().filter(|header| header == &line).count();
                assert_eq!(count, 1, "{line}\nin\n{}", received.head);
            }
            assert!(received.values("X-Amzn-Mtls-Clientcert").is_empty(), "{}", received.head);
            if prefix == "X-" {
                assert!(!received.head.to_lowercase().contains("x-amzn-mtls"), "{}", received.head);
            }
        }
    }
}

#[test]
fn a_target_gets_the_whole_chain_of_passthrough_byte_for_byte() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target));
    for (listener, name) in
        [("passthrough", "X-Amzn-Mtls-Clientcert"), ("chain-renamed", "X-Chain")]
    {
        let mut client =
            Client::tls(node.address(listener), "localhost", &tls_config(Some("good")));
        client.get("/");
        let received = target.received();
        let chain = encoded(&pki().read("good.crt"));
        let line = format!("{name}: {chain}");
        assert!(received.headers().contains(&line.as_str()), "{line}\nin\n{}", received.head);
    }
}

#[test]
fn a_target_is_told_protocol_and_cipher_and_where_the_client_came_from() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target));
    for (version, protocol) in [(&TLS12, "TLSv1.2"), (&TLS13, "TLSv1.3")] {
        let config = tls_config_for(Some("good"), "root.crt", &[version]);
        let address = node.address("verify");
        let mut client = Client::tls(address, "localhost", &Arc::new(config));
        client.ask(
            "GET / HTTP/1.1\r\nHost: LocalHost\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n\
             X-Forwarded-Proto: gopher\r\nX-Forwarded-Port: 70\r\n\r\n",
        );
        let received = target.received();
        assert_eq!(received.value("X-Amzn-Tls-Version"), protocol);
        let cipher = received.value("X-Amzn-Tls-Cipher-Suite");
        assert!(
            cipher.contains("AES128-GCM-SHA256") || cipher == "TLS_AES_128_GCM_SHA256",
            "{cipher}"
        );
        assert_eq!(received.value("X-Forwarded-For"), "192.0.2.1, 192.0.2.2, 127.0.0.1");
        assert_eq!(received.value("X-Forwarded-Proto"), "https");
        assert_eq!(received.value("X-Forwarded-Port"), address.port().to_string());
        // Lower case; a listener that is not on 80 or 443 adds its port (`alb-contract`, 6.1).
        assert_eq!(received.value("Host"), format!("localhost:{}", address.port()));
    }
    let plain = node.address("plain");
    Client::plain(plain).get("/");
    let received = target.received();
    assert_eq!(received.value("X-Forwarded-For"), "127.0.0.1");
    assert_eq!(received.value("X-Forwarded-Proto"), "http");
    assert!(received.values("X-Amzn-Tls-Version").is_empty());
}

#[test]
fn no_copy_that_a_client_sends_reaches_a_target_on_any_listener() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target));
    let names = [
        "X-Amzn-Mtls-Clientcert",
        "X-Amzn-Mtls-Clientcert-Serial-Number",
        "X-Amzn-Mtls-Clientcert-Issuer",
        "X-Amzn-Mtls-Clientcert-Subject",
        "X-Amzn-Mtls-Clientcert-Validity",
        "X-Amzn-Mtls-Clientcert-Leaf",
        "X-Amzn-Tls-Version",
        "X-Amzn-Tls-Cipher-Suite",
        // The names of other listeners of this node.
        "X-Serial",
        "X-Issuer",
        "X-Subject",
        "X-Validity",
        "X-Leaf",
        "X-Chain",
    ];
    let mut forged = String::new();
    for name in names {
        for form in [
            name.to_owned(),
            name.to_lowercase(),
            name.to_uppercase(),
            name.replace('-', "_"),
            name.replacen('-', "_", 1).to_lowercase(),
        ] {
            forged.push_str(&format!("{form}: forged\r\n"));
        }
    }
    // Nominated by Connection, a header is the next hop's to remove: not ours to lose.
    forged.push_str(
        "Connection: x-amzn-mtls-clientcert-subject, X-Amzn-Mtls-Clientcert, X-Subject\r\n",
    );
    let chunked = "Transfer-Encoding: chunked\r\nTrailer: X-Amzn-Mtls-Clientcert-Subject\r\n";
    let trailers = "2\r\nhi\r\n0\r\nX-Amzn-Mtls-Clientcert-Subject: forged\r\n\r\n";
    let requests = [
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{forged}\r\n"),
        format!("POST / HTTP/1.1\r\nHost: localhost\r\n{forged}{chunked}\r\n{trailers}"),
    ];
    let subject = "CN=device-17,O=Example,ST=Oslo,C=NO";
    let listeners = [
        ("verify", Some("X-Amzn-Mtls-Clientcert-Subject")),
        ("renamed", Some("X-Subject")),
        ("passthrough", None),
        ("chain-renamed", None),
        ("off", None),
        ("plain", None),
    ];
    for (listener, told) in listeners {
        let address = node.address(listener);
        let mut client = match listener {
            "plain" => Client::plain(address),
            _ => Client::tls(address, "localhost", &tls_config(Some("good"))),
        };
        // `Connection` may end the connection; each request gets its own.
        for request in &requests {
            assert_eq!(client.ask(request).status, 200, "{listener}");
            let received = target.received();
            let whole = received.head.clone() + &String::from_utf8_lossy(&received.body);
            assert!(!whole.contains("forged"), "{listener}:\n{whole}");
            if let Some(name) = told {
                assert_eq!(received.value(name), subject, "{listener}");
            }
        }
    }
}

/// The oracle is openssl, whose form of RFC 2253 ALB's examples follow.
#[test]
fn a_hostile_subject_is_escaped_in_the_header_and_in_the_log() {
    let target = Target::named("hello");
    let node = Node::start(&configuration(&target));
    let subjects = [
        "a,b+c\"d\\e<f>g;h=i",
        "#leading",
        " blanks at both ends ",
        "Blåbærsyltetøy",
        "line\r\nX-Amzn-Mtls-Clientcert-Subject: CN=admin",
        "nul\0behind",
        "\u{1b}[31mred\u{7f}",
    ];
    for (index, cn) in subjects.into_iter().enumerate() {
        let mut leaf = Leaf::client("x");
        leaf.params.distinguished_name.push(DnType::CommonName, cn);
        let Issued { certificate, key } = pki().issuing.issue(leaf);
        let (crt, key_file) = (node.path("hostile.crt"), node.path("hostile.key"));
        std::fs::write(&crt, certificate.clone() + &pki().issuing.pem()).unwrap();
        std::fs::write(&key_file, key).unwrap();
        let port = node.address("verify").port();
        let root = pki().path("root.crt");
        let url = format!("https://localhost:{port}/");
        tools::curl(&[
            "-4",
            "--cacert",
            &root,
            "--cert",
            crt.to_str().unwrap(),
            "--key",
            key_file.to_str().unwrap(),
            &url,
        ])
        .success();
        let received = target.received();
        let oracle = tools::run(
            "openssl",
            &["x509", "-noout", "-subject", "-nameopt", "RFC2253"],
            certificate.as_bytes(),
        );
        let oracle = oracle.stdout.trim_end_matches('\n').strip_prefix("subject=").unwrap();
        let line = format!("X-Amzn-Mtls-Clientcert-Subject: {oracle}");
        assert!(received.headers().contains(&line.as_str()), "{line}\nin\n{}", received.head);
        let line = node.log_line(index);
        assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{line}");
        assert_eq!(line.matches('"').count(), 2, "{line}");
    }
    assert_eq!(node.log().len(), subjects.len(), "one line for each connection");
}

#[test]
fn a_chain_too_large_for_headers_is_refused() {
    let target = Target::answering(target::ok("hello"));
    let node = Node::start(&configuration(&target));
    // 40 KB of subject alternative names become more than 48 KiB of base64.
    let names: Vec<String> =
        (0..1_200).map(|n| format!("{n:04}.{}.example.com", "x".repeat(20))).collect();
    let mut leaf = Leaf::client("large");
    let params = rcgen::CertificateParams::new(names).unwrap();
    leaf.params.subject_alt_names = params.subject_alt_names;
    let Issued { certificate, key } = pki().issuing.issue(leaf);
    std::fs::write(node.path("large.crt"), certificate + &pki().issuing.pem()).unwrap();
    std::fs::write(node.path("large.key"), key).unwrap();
    for (index, listener) in ["verify", "passthrough"].into_iter().enumerate() {
        let url = format!("https://localhost:{}/", node.address(listener).port());
        let (crt, key) = (node.path("large.crt"), node.path("large.key"));
        let ended = tools::curl(&[
            "-4",
            "--cacert",
            &pki().path("root.crt"),
            "--cert",
            crt.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
            &url,
        ]);
        assert_ne!(ended.code, Some(0), "{listener}: {}", ended.said());
        let line = node.log_line(index);
        assert!(line.contains("Failed:ClientCertMaxSizeExceeded"), "{line}");
    }
    assert!(target.so_far().is_empty());
}
