//! The verdict on a client, taken by current trust: in its handshake, and once more at its end when a
//! newer generation came in between.
//!
//! One function, [`verdict`], for every way in. It reads the live value at the moment of judging and
//! never across an await (design decision 6).
use super::seen::{Came, Memory};
use crate::clock;
use crate::config::snapshot::{Authentication, Live, Name, Presence, RefusalForm, Verify};
use crate::http::identity;
use crate::observe::count::Handshake;
use crate::tls::verifier::Judge;
use crate::trust::{Accepted, Facts, Refusal, Told, verdict::judge_form};
use arc_swap::ArcSwap;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::cell::RefCell;
use std::rc::Rc;
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
    let listener = live.listeners.get(listener)?;
    let access = listener.tls.as_ref()?.access(server_name);
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
        (Authentication::Verify(Verify { store, conditions, .. }), Some(der)) => match told {
            None => store.judge(chain, conditions, now),
            Some(told) => store.explain(chain, conditions, now, told),
        }
        .and_then(|accepted| {
            taken = Some(accepted);
            leaf.as_ref().ok_or(Refusal::Invalid)
        })
        .and_then(|facts| identity::verified(names, facts, der)),
    };
    Some(Verdict {
        generation: live.generation,
        result,
        form: access.authentication.refusal_form(),
        accepted: taken,
        leaf,
    })
}

/// Answers rustls' verifier in one handshake, and keeps the verdict for its end.
#[derive(Debug)]
pub struct HandshakeJudge {
    live: Arc<ArcSwap<Live>>,
    listener: Name,
    server_name: Option<String>,
    seen: Rc<RefCell<Memory>>,
    taken: RefCell<Option<Verdict>>,
}

impl HandshakeJudge {
    /// For a client that named `server_name` on `listener`.
    pub(super) fn new(
        live: Arc<ArcSwap<Live>>,
        listener: Name,
        server_name: Option<String>,
        seen: Rc<RefCell<Memory>>,
    ) -> Self {
        Self { live, listener, server_name, seen, taken: RefCell::new(None) }
    }

    /// The verdict that rustls was given, if it asked.
    pub fn taken(&self) -> Option<Verdict> {
        self.taken.borrow().clone()
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
}
