use super::*;
use crate::tls::certificate::Merit;
use crate::tls::fixture::{Ca, Key};
use crate::tls::server::{Protocols, Resumption};
use rustls::SignatureScheme as S;
use std::time::Duration;

const NOW: u64 = 1_000_000;
const ALL: [S; 4] = [
    S::ECDSA_NISTP256_SHA256,
    S::ECDSA_NISTP384_SHA384,
    S::ECDSA_NISTP521_SHA512,
    S::RSA_PSS_SHA256,
];

/// Certificates for tests of the choice: the keys are real, so that clients can or cannot use them;
/// names, times and merits are made up.
struct Rack {
    rsa: Arc<CertifiedKey>,
    p256: Arc<CertifiedKey>,
    p384: Arc<CertifiedKey>,
}

impl Rack {
    fn new() -> Self {
        let ca = Ca::new(Key::P256);
        let key = |kind| ca.issue(kind, &["unused.example"]).load().key;
        Self { rsa: key(Key::Rsa2048), p256: key(Key::P256), p384: key(Key::P384) }
    }

    fn certificate(
        &self,
        name: &str,
        server_names: &[&str],
        key: Key,
        hash_bits: u16,
        not_after: u64,
    ) -> Arc<Certificate> {
        let (key, ecdsa, key_bits) = match key {
            Key::P384 => (&self.p384, true, 384),
            Key::P256 | Key::P521 | Key::Ed25519 => (&self.p256, true, 256),
            Key::Rsa2048 => (&self.rsa, false, 2048),
            Key::Rsa3072 => (&self.rsa, false, 3072),
        };
        Arc::new(Certificate {
            name: name.into(),
            key: Arc::new(CertifiedKey::clone(key)),
            not_after: UnixTime::since_unix_epoch(Duration::from_secs(not_after)),
            chain_not_after: None,
            server_names: server_names.iter().map(|name| (*name).to_owned()).collect(),
            merit: Merit { ecdsa, hash_bits, key_bits },
        })
    }
}

/// The name of the certificate that is chosen, and whether it answers for the name.
fn choice(list: &[Arc<Certificate>], server_name: Option<&str>, schemes: &[S]) -> (String, bool) {
    let resolver = Resolver::new(list.to_vec());
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let (certificate, is_for_name) = resolver.choose(server_name, schemes, now).unwrap();
    (certificate.name.to_string(), is_for_name)
}

fn chosen(list: &[Arc<Certificate>], server_name: Option<&str>, schemes: &[S]) -> String {
    choice(list, server_name, schemes).0
}

#[test]
fn the_name_chooses_and_the_first_is_the_default() {
    let rack = Rack::new();
    let one = |name, names: &[&str]| rack.certificate(name, names, Key::P256, 256, NOW + 1);
    let list = [
        one("default", &["default.example"]),
        one("exact", &["Api.Example", "b.example"]),
        one("wildcard", &["*.wild.example"]),
        one("nameless", &[]),
    ];
    for (server_name, expected, is_for_name) in [
        (None, "default", false),
        (Some("default.example"), "default", true),
        (Some("unknown.example"), "default", false),
        (Some("api.example"), "exact", true),
        (Some("API.EXAMPLE."), "exact", true),
        (Some("b.example"), "exact", true),
        (Some("a.wild.example"), "wildcard", true),
        (Some("wild.example"), "default", false),
        (Some("a.b.wild.example"), "default", false),
    ] {
        let expected = (expected.to_owned(), is_for_name);
        assert_eq!(choice(&list, server_name, &ALL), expected, "{server_name:?}");
    }
}

/// Source: ALB guide, "SSL certificates": the order of the comparisons.
#[test]
fn among_several_the_better_one_is_chosen() {
    let rack = Rack::new();
    let (p256, p384, rsa2, rsa3) = (Key::P256, Key::P384, Key::Rsa2048, Key::Rsa3072);
    let (live, late, dead) = (NOW + 10, NOW + 20, NOW - 1);
    // Worse, better: each pair differs in one point, and the worse one wins all later ones.
    for (point, worse, better) in [
        ("algorithm", (rsa3, 512, late), (p256, 256, live)),
        ("algorithm before expiry", (rsa3, 512, late), (p256, 256, dead)),
        ("expiry", (p384, 512, dead), (p256, 256, live)),
        ("hash", (p384, 256, late), (p256, 384, live)),
        ("key", (rsa2, 256, late), (rsa3, 256, live)),
        ("end", (p256, 256, live), (p256, 256, late)),
    ] {
        let make =
            |name, of: (Key, u16, u64)| rack.certificate(name, &["a.example"], of.0, of.1, of.2);
        for order in [[0, 1], [1, 0]] {
            let pair = [make("worse", worse), make("better", better)];
            let list = order.map(|index: usize| pair[index].clone());
            assert_eq!(chosen(&list, Some("a.example"), &ALL), "better", "{point}");
        }
    }
}

#[test]
fn equals_are_chosen_in_the_order_of_the_list() {
    let rack = Rack::new();
    let one = |name| rack.certificate(name, &["a.example"], Key::P256, 256, NOW + 1);
    assert_eq!(chosen(&[one("first"), one("second")], Some("a.example"), &ALL), "first");
}

#[test]
fn exact_and_wildcard_names_compete_on_merit() {
    let rack = Rack::new();
    let list = [
        rack.certificate("rsa", &["a.example"], Key::Rsa2048, 256, NOW + 1),
        rack.certificate("ecdsa", &["*.example"], Key::P256, 256, NOW + 1),
    ];
    assert_eq!(chosen(&list, Some("a.example"), &ALL), "ecdsa");
    assert_eq!(chosen(&list, Some("a.example"), &[S::RSA_PSS_SHA256]), "rsa");
}

#[test]
fn only_what_the_client_can_verify_competes() {
    let rack = Rack::new();
    let list = [
        rack.certificate("default", &["default.example"], Key::Rsa2048, 256, NOW + 1),
        rack.certificate("p384", &["a.example"], Key::P384, 384, NOW + 1),
        rack.certificate("p256", &["a.example"], Key::P256, 256, NOW + 1),
        rack.certificate("rsa", &["a.example"], Key::Rsa2048, 256, NOW - 1),
    ];
    for (schemes, expected) in [
        (&ALL[..], "p384"),
        (&[S::ECDSA_NISTP256_SHA256, S::RSA_PSS_SHA256], "p256"),
        (&[S::RSA_PSS_SHA256], "rsa"),
        (&[S::RSA_PKCS1_SHA256], "rsa"),
        (&[S::ED25519], "default"),
    ] {
        assert_eq!(chosen(&list, Some("a.example"), schemes), expected, "{schemes:?}");
    }
}

/// The alert that follows is rustls' to give.
#[test]
fn an_only_match_is_chosen_whatever_the_client_can_verify() {
    let rack = Rack::new();
    let list = [
        rack.certificate("default", &["default.example"], Key::Rsa2048, 256, NOW + 1),
        rack.certificate(
            "ecdsa",
            &["a.example", "*.example", "A.EXAMPLE"],
            Key::P256,
            256,
            NOW - 1,
        ),
    ];
    assert_eq!(chosen(&list, Some("a.example"), &[S::RSA_PSS_SHA256]), "ecdsa");
}

mod handshake {
    use super::*;
    use crate::tls::fixture::{client, shake};
    use crate::tls::{Policy, server, verifier::Ask};
    use rustls::crypto::aws_lc_rs;
    use rustls::version::{TLS12, TLS13};

    /// Goal: clients of each kind are served by the certificate that they can use.
    #[test]
    fn clients_get_the_certificate_that_they_can_use() {
        let ca = Ca::new(Key::P256);
        let both =
            [Key::Rsa2048, Key::P256].map(|key| Arc::new(ca.issue(key, &["a.example"]).load()));
        let ders = both.each_ref().map(|one| one.key.cert[0].clone());
        let resolver = Arc::new(Resolver::new(both.to_vec()));
        let policy = Policy::by_name(crate::tls::policy::DEFAULT).unwrap();
        let server = server::config(
            &policy,
            resolver,
            Ask::No,
            Vec::new(),
            Resumption::Off,
            Protocols::Http1,
        )
        .unwrap();

        let mut rsa_only = aws_lc_rs::default_provider();
        // rustls' clients list suites of TLS 1.3 even when they do not speak it, which OpenSSL's do
        // not; a server can then no longer tell which keys the client takes under TLS 1.2.
        let is_rsa = |name: &str| name.starts_with("TLS_ECDHE_RSA");
        rsa_only.cipher_suites.retain(|suite| is_rsa(&format!("{:?}", suite.suite())));
        for (version, provider, expected) in [
            (&TLS13, aws_lc_rs::default_provider(), &ders[1]),
            (&TLS12, aws_lc_rs::default_provider(), &ders[1]),
            // Under TLS 1.2 the suites say which keys a client takes.
            (&TLS12, rsa_only, &ders[0]),
        ] {
            let client = client(&ca, provider, &[version], None);
            let shaken = shake(&client, "a.example", &server).accepted("certificates");
            assert_eq!(&shaken.client.peer_certificates().unwrap()[0], expected, "{version:?}");
        }
    }
}
