//! The verdict on a client, taken by current trust: in its handshake, and once more at its end when a
//! newer generation came in between.
//!
//! One function, [`verdict`], for every way in. It reads the live value at the moment of judging and
//! never across an await (design decision 6).
use crate::clock;
use crate::config::snapshot::{
    Access, Authentication, Listener, Live, Name, OnExpiry, OnRevocation, Presence, RefusalForm,
    Verify,
};
use crate::http::identity;
use crate::observe::count::Handshake;
use crate::tls::verifier::Judge;
use crate::trust::verdict::judge_form;
use crate::trust::{self, Accepted, Conditions, Facts, Path, Refusal, Told};
use arc_swap::ArcSwap;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

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
    taken: RefCell<Option<Verdict>>,
}

impl HandshakeJudge {
    /// For a client that named `server_name` on `listener`.
    pub fn new(live: Arc<ArcSwap<Live>>, listener: Name, server_name: Option<String>) -> Self {
        Self { live, listener, server_name, taken: RefCell::new(None) }
    }

    /// The verdict that rustls was given, if it asked.
    pub fn taken(&self) -> Option<Verdict> {
        self.taken.borrow().clone()
    }

    /// The verdict at the end of the handshake: the one taken in it when nothing changed since, else a
    /// new one. The caller marks the connection accepted in the same step.
    pub fn conclude(&self, chain: &[CertificateDer<'_>]) -> Option<Verdict> {
        let live = self.live.load();
        match self.taken.take() {
            Some(verdict) if verdict.generation == live.generation => Some(verdict),
            Some(_) | None => {
                verdict(&live, &self.listener, self.server_name.as_deref(), chain, clock::now())
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
        *self.taken.borrow_mut() = Some(verdict);
        answer
    }
}

impl Authentication {
    /// What a refusal means to a live connection.
    pub(super) fn on_refusal(&self, refusal: Refusal) -> OnRevocation {
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
