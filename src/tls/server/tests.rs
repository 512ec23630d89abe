mod resumption;

use super::*;
use crate::tls::fixture::{BOTH, Ca, Key, Pem, Shaken, client, plain_client, shake};
use crate::tls::fixture::{listener, listener_that};
use crate::tls::policy;
use crate::tls::verifier::{Judge, under};
use crate::trust::Refusal;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription as Alert, ClientConfig, Error, NamedGroup, SupportedProtocolVersion,
};
use rustls_pki_types::CertificateDer;
use std::cell::Cell;
use std::rc::Rc;

const NAME: &str = "api.example";
const RES_PQ: &str = policy::DEFAULT;
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Answers always the same, and counts how often it was asked.
struct Fixed {
    answer: Result<(), Refusal>,
    asked: Cell<usize>,
}

impl Fixed {
    fn new(answer: Result<(), Refusal>) -> Rc<Self> {
        Rc::new(Self { answer, asked: Cell::new(0) })
    }
}

impl Judge for Fixed {
    fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Refusal> {
        assert_eq!(chain.len(), 1);
        self.asked.set(self.asked.get() + 1);
        self.answer
    }
}

fn shake_under(judge: &Rc<Fixed>, client: &ClientConfig, server: &Arc<ServerConfig>) -> Shaken {
    under(judge.clone(), || shake(client, NAME, server))
}

fn identified(ca: &Ca, versions: &[&'static SupportedProtocolVersion], key: Key) -> ClientConfig {
    let identity = ca.issue(key, &["client"]);
    client(ca, aws_lc_rs::default_provider(), versions, Some(&identity))
}

fn pki() -> (Ca, Pem) {
    let ca = Ca::new(Key::P256);
    let leaf = ca.issue(Key::P256, &[NAME]);
    (ca, leaf)
}

/// Goal: the order of the policy decides, never the client's. Method: a client with all suites of
/// rustls, reversed, with each policy, version and kind of server key.
#[test]
fn every_policy_negotiates_its_own_first_suite() {
    let ca = Ca::new(Key::P256);
    let keys = [
        (Key::P256, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (Key::Rsa2048, "ECDHE-RSA-AES128-GCM-SHA256"),
    ];
    for (key, first_of_tls12) in keys {
        let leaf = ca.issue(key, &[NAME]);
        for name in policy::names() {
            let policy = Policy::by_name(name).unwrap();
            let server = listener(name, &leaf, Ask::No);
            for version in VERSIONS {
                let mut provider = aws_lc_rs::default_provider();
                provider.cipher_suites.reverse();
                let client = client(&ca, provider, &[version], None);
                let shaken = shake(&client, NAME, &server);
                if !policy.versions.contains(&version) {
                    let alert = Error::AlertReceived(Alert::ProtocolVersion);
                    assert_eq!(shaken.client_end, Err(alert), "{name} {version:?}");
                    continue;
                }
                let shaken = shaken.accepted(name);
                let first =
                    if *version == TLS13 { "TLS_AES_128_GCM_SHA256" } else { first_of_tls12 };
                assert_eq!(shaken.suite(), first, "{name} {key:?} {version:?}");
            }
        }
    }
}

#[test]
fn the_newest_version_of_the_policy_is_negotiated() {
    let (ca, leaf) = pki();
    for (policy, version) in [(RES_PQ, "TLSv1.3"), ("ELBSecurityPolicy-2016-08", "TLSv1.2")] {
        let shaken = shake(&plain_client(&ca), NAME, &listener(policy, &leaf, Ask::No));
        assert_eq!(shaken.accepted(policy).version(), version);
    }
}

/// Goal: hybrid key exchange where the policy has it, and only there.
#[test]
fn hybrid_groups_are_negotiated_under_pq_policies_alone() {
    let (ca, leaf) = pki();
    let mut p256_first = aws_lc_rs::default_provider();
    p256_first.kx_groups = vec![kx_group::SECP256R1MLKEM768, kx_group::SECP256R1];
    for name in policy::names() {
        let server = listener(name, &leaf, Ask::No);
        let shaken = shake(&plain_client(&ca), NAME, &server).accepted(name);
        let hybrid = name.contains("-PQ-");
        assert_eq!(shaken.group(), if hybrid { "X25519MLKEM768" } else { "x25519" }, "{name}");

        let client = client(&ca, p256_first.clone(), BOTH, None);
        let shaken = shake(&client, NAME, &server).accepted(name);
        assert_eq!(
            shaken.group(),
            if hybrid { "SecP256r1MLKEM768" } else { "secp256r1" },
            "{name}"
        );
    }
}

#[test]
fn a_client_without_hybrid_groups_is_served_under_a_pq_policy() {
    let (ca, leaf) = pki();
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups.retain(|group| group.name() == NamedGroup::secp384r1);
    let shaken = shake(&client(&ca, provider, BOTH, None), NAME, &listener(RES_PQ, &leaf, Ask::No));
    assert_eq!(shaken.accepted("secp384r1").group(), "secp384r1");
}

#[test]
fn http_2_is_preferred_and_http_1_1_is_offered_too() {
    let (ca, leaf) = pki();
    let server = listener(RES_PQ, &leaf, Ask::No);
    let mut client = plain_client(&ca);
    client.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let shaken = shake(&client, NAME, &server).accepted("both");
    assert_eq!(shaken.server.alpn_protocol(), Some(&b"h2"[..]));
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    let shaken = shake(&client, NAME, &server).accepted("the older one");
    assert_eq!(shaken.server.alpn_protocol(), Some(&b"http/1.1"[..]));

    client.alpn_protocols = vec![b"h3".to_vec()];
    let refused = shake(&client, NAME, &server);
    assert_eq!(refused.client_end, Err(Error::AlertReceived(Alert::NoApplicationProtocol)));

    client.alpn_protocols = Vec::new();
    let shaken = shake(&client, NAME, &server).accepted("no ALPN");
    assert_eq!(shaken.server.alpn_protocol(), None);
}

/// Goal: who is asked, and who may stay silent. Method: each [`Ask`], with and without a certificate.
#[test]
fn a_certificate_is_asked_for_as_configured() {
    let (ca, leaf) = pki();
    for version in VERSIONS {
        for (ask, has_one, asked, end) in [
            (Ask::No, false, 0, Ok(())),
            (Ask::No, true, 0, Ok(())),
            (Ask::Optional, false, 0, Ok(())),
            (Ask::Optional, true, 1, Ok(())),
            (Ask::Required, true, 1, Ok(())),
            (Ask::Required, false, 0, Err(Error::AlertReceived(Alert::CertificateRequired))),
        ] {
            let judge = Fixed::new(Ok(()));
            let identity = ca.issue(Key::P256, &["client"]);
            let identity = has_one.then_some(&identity);
            let client = client(&ca, aws_lc_rs::default_provider(), &[version], identity);
            let shaken = shake_under(&judge, &client, &listener(RES_PQ, &leaf, ask));
            let case = format!("{ask:?}, certificate: {has_one}, {version:?}");
            assert_eq!(shaken.client_end, end, "{case}");
            assert_eq!(judge.asked.get(), asked, "{case}");
            let presented = shaken.server.peer_certificates().map_or(0, <[_]>::len);
            assert_eq!(presented, asked, "{case}");
        }
    }
}

/// Source: ALB guide, "Mutual authentication with TLS", supported certificates.
#[test]
fn clients_prove_rsa_and_ecdsa_keys() {
    let (ca, leaf) = pki();
    let server = listener(RES_PQ, &leaf, Ask::Required);
    for version in VERSIONS {
        for key in [Key::P256, Key::P384, Key::P521, Key::Rsa2048, Key::Rsa3072] {
            let client = identified(&ca, &[version], key);
            let judge = Fixed::new(Ok(()));
            shake_under(&judge, &client, &server).accepted(&format!("{key:?} {version:?}"));
            assert_eq!(judge.asked.get(), 1);
        }
        let ed25519 = identified(&ca, &[version], Key::Ed25519);
        let judge = Fixed::new(Ok(()));
        assert!(shake_under(&judge, &ed25519, &server).client_end.is_err());
        assert_eq!(judge.asked.get(), 0);
    }
}

/// Goal: the client learns by the alert what is wrong. Source: RFC 8446, section 6.2.
#[test]
fn each_refusal_ends_in_its_alert() {
    let (ca, leaf) = pki();
    let alert = |refusal| match refusal {
        Refusal::CrlHit => Alert::CertificateRevoked,
        Refusal::Expired | Refusal::NotYetValid => Alert::CertificateExpired,
        Refusal::Untrusted | Refusal::CrlProcessingError | Refusal::MaxChainDepthExceeded => {
            Alert::UnknownCA
        }
        Refusal::PurposeInvalid | Refusal::TypeUnsupported | Refusal::Incompatible => {
            Alert::UnsupportedCertificate
        }
        Refusal::Invalid | Refusal::MaxSizeExceeded => Alert::BadCertificate,
        Refusal::Rejected | Refusal::Missing => Alert::AccessDenied,
    };
    for version in VERSIONS {
        let client = identified(&ca, &[version], Key::P256);
        for ask in [Ask::Optional, Ask::Required] {
            let server = listener(RES_PQ, &leaf, ask);
            for refusal in Refusal::ALL {
                let shaken = shake_under(&Fixed::new(Err(refusal)), &client, &server);
                let seen = Err(Error::AlertReceived(alert(refusal)));
                assert_eq!(shaken.client_end, seen, "{refusal:?} {ask:?} {version:?}");
                let refused = Err(refusal.certificate_error().into());
                assert_eq!(shaken.server_end, refused, "{refusal:?} {ask:?} {version:?}");
            }
        }
    }
}

#[test]
fn advertised_names_reach_the_client() {
    let (ca, leaf) = pki();
    let name =
        rustls::DistinguishedName::from(b"\x30\x0d\x31\x0b0\t\x06\x03U\x04\x06\x13\x02NO".to_vec());
    let resolver = Arc::new(Resolver::new(vec![Arc::new(leaf.load())]));
    let policy = Policy::by_name(RES_PQ).unwrap();
    let names = vec![name.clone()];
    let server =
        config(&policy, resolver, Ask::Optional, names, Resumption::Off, Protocols::Http2).unwrap();
    #[derive(Debug)]
    struct Hints(std::sync::mpsc::SyncSender<Vec<Vec<u8>>>);
    impl rustls::client::ResolvesClientCert for Hints {
        fn resolve(
            &self,
            hints: &[&[u8]],
            _: &[rustls::SignatureScheme],
        ) -> Option<Arc<rustls::sign::CertifiedKey>> {
            self.0.send(hints.iter().map(|hint| hint.to_vec()).collect()).unwrap();
            None
        }
        fn has_certs(&self) -> bool {
            true
        }
    }
    let (send, received) = std::sync::mpsc::sync_channel(1);
    let mut client = plain_client(&ca);
    client.client_auth_cert_resolver = Arc::new(Hints(send));
    shake_under(&Fixed::new(Ok(())), &client, &server).accepted("advertised");
    assert_eq!(received.recv().unwrap(), [name.as_ref().to_vec()]);
}

/// RFC 8879: certificates are neither sent nor taken compressed. RFC 8446, section 2.3: no early data.
#[test]
fn what_is_not_offered_is_off() {
    let (_, leaf) = pki();
    let asks = [Ask::No, Ask::Optional, Ask::Required];
    let resumptions = [Resumption::Off, Resumption::Tickets];
    for (ask, resumption) in asks.into_iter().flat_map(|ask| resumptions.map(|how| (ask, how))) {
        let config = listener_that(resumption, RES_PQ, &leaf, ask);
        assert!(config.cert_compressors.is_empty() && config.cert_decompressors.is_empty());
        assert_eq!(config.max_early_data_size, 0);
        assert!(!config.enable_secret_extraction && !config.send_half_rtt_data);
        assert!(config.max_fragment_size.is_none());
        assert!(!config.session_storage.can_cache());
        assert_eq!(config.ticketer.enabled(), resumption == Resumption::Tickets);
    }
}
