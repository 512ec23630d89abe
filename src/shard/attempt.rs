//! What the connection log says of an attempt to connect: one line, at the end of its handshake, or when it
//! is accepted where there is none.
use super::Shard;
use super::connection::{Connection, address_of, new_trace_id};
use super::front::{Front, Rules};
use super::judge::Verdict;
use crate::clock;
use crate::close::Reason;
use crate::net::Sock;
use crate::observe::connection_log::Entry;
use crate::observe::count::Handshake;
use crate::tls::policy::{group_name, suite_name, version_name};
use crate::tls::stream::{Agreed, Failed, HandshakeError};
use crate::trust::{Facts, Refusal};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What the log says of one connection attempt.
pub(super) struct Attempt<'a> {
    pub(super) outcome: Handshake,
    verify: Option<Result<(), &'static str>>,
    agreed: Agreed,
    took: Option<Duration>,
    leaf: Option<Facts>,
    generation: Option<u64>,
    server_name: Option<&'a str>,
    reason: Option<&'a str>,
}

impl<'a> Attempt<'a> {
    /// Without TLS: accepted is all there is to say.
    pub(super) fn plain() -> Self {
        Self {
            outcome: Handshake::Success,
            verify: None,
            agreed: Agreed::default(),
            took: None,
            leaf: None,
            generation: None,
            server_name: None,
            reason: None,
        }
    }

    /// A handshake that failed for no reason of the certificate's.
    pub(super) fn failed(
        outcome: Handshake,
        server_name: Option<&'a str>,
        reason: &'a str,
    ) -> Self {
        Self {
            outcome,
            verify: Some(Err(UNMAPPED)),
            server_name,
            reason: Some(reason),
            ..Self::plain()
        }
    }

    /// A handshake that was finished, whatever the verdict.
    pub(super) fn concluded(
        verdict: &Verdict,
        agreed: Agreed,
        took: Duration,
        server_name: Option<&'a str>,
    ) -> Self {
        let refused = verdict.result.as_ref().err().map(|refusal| refusal.code());
        Self {
            outcome: verdict.outcome(),
            verify: Some(refused.map_or(Ok(()), Err)),
            agreed,
            took: refused.is_none().then_some(took),
            leaf: verdict.leaf.clone(),
            generation: Some(verdict.generation),
            server_name,
            reason: refused,
        }
    }
}

/// A handshake that failed, and the verdict that rustls was given in it.
pub(super) struct Failure {
    pub(super) handshake: Failed,
    pub(super) verdict: Option<Verdict>,
}

impl Failure {
    pub(super) fn is_without_certificate(&self) -> bool {
        let error = &self.handshake.error;
        matches!(error, HandshakeError::Tls(rustls::Error::NoCertificatesPresented))
    }

    /// What the log says of it.
    pub(super) fn attempt<'a>(&self, server_name: Option<&'a str>) -> Attempt<'a> {
        let refused = self.verdict.as_ref().and_then(|verdict| verdict.result.as_ref().err());
        let (outcome, reason) = match (&self.handshake.error, refused) {
            (_, Some(refusal)) => (Handshake::Refused(*refusal), refusal.code()),
            (_, None) if self.is_without_certificate() => {
                (Handshake::Refused(Refusal::Missing), "no_certificate")
            }
            (HandshakeError::Tls(_), None) => (Handshake::Failed, "tls"),
            (HandshakeError::NotHello, None) => (Handshake::Failed, "no_client_hello"),
            (HandshakeError::TooManyBytes, None) => (Handshake::Failed, "too_many_bytes"),
            (HandshakeError::Closed | HandshakeError::Io(_), None) => {
                (Handshake::Failed, Reason::ClientClosed.word())
            }
        };
        Attempt {
            outcome,
            verify: Some(Err(refused.map_or(UNMAPPED, |refusal| refusal.code()))),
            agreed: self.handshake.agreed,
            took: None,
            leaf: self.verdict.as_ref().and_then(|verdict| verdict.leaf.clone()),
            generation: self.verdict.as_ref().map(|verdict| verdict.generation),
            server_name,
            reason: Some(reason),
        }
    }
}

impl Connection {
    /// Writes the line of its attempt.
    pub(super) fn log(&self, rules: &Rules, attempt: &Attempt<'_>) {
        let Self { client, address, .. } = *self;
        let comer = Comer { client, address, trace_id: &|| self.trace_id() };
        log(&self.shard, &self.front, rules, comer, attempt);
    }
}

/// Writes the line of a connection that the shard has no room for.
pub(super) fn log_shed(
    shard: &Shard,
    front: &Front,
    socket: &Sock,
    client: SocketAddr,
    reason: Reason,
) {
    let rules = front.rules();
    let word = reason.word();
    let attempt = match rules.tls() {
        Some(_) => Attempt::failed(Handshake::Shed, None, word),
        None => Attempt { reason: Some(word), ..Attempt::plain() },
    };
    let comer = Comer { client, address: address_of(socket), trace_id: &new_trace_id };
    log(shard, front, &rules, comer, &attempt);
}

/// Who attempts to connect.
struct Comer<'a> {
    client: SocketAddr,
    /// The address of this node that it came to.
    address: IpAddr,
    /// Made when a log needs it.
    trace_id: &'a dyn Fn() -> [u8; 16],
}

/// Writes the line of one connection attempt.
fn log(shard: &Shard, front: &Front, rules: &Rules, comer: Comer<'_>, attempt: &Attempt<'_>) {
    let Some(log) = &rules.logs.connection else { return };
    let entry = Entry {
        time: clock::since_epoch(),
        client: comer.client,
        listener_port: front.port,
        tls_protocol: attempt.agreed.version.map(version_name),
        tls_cipher: attempt.agreed.suite.map(suite_name),
        handshake: attempt.took,
        leaf: attempt.leaf.as_ref(),
        verify: attempt.verify,
        trace_id: (comer.trace_id)(),
        key_exchange: attempt.agreed.group.map(group_name),
        resumed: attempt.agreed.resumed,
        elb: &log.elb,
        address: comer.address,
        generation: attempt.generation.unwrap_or(rules.generation),
        server_name: attempt.server_name,
        listener: &rules.listener.name,
        reason: attempt.reason,
    };
    shard.logging.add(log, |form, out| entry.write(form, out));
}

/// ALB's code for every failure that has none of its own.
const UNMAPPED: &str = "UnmappedConnectionError";
