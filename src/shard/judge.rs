//! The verdict on a client, taken by current trust: in its handshake, and once more at its end when a
//! newer generation came in between, or when a session was resumed and rustls has asked nothing.
//!
//! One function, [`verdict`], for every way in. It reads the live value at the moment of judging and
//! never across an await (design decision 6). Tickets are given and taken here, too: only the generation
//! that has accepted a client gives it one, and one that it brings opens only while everything that it is
//! bound to stands.
use super::seen::{Came, Memory};
use crate::clock;
use crate::config::snapshot::{
    Access, Authentication, Listener, Live, Name, OnExpiry, OnRevocation, Presence, RefusalForm,
    Verify,
};
use crate::http::identity;
use crate::limits;
use crate::observe::count::{Handshake, Resumption};
use crate::tls::tickets::{Declined, Ticket};
use crate::tls::verifier::Judge;
use crate::trust::verdict::judge_form;
use crate::trust::{self, Accepted, Conditions, Facts, Path, Refusal, Told};
use arc_swap::ArcSwap;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What was decided about a client, and by which generation.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The generation that decided.
    pub generation: u64,
    /// Accepted with these identity header lines (empty where there is nothing to tell), or refused.
    pub result: Result<Vec<u8>, Refusal>,
    /// What a refused client sees.
    pub form: RefusalForm,
    /// The path of a client that was accepted by a trust store.
    pub accepted: Option<Accepted>,
    /// What the leaf says, where there was one that could be read.
    pub leaf: Option<Facts>,
}

impl Verdict {
    /// How it is counted.
    pub fn outcome(&self) -> Handshake {
        match self.result {
            Ok(_) => Handshake::Success,
            Err(refusal) => Handshake::Refused(refusal),
        }
    }
}

/// Judges a chain (leaf first; empty when the client sent none) by `live`.
///
/// `None` when the listener is gone, or has no TLS any more: the connection then ends.
pub fn verdict(
    live: &Live,
    listener: &Name,
    server_name: Option<&str>,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Option<Verdict> {
    explained(live, listener, server_name, chain, now, None)
}

/// As [`verdict`], and `told` gets to know how it came about. Handshakes have nobody to tell.
pub fn explained(
    live: &Live,
    listener: &Name,
    server_name: Option<&str>,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
    told: Option<&mut Told>,
) -> Option<Verdict> {
    let asked = Asked::find(live, listener, server_name)?;
    Some(asked.judge(|verify| Cow::Borrowed(&verify.conditions), chain, now, told))
}

/// What is made of the client of a live connection.
#[derive(Clone, Debug)]
pub struct Again {
    /// What a handshake would be told, but for what `on_expiry` forgives.
    pub verdict: Verdict,
    /// What a refusal means to the connection.
    pub on_refusal: OnRevocation,
}

/// Judges the client of a live connection again, whole; `None` as [`verdict`].
pub fn again(
    live: &Live,
    listener: &Name,
    server_name: Option<&str>,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> Option<Again> {
    let asked = Asked::find(live, listener, server_name)?;
    let verdict = asked.judge(Verify::conditions_when_live, chain, now, None);
    let refusal = verdict.result.as_ref().err().copied();
    let on_refusal = refusal.map(|refusal| asked.access.authentication.on_refusal(refusal));
    Some(Again { verdict, on_refusal: on_refusal.unwrap_or_default() })
}

/// Judges the client of a live connection again by lookups: accepted until when, or refused and what that
/// means to the connection. `None` when only [`again`] can tell.
pub fn again_by_path(
    live: &Live,
    listener: &Name,
    server_name: Option<&str>,
    path: &Path,
    now: UnixTime,
) -> Option<Result<UnixTime, (Refusal, OnRevocation)>> {
    let authentication = &Asked::find(live, listener, server_name)?.access.authentication;
    let Authentication::Verify(verify) = authentication else { return None };
    let store = live.trust_stores.get(&verify.trust_store)?;
    match store.judge_again(path, &verify.conditions_when_live(), now) {
        trust::Again::Accepted { until } => Some(Ok(until)),
        trust::Again::Refused(refusal) => Some(Err((refusal, authentication.on_refusal(refusal)))),
        trust::Again::Unknown => None,
    }
}

/// What a client is asked for.
struct Asked<'a> {
    live: &'a Live,
    listener: &'a Listener,
    access: &'a Access,
}

impl<'a> Asked<'a> {
    fn find(live: &'a Live, listener: &Name, server_name: Option<&str>) -> Option<Self> {
        let listener = live.listeners.get(listener)?;
        let access = listener.tls.as_ref()?.access(server_name);
        Some(Self { live, listener, access })
    }

    fn judge(
        &self,
        conditions: impl Fn(&Verify) -> Cow<'_, Conditions>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
        told: Option<&mut Told>,
    ) -> Verdict {
        let Self { live, listener, access } = self;
        let names = &listener.attributes.names;
        let leaf = chain.first().and_then(|leaf| Facts::from_der(leaf));
        let mut taken = None;
        let result = match (&access.authentication, chain.first()) {
            (Authentication::Off, _) | (Authentication::Passthrough, None) => Ok(Vec::new()),
            (Authentication::Passthrough, Some(leaf)) => {
                judge_form(leaf).and_then(|()| identity::passed_through(names, chain))
            }
            (Authentication::Verify(verify), None) => match verify.presence {
                Presence::Required => Err(Refusal::Missing),
                Presence::Optional => Ok(Vec::new()),
            },
            (Authentication::Verify(verify), Some(der)) => {
                let store = live.trust_stores.get(&verify.trust_store);
                debug_assert!(store.is_some(), "{} is checked at load", verify.trust_store);
                let conditions = conditions(verify);
                store
                    .ok_or(Refusal::Untrusted)
                    .and_then(|store| match told {
                        None => store.judge(chain, &conditions, now),
                        Some(told) => store.explain(chain, &conditions, now, told),
                    })
                    .and_then(|accepted| {
                        taken = Some(accepted);
                        leaf.as_ref().ok_or(Refusal::Invalid)
                    })
                    .and_then(|facts| identity::verified(names, facts, der))
            }
        };
        let form = access.authentication.refusal_form();
        Verdict { generation: live.generation, result, form, accepted: taken, leaf }
    }
}

/// Answers rustls' verifier in one handshake, and keeps the verdict for its end.
#[derive(Debug)]
pub struct HandshakeJudge {
    live: Arc<ArcSwap<Live>>,
    listener: Name,
    server_name: Option<String>,
    seen: Rc<RefCell<Memory>>,
    taken: RefCell<Option<Verdict>>,
    /// What came of the last ticket that the client brought. When a session is resumed it is this one's:
    /// rustls asks about one after the other and stops at the first that it can use.
    brought: RefCell<Option<Result<Grant, Declined>>>,
    shown: RefCell<Option<Shown>>,
}

/// The server certificate that was chosen for a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    /// Its name.
    pub certificate: Name,
    /// Whether it answers for the name that the client gave, and is not the default for want of a better.
    pub is_for_name: bool,
}

/// What a client may come back with.
#[derive(Clone, Debug)]
struct Grant {
    /// The generation that accepted it.
    generation: u64,
    /// The last second at which it holds.
    expires: UnixTime,
    /// The path that was accepted, where one was judged.
    path: Option<Path>,
}

impl HandshakeJudge {
    /// For a client that named `server_name` on `listener`.
    pub fn new(
        live: Arc<ArcSwap<Live>>,
        listener: Name,
        server_name: Option<String>,
        seen: Rc<RefCell<Memory>>,
    ) -> Self {
        let (taken, brought, shown) = Default::default();
        Self { live, listener, server_name, seen, taken, brought, shown }
    }

    /// The verdict that rustls was given, if it asked.
    pub fn taken(&self) -> Option<Verdict> {
        self.taken.borrow().clone()
    }

    /// The server certificate that was chosen, if the handshake got so far.
    pub fn shown(&self) -> Option<Shown> {
        self.shown.borrow().clone()
    }

    /// What came of the client's tickets, if it brought any.
    ///
    /// * `resumed`: whether rustls has resumed a session.
    pub fn resumption(&self, resumed: bool) -> Option<Resumption> {
        self.brought.borrow().as_ref().map(|brought| match brought {
            Ok(_) if resumed => Resumption::Resumed,
            Ok(_) => Resumption::Declined(Declined::Unfit),
            Err(declined) => Resumption::Declined(*declined),
        })
    }

    /// The verdict at the end of the handshake: the one taken in it when nothing changed since, else a
    /// new one. The caller marks the connection accepted in the same step.
    pub fn conclude(&self, chain: &[CertificateDer<'_>]) -> Option<Verdict> {
        let live = self.live.load();
        let concluded = match self.taken.take() {
            Some(verdict) if verdict.generation == live.generation => Some(verdict),
            Some(_) | None => {
                verdict(&live, &self.listener, self.server_name.as_deref(), chain, clock::now())
            }
        }?;
        let came = match (&concluded.result, &concluded.accepted) {
            (Ok(_), Some(_)) => Came::Vouched,
            (result, _) => Came::Otherwise(result.as_ref().err().copied()),
        };
        self.note(&live, chain, came);
        Some(concluded)
    }

    /// The client was refused because it showed no certificate: rustls asks nobody about that.
    pub fn none_shown(&self) {
        self.note(&self.live.load(), &[], Came::Otherwise(Some(Refusal::Missing)));
    }

    /// Remembers who came.
    fn note(&self, live: &Live, chain: &[CertificateDer<'_>], came: Came) {
        let Some(listener) = live.listeners.get(&self.listener) else { return };
        let server_name = self.server_name.as_deref();
        self.seen.borrow_mut().note(listener, server_name, chain, came, clock::now());
    }
}

impl HandshakeJudge {
    /// What current trust says of whoever comes in here, while the listener is there.
    fn access<'live>(&self, live: &'live Live) -> Option<&'live Access> {
        let tls = live.listeners.get(&self.listener)?.tls.as_ref()?;
        Some(tls.access(self.server_name.as_deref()))
    }

    /// What the client may come back with: nothing unless `live` itself has accepted it in this
    /// handshake, by its chain or by the ticket that it brought.
    ///
    /// A client that is let in without a certificate where one is asked for gets nothing: a full handshake
    /// costs it no more than others.
    fn grant(&self, live: &Live, authentication: &Authentication, now: UnixTime) -> Option<Grant> {
        let generation = live.generation;
        let latest = now.as_secs() + limits::TICKET_LIFETIME.as_secs();
        let until = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let brought = self.brought.borrow();
        let brought = brought.as_ref().and_then(|brought| brought.as_ref().ok());
        let brought = brought.filter(|grant| grant.generation == generation).cloned();
        match (authentication, &*self.taken.borrow()) {
            (Authentication::Off, None) => {
                let first = Grant { generation, expires: until(latest), path: None };
                Some(brought.unwrap_or(first))
            }
            (Authentication::Verify(_), None) => brought,
            (Authentication::Verify(_), Some(verdict)) => {
                let is_accepted = verdict.generation == generation && verdict.result.is_ok();
                let accepted = verdict.accepted.as_ref().filter(|_| is_accepted)?;
                let expires = until(latest.min(accepted.until.as_secs()));
                Some(Grant { generation, expires, path: Some(accepted.path.clone()) })
            }
            (Authentication::Off | Authentication::Passthrough, _) => None,
        }
    }

    /// Opens a ticket into `room` and judges it by `live`.
    fn redeem<'room>(
        &self,
        live: &Live,
        ticket: &[u8],
        now: UnixTime,
        room: &'room mut Vec<u8>,
    ) -> Result<(Grant, &'room [u8]), Declined> {
        let Ticket { binding, expires, path, session } = live.ticket_keys.open(ticket, room)?;
        let access = self.access(live).ok_or(Declined::OtherPolicy)?;
        let wanted = access.tickets.ok_or(Declined::OtherPolicy)?;
        if binding.policy != wanted.policy {
            return Err(Declined::OtherPolicy);
        }
        if binding.bundle != wanted.bundle {
            return Err(Declined::OtherBundle);
        }
        if now > expires {
            return Err(Declined::Expired);
        }
        let generation = live.generation;
        match &access.authentication {
            Authentication::Off => Ok((Grant { generation, expires, path: None }, session)),
            Authentication::Passthrough => Err(Declined::OtherPolicy),
            Authentication::Verify(Verify { trust_store, conditions, .. }) => {
                let store = live.trust_stores.get(trust_store).ok_or(Declined::OtherPolicy)?;
                let path = Path::decode(path).ok_or(Declined::Damaged)?;
                match store.judge_again(&path, conditions, now) {
                    trust::Again::Accepted { until } => {
                        let expires = expires.min(until);
                        Ok((Grant { generation, expires, path: Some(path) }, session))
                    }
                    trust::Again::Refused(_) | trust::Again::Unknown => Err(Declined::Refused),
                }
            }
        }
    }
}

impl Judge for HandshakeJudge {
    fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Refusal> {
        let live = self.live.load();
        let Some(verdict) =
            verdict(&live, &self.listener, self.server_name.as_deref(), chain, clock::now())
        else {
            return Err(Refusal::Rejected);
        };
        let answer = match (&verdict.result, verdict.form) {
            (Err(refusal), RefusalForm::Alert | RefusalForm::Reset) => Err(*refusal),
            // Under `http` the handshake goes on, and the first request gets the answer.
            (Err(_), RefusalForm::Http) | (Ok(_), _) => Ok(()),
        };
        if let Err(refusal) = answer {
            self.note(&live, chain, Came::Otherwise(Some(refusal)));
        }
        *self.taken.borrow_mut() = Some(verdict);
        answer
    }

    fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        let live = self.live.load();
        let access = self.access(&live)?;
        let binding = access.tickets?;
        let grant = self.grant(&live, &access.authentication, clock::now())?;
        let path = grant.path.as_ref().map_or(&[][..], Path::encode);
        live.ticket_keys.seal(&Ticket { binding, expires: grant.expires, path, session })
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let live = self.live.load();
        let mut room = Vec::new();
        let (brought, session) = match self.redeem(&live, ticket, clock::now(), &mut room) {
            Ok((grant, session)) => (Ok(grant), Some(session.to_vec())),
            Err(declined) => (Err(declined), None),
        };
        *self.brought.borrow_mut() = Some(brought);
        session
    }

    fn chosen(&self, certificate: &Name, is_for_name: bool) {
        *self.shown.borrow_mut() =
            Some(Shown { certificate: Arc::clone(certificate), is_for_name });
    }

    fn requested(&self) {
        if let Some(brought) = &mut *self.brought.borrow_mut() {
            // Why it was declined, if it was, stays.
            *brought = brought.clone().and(Err(Declined::Unfit));
        }
    }
}

impl Authentication {
    /// What a refusal means to a live connection.
    pub(crate) fn on_refusal(&self, refusal: Refusal) -> OnRevocation {
        match self {
            Self::Verify(verify) => match (refusal, verify.on_expiry, verify.on_revocation) {
                (Refusal::Expired, OnExpiry::Keep, _) => OnRevocation::Keep,
                (Refusal::Expired, OnExpiry::Close, OnRevocation::Keep) => OnRevocation::Drain,
                (_, _, on_revocation) => on_revocation,
            },
            Self::Off | Self::Passthrough => OnRevocation::Drain,
        }
    }
}

#[cfg(test)]
mod tests;
