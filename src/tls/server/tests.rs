use super::*;
use crate::tls::fixture::{BOTH, Ca, Key, Pem, Shaken, client, plain_client, shake};
use crate::tls::fixture::{listener, listener_that};
use crate::tls::policy;
use crate::tls::tickets::{Binding, Keys, Ticket};
use crate::tls::verifier::{Judge, under};
use crate::trust::{Fingerprint, Refusal};
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Tls12Resumption};
use rustls::client::{Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription as Alert, ClientConfig, Error, HandshakeKind, NamedGroup,
    SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

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

/// A client that offers what it remembers to every server, whatever its name.
#[derive(Debug)]
struct Shameless(ClientSessionMemoryCache);

impl Shameless {
    fn key() -> ServerName<'static> {
        ServerName::try_from("anyone").unwrap()
    }
}

impl ClientSessionStore for Shameless {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }
    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(Self::key(), value);
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&Self::key())
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&Self::key());
    }
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(Self::key(), value);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&Self::key())
    }
}

/// Clients that try to resume: TLS 1.3, TLS 1.2 by ticket, TLS 1.2 by session id.
fn resuming(ca: &Ca, identity: Option<&Pem>) -> Vec<(&'static str, ClientConfig)> {
    let make = |version, by| {
        let mut config = client(ca, aws_lc_rs::default_provider(), &[version], identity);
        let store = Arc::new(Shameless(ClientSessionMemoryCache::new(8)));
        config.resumption = rustls::client::Resumption::store(store).tls12_resumption(by);
        config
    };
    vec![
        ("TLS 1.3", make(&TLS13, Tls12Resumption::Disabled)),
        ("TLS 1.2 ticket", make(&TLS12, Tls12Resumption::SessionIdOrTickets)),
        ("TLS 1.2 id", make(&TLS12, Tls12Resumption::SessionIdOnly)),
    ]
}

fn kind(shaken: &Shaken) -> HandshakeKind {
    shaken.server.handshake_kind().unwrap()
}

/// A judge that accepts everybody and gives tickets under keys of its own.
struct Sealing {
    keys: Keys,
    asked: Cell<usize>,
}

impl Sealing {
    fn new() -> Rc<Self> {
        Rc::new(Self { keys: Keys::random().unwrap(), asked: Cell::new(0) })
    }
}

impl Judge for Sealing {
    fn judge(&self, _: &[CertificateDer<'_>]) -> Result<(), Refusal> {
        self.asked.set(self.asked.get() + 1);
        Ok(())
    }

    fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        let binding = Binding { policy: Fingerprint([1; 16]), bundle: Fingerprint([2; 16]) };
        let expires = UnixTime::since_unix_epoch(Duration::from_secs(1));
        self.keys.seal(&Ticket { binding, expires, path: b"", session })
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let mut room = Vec::new();
        Some(self.keys.open(ticket, &mut room).ok()?.session.to_vec())
    }
}

/// Goal: our tickets work for rustls in every mode, and carry the client's chain. Nothing is stored, so a
/// session id alone brings nothing back.
#[test]
fn sessions_resume_by_tickets_of_the_judge_alone() {
    let (ca, leaf) = pki();
    let identity = ca.issue(Key::P256, &["client"]);
    for ask in [Ask::No, Ask::Optional, Ask::Required] {
        let server = listener_that(Resumption::Tickets, RES_PQ, &leaf, ask);
        for (what, client) in resuming(&ca, Some(&identity)) {
            let case = format!("{what} {ask:?}");
            let judge = Sealing::new();
            let visit = || under(judge.clone(), || shake(&client, NAME, &server)).accepted(&case);
            assert_eq!(kind(&visit()), HandshakeKind::Full, "{case}");
            let asked = judge.asked.get();
            let again = visit();
            if what == "TLS 1.2 id" {
                assert_eq!(kind(&again), HandshakeKind::Full, "{case}");
                continue;
            }
            assert_eq!(
                (kind(&again), judge.asked.get()),
                (HandshakeKind::Resumed, asked),
                "{case}"
            );
            let chain = again.server.peer_certificates().map(<[_]>::len);
            assert_eq!(chain, (ask != Ask::No).then_some(1), "{case}");
        }
    }
}

/// Goal: what a judge does not open is no way round the verifier. Method: a ticket of another judge, with
/// and without a certificate. Source: CVE-2025-23419, CVE-2025-23048, CVE-2025-68121.
#[test]
fn a_ticket_that_the_judge_does_not_open_leads_to_a_full_handshake() {
    let (ca, leaf) = pki();
    let identity = ca.issue(Key::P256, &["client"]);
    for ask in [Ask::No, Ask::Optional, Ask::Required] {
        let minting = listener_that(Resumption::Tickets, RES_PQ, &leaf, Ask::No);
        let other = listener_that(Resumption::Tickets, RES_PQ, &leaf, ask);
        for shown in [Some(&identity), None] {
            for (what, client) in resuming(&ca, shown) {
                let case = format!("{what} {ask:?}");
                under(Sealing::new(), || shake(&client, NAME, &minting)).accepted(&case);
                let judge = Sealing::new();
                let shaken = under(judge.clone(), || shake(&client, NAME, &other));
                if shown.is_none() && ask == Ask::Required {
                    let refused = Error::AlertReceived(Alert::CertificateRequired);
                    assert_eq!(shaken.client_end, Err(refused), "{case}");
                    continue;
                }
                assert_eq!(kind(&shaken.accepted(&case)), HandshakeKind::Full, "{case}");
                let is_asked = ask != Ask::No && shown.is_some();
                assert_eq!(judge.asked.get(), usize::from(is_asked), "{case}");
            }
        }
    }
}

/// rustls does not ask the verifier on a resumed session.
#[test]
fn no_session_resumes_where_certificates_are_asked_for() {
    let (ca, leaf) = pki();
    let identity = ca.issue(Key::P256, &["client"]);
    for ask in [Ask::Optional, Ask::Required] {
        let server = listener(RES_PQ, &leaf, ask);
        for (what, client) in resuming(&ca, Some(&identity)) {
            let judge = Fixed::new(Ok(()));
            for _ in 0..3 {
                let shaken = shake_under(&judge, &client, &server).accepted(what);
                assert_eq!(kind(&shaken), HandshakeKind::Full, "{what} {ask:?}");
                assert_eq!(shaken.client.tls13_tickets_received(), 0, "{what} {ask:?}");
            }
            assert_eq!(judge.asked.get(), 3, "{what} {ask:?}");

            let refused = shake_under(&Fixed::new(Err(Refusal::CrlHit)), &client, &server);
            let alert = Error::AlertReceived(Alert::CertificateRevoked);
            assert_eq!(refused.client_end, Err(alert), "{what} {ask:?}");
        }
    }
}

/// Goal: what a client does to its ticket costs it the resumption and us nothing. Method: each byte of a
/// ticket flipped in turn, many lengths, and one too long, through rustls and back.
#[test]
fn a_ticket_that_was_touched_on_its_way_leads_to_a_full_handshake() {
    /// What is done to a ticket.
    type Mangle = Box<dyn Fn(&mut Vec<u8>)>;

    /// Hands out tickets with that done to them.
    struct Mangling(Rc<Sealing>, Mangle);

    impl Judge for Mangling {
        fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Refusal> {
            self.0.judge(chain)
        }
        fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
            let mut ticket = self.0.seal(session)?;
            (self.1)(&mut ticket);
            Some(ticket)
        }
        fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
            self.0.open(ticket)
        }
    }

    let (ca, leaf) = pki();
    let identity = ca.issue(Key::P256, &["client"]);
    let server = listener_that(Resumption::Tickets, RES_PQ, &leaf, Ask::Required);
    let flips = (0..700).step_by(7).map(|index| -> Mangle {
        Box::new(move |ticket| {
            let index = index % ticket.len();
            ticket[index] ^= 1 << (index % 8);
        })
    });
    let cuts = [1, 15, 16, 27, 28, 100, 300]
        .map(|length| -> Mangle { Box::new(move |ticket| ticket.truncate(length)) });
    let more = [1, 20_000].map(|more| -> Mangle {
        Box::new(move |ticket| ticket.extend(std::iter::repeat_n(0, more)))
    });
    for mangle in flips.chain(cuts).chain(more) {
        let judge = Rc::new(Mangling(Sealing::new(), mangle));
        for (what, client) in resuming(&ca, Some(&identity)) {
            for _ in 0..2 {
                let shaken = under(judge.clone(), || shake(&client, NAME, &server)).accepted(what);
                assert_eq!(kind(&shaken), HandshakeKind::Full, "{what}");
            }
        }
        assert_eq!(judge.0.asked.get(), 6);
    }
}

/// RFC 6066, section 3: a session is not resumed under another name.
#[test]
fn a_ticket_resumes_under_its_own_name_alone() {
    let (ca, _) = pki();
    let leaf = ca.issue(Key::P256, &[NAME, "other.example"]);
    let server = listener_that(Resumption::Tickets, RES_PQ, &leaf, Ask::No);
    for (what, client) in resuming(&ca, None) {
        let judge = Sealing::new();
        let visit = |name| under(judge.clone(), || shake(&client, name, &server)).accepted(what);
        visit(NAME);
        assert_eq!(kind(&visit("other.example")), HandshakeKind::Full, "{what}");
    }
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
