//! Sessions that clients try to resume, with rustls on both sides.
use super::*;
use crate::tls::tickets::{Binding, Keys, Ticket};
use crate::trust::Fingerprint;
use rustls::HandshakeKind;
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Tls12Resumption};
use rustls::client::{Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls_pki_types::{ServerName, UnixTime};
use std::time::Duration;

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
