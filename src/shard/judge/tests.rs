//! Tickets, by the clock and by generations; who gets in by them is `tests/node/tickets.rs`.
use super::*;
use crate::config::load;
use crate::config::scratch::Scratch;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

const LIFETIME: u64 = limits::TICKET_LIFETIME.as_secs();

/// A live value with a listener `bound` (verify) and one `open` (off), and a client's chain.
struct Site {
    live: Arc<ArcSwap<Live>>,
    chain: Vec<CertificateDer<'static>>,
}

impl Site {
    fn new() -> Self {
        let scratch = Scratch::new();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = |name: &str| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.not_after = date_time_ymd(2100, 1, 1);
            params.signed_by(&key, &ca).unwrap()
        };
        scratch.write("ca.pem", ca.pem());
        scratch.write("api.crt", leaf("api.example").pem());
        scratch.write("api.key", key.serialize_pem());
        let https = |name: &str, more: &str| {
            format!(
                "  - {{name: {name}, bind: \"127.0.0.1:0\", protocol: HTTPS, certificates: [api], \
                 default_actions: [{{type: forward, target_group: none}}], \
                 mutual_authentication: {{{more}}}}}\n"
            )
        };
        let file = scratch.write(
            "portcullis.yaml",
            "certificates: [{name: api, chain: api.crt, key: api.key}]\n\
             trust_stores: [{name: partners, ca_certificates_bundle: ca.pem}]\n\
             target_groups: [{name: none}]\n\
             listeners:\n"
                .to_owned()
                + &https("bound", "mode: verify, trust_store: partners, session_resumption: bound")
                + &https("open", "mode: off"),
        );
        let live = load::look(&file).unwrap().live;
        let chain = vec![leaf("client").der().clone()];
        Self { live: Arc::new(ArcSwap::from_pointee(live)), chain }
    }

    fn judge(&self, listener: &str) -> HandshakeJudge {
        HandshakeJudge::new(Arc::clone(&self.live), listener.into(), None, Rc::default())
    }

    /// As when a reload changed nothing.
    fn next_generation(&self) {
        let live = self.live.load_full();
        let next = Live {
            generation: live.generation + 1,
            listeners: live.listeners.clone(),
            trust_stores: live.trust_stores.clone(),
            ticket_keys: Arc::clone(&live.ticket_keys),
            ..Live::empty()
        };
        self.live.store(Arc::new(next));
    }

    /// The ticket that this handshake would end with at `now`.
    fn sealed(&self, judge: &HandshakeJudge, now: u64) -> Option<Vec<u8>> {
        let live = self.live.load();
        let access = judge.access(&live)?;
        let grant = judge.grant(&live, &access.authentication, at(now))?;
        let (expires, path) = (grant.expires, grant.path.as_ref().map_or(&[][..], Path::encode));
        let binding = access.tickets?;
        live.ticket_keys.seal(&Ticket { binding, expires, path, session: b"session" })
    }

    /// What becomes of a ticket at `now`.
    fn opened(&self, judge: &HandshakeJudge, ticket: &[u8], now: u64) -> Result<u64, Declined> {
        let mut room = Vec::new();
        let outcome = judge.redeem(&self.live.load(), ticket, at(now), &mut room);
        let outcome = outcome.map(|(grant, session)| {
            assert_eq!(session, b"session");
            grant
        });
        let expires = outcome.as_ref().map(|grant| grant.expires.as_secs());
        let expires = expires.map_err(|declined| *declined);
        *judge.brought.borrow_mut() = Some(outcome);
        expires
    }
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Goal: a stolen session is worth no more than the time for which it was given, however often it is
/// renewed: the key must be proven again.
#[test]
fn tickets_end_four_hours_after_the_last_full_handshake() {
    let site = Site::new();
    let now = clock::now().as_secs();
    for listener in ["open", "bound"] {
        let first = site.judge(listener);
        if listener == "bound" {
            assert_eq!(first.judge(&site.chain), Ok(()));
        }
        let ticket = site.sealed(&first, now).unwrap();
        let again = site.judge(listener);
        let later = now + LIFETIME - 1;
        assert_eq!(site.opened(&again, &ticket, later), Ok(now + LIFETIME), "{listener}");
        let renewed = site.sealed(&again, later).unwrap();
        for (ticket, time, expected) in [
            (&ticket, now + LIFETIME, Ok(now + LIFETIME)),
            (&renewed, now + LIFETIME, Ok(now + LIFETIME)),
            (&ticket, now + LIFETIME + 1, Err(Declined::Expired)),
            (&renewed, now + LIFETIME + 1, Err(Declined::Expired)),
        ] {
            assert_eq!(site.opened(&site.judge(listener), ticket, time), expected, "{listener}");
        }
    }
}

#[test]
fn a_ticket_ends_with_the_path_that_was_judged() {
    let site = Site::new();
    let judge = site.judge("bound");
    assert_eq!(judge.judge(&site.chain), Ok(()));
    // 2100-01-01, when the client's certificate ends.
    let end = 4_102_444_800;
    let ticket = site.sealed(&judge, end - 10).unwrap();
    assert_eq!(site.opened(&site.judge("bound"), &ticket, end), Ok(end));
    let late = site.opened(&site.judge("bound"), &ticket, end + 1);
    assert_eq!(late, Err(Declined::Expired));
}

#[test]
fn only_the_generation_that_accepted_a_client_gives_it_a_ticket() {
    let site = Site::new();
    let now = clock::now().as_secs();
    let full = site.judge("bound");
    assert_eq!(site.sealed(&full, now), None, "nobody was judged yet");
    assert_eq!(full.judge(&site.chain), Ok(()));
    let ticket = site.sealed(&full, now).unwrap();
    let resumed = site.judge("bound");
    assert!(site.opened(&resumed, &ticket, now).is_ok());
    assert!(site.sealed(&resumed, now).is_some());
    site.next_generation();
    assert_eq!(site.sealed(&full, now), None);
    assert_eq!(site.sealed(&resumed, now), None);
    assert!(site.opened(&site.judge("bound"), &ticket, now).is_ok(), "the ticket itself holds");
}

#[test]
fn who_is_refused_gets_no_ticket() {
    let site = Site::new();
    let now = clock::now().as_secs();
    let judge = site.judge("bound");
    let stranger = Site::new().chain;
    assert!(judge.judge(&stranger).is_err());
    assert_eq!(site.sealed(&judge, now), None);
    // A ticket that opened does not help a client that then shook hands in full and was refused.
    let good = site.judge("bound");
    assert_eq!(good.judge(&site.chain), Ok(()));
    let ticket = site.sealed(&good, now).unwrap();
    let both = site.judge("bound");
    assert!(site.opened(&both, &ticket, now).is_ok());
    assert!(both.judge(&stranger).is_err());
    assert_eq!(site.sealed(&both, now), None);
    assert_eq!(both.resumption(false), Some(Resumption::Declined(Declined::Unfit)));
}

#[test]
fn a_ticket_that_is_not_resumed_gives_no_other() {
    let site = Site::new();
    let now = clock::now().as_secs();
    let full = site.judge("bound");
    assert_eq!(full.judge(&site.chain), Ok(()));
    let ticket = site.sealed(&full, now).unwrap();
    let judge = site.judge("bound");
    assert!(site.opened(&judge, &ticket, now).is_ok());
    judge.requested();
    assert_eq!(site.sealed(&judge, now), None);
    assert_eq!(judge.resumption(false), Some(Resumption::Declined(Declined::Unfit)));
    let late = site.judge("bound");
    assert_eq!(site.opened(&late, &ticket, now + LIFETIME + 1), Err(Declined::Expired));
    late.requested();
    assert_eq!(late.resumption(false), Some(Resumption::Declined(Declined::Expired)));
}

#[test]
fn a_ticket_of_a_listener_that_asks_nobody_opens_none_that_does() {
    let site = Site::new();
    let now = clock::now().as_secs();
    let ticket = site.sealed(&site.judge("open"), now).unwrap();
    let judge = site.judge("bound");
    assert_eq!(site.opened(&judge, &ticket, now), Err(Declined::OtherPolicy));
    assert_eq!(site.sealed(&judge, now), None);
    let gone = site.judge("gone");
    assert_eq!(site.opened(&gone, &ticket, now), Err(Declined::OtherPolicy));
    assert_eq!(judge.resumption(false), Some(Resumption::Declined(Declined::OtherPolicy)));
}
