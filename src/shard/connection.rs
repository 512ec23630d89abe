//! A connection from its first byte to its last.
//!
//! ```text
//! accepted --> Hello (peek) --> Handshake --> Requests --> closed
//!     `-- without TLS ----------------------------'
//! ```
//!
//! Every connection writes one line of the connection log: at the end of its handshake, or when it is
//! accepted where there is none.
use super::front::{Front, HandshakeInFlight, Rules};
use super::judge::{HandshakeJudge, Shown, Verdict};
use super::sweep::Judged;
use super::wire::{Wire, linger};
use super::{Place, Shard, http1, http2};
use crate::clock;
use crate::close::Reason;
use crate::config::snapshot::{RefusalForm, Tls};
use crate::limits;
use crate::net::{Buf, Sock};
use crate::observe::connection_log::Entry;
use crate::observe::count::Handshake;
use crate::tls::peek::{self, Peeked};
use crate::tls::policy::{group_name, suite_name, version_name};
use crate::tls::stream::{Agreed, Failed, HandshakeError, Stream};
use crate::trust::{Facts, Refusal};
use std::cell::OnceCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the stages of a connection share.
#[derive(Debug)]
pub struct Connection {
    /// Its shard.
    pub shard: Rc<Shard>,
    /// Its listener.
    pub front: Rc<Front>,
    /// Where it is registered.
    pub place: Place,
    /// The client.
    pub client: SocketAddr,
    /// The address of this node that the client came to.
    pub address: IpAddr,
    /// When it was accepted.
    pub accepted: Instant,
    /// How long its client may keep it.
    keep_alive: Duration,
    trace_id: OnceCell<[u8; 16]>,
}

/// What a client is to the requests of its connection.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The generation that judged it; of no meaning without TLS.
    pub generation: u64,
    /// Identity header lines.
    pub identity: Vec<u8>,
    /// OpenSSL spelling of protocol and cipher; none without TLS.
    pub tls_names: Option<(&'static str, &'static str)>,
    /// The server name that it gave in its handshake.
    pub server_name: Option<String>,
    /// The certificate that was chosen for it.
    pub shown: Option<Shown>,
    /// Whether its session was resumed, so that it did not get to see that.
    pub resumed: bool,
    /// Why every request gets 403 (`refusal: http`).
    pub refused: Option<Refusal>,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    shard: Rc<Shard>,
    front: Rc<Front>,
    place: Place,
    socket: Sock,
    client: SocketAddr,
) {
    let address = address_of(&socket);
    let keep_alive = front.rules().listener.client_keep_alive;
    let (accepted, trace_id) = (Instant::now(), OnceCell::new());
    let connection =
        Connection { shard, front, place, client, address, accepted, keep_alive, trace_id };
    // A task has room for the largest of its stages; the handshake's is given back when it ends.
    let begun = Box::pin(connection.begin(socket)).await;
    let Some((wire, client)) = begun else { return };
    let front = Rc::clone(&connection.front);
    let reason = match wire.is_http2() {
        true => Box::pin(http2::serve(connection, wire, client)).await,
        false => http1::serve(&connection, &wire, client).await,
    };
    if let Some(reason) = reason {
        front.counters.closed[reason.index()].add(1);
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
    let comer = Comer { client, address: address_of(socket), trace_id: &OnceCell::new() };
    log(shard, front, &rules, comer, &attempt);
}

/// The address of this node that the client came to.
fn address_of(socket: &Sock) -> IpAddr {
    socket.local().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
}

impl Connection {
    /// Up to the first request.
    async fn begin(&self, socket: Sock) -> Option<(Wire, Client)> {
        let rules = self.front.rules();
        match rules.tls() {
            Some(tls) => self.handshake(&rules, tls, socket).await,
            None => {
                self.log(&rules, &Attempt::plain());
                Some((Wire::Plain(socket), Client::default()))
            }
        }
    }

    /// Peeks, handshakes, takes the verdict, logs. `None` when that was the end of it.
    async fn handshake(&self, rules: &Rules, tls: &Tls, socket: Sock) -> Option<(Wire, Client)> {
        let Some(in_flight) = self.front.begin_handshake(&self.shard) else {
            self.front.counters.handshakes[Handshake::Shed.index()].add(1);
            self.log(rules, &Attempt::failed(Handshake::Shed, None, "shed"));
            return None;
        };
        socket.arm(rules.listener.handshake_timeout, Reason::HandshakeTimeout);
        let (hello, server_name) = match read_hello(&socket).await {
            Ok(hello) => hello,
            Err(failed) => {
                let failure = Failure { handshake: failed, verdict: None };
                self.end_handshake(rules, &socket, None, failure, in_flight).await;
                return None;
            }
        };
        let judge = Rc::new(HandshakeJudge::new(
            Arc::clone(&self.shard.live),
            Arc::clone(&rules.listener.name),
            server_name.clone(),
            Rc::clone(&self.shard.seen),
        ));
        let config = Arc::clone(&tls.access(server_name.as_deref()).server_config);
        let name = server_name.as_deref();
        let stream = match Stream::accept(socket.clone(), hello, config, judge.clone()).await {
            Ok(stream) => stream,
            Err(failed) => {
                self.count_resumption(&judge, failed.agreed);
                let failure = Failure { handshake: *failed, verdict: judge.taken() };
                if failure.is_without_certificate() {
                    judge.none_shown();
                }
                self.end_handshake(rules, &socket, name, failure, in_flight).await;
                return None;
            }
        };
        // From here to the log line nothing awaits: the verdict and the acceptance are one step.
        let agreed = stream.agreed();
        self.count_resumption(&judge, agreed);
        let verdict = stream.with_client_chain(|chain| judge.conclude(chain));
        let Some(verdict) = verdict else {
            // The listener went away during the handshake.
            self.front.counters.handshakes[Handshake::Failed.index()].add(1);
            self.log(rules, &Attempt::failed(Handshake::Failed, name, Reason::Draining.word()));
            return None;
        };
        let took = self.accepted.elapsed();
        let outcome = verdict.outcome();
        self.front.counters.handshakes[outcome.index()].add(1);
        self.front.counters.handshake_seconds.note(took.as_secs_f64());
        self.log(rules, &Attempt::concluded(&verdict, agreed, took, name));
        let client = Client {
            generation: verdict.generation,
            server_name: server_name.clone(),
            tls_names: names(agreed),
            shown: judge.shown(),
            resumed: agreed.resumed,
            refused: verdict.result.as_ref().err().copied(),
            identity: verdict.result.unwrap_or_default(),
        };
        if client.refused.is_some() && verdict.form != RefusalForm::Http {
            // Trust changed between the certificate and the end of the handshake.
            socket.reset_on_close();
            return None;
        }
        socket.disarm();
        let stream = Rc::new(stream);
        self.place.watch(Judged::new(Rc::clone(&stream), server_name, verdict.accepted));
        Some((Wire::Tls(stream), client))
    }

    /// Ends a handshake that failed: counts, logs, and tells the client what the listener lets it know.
    async fn end_handshake(
        &self,
        rules: &Rules,
        socket: &Sock,
        server_name: Option<&str>,
        failure: Failure,
        in_flight: HandshakeInFlight,
    ) {
        let attempt = match socket.killed() {
            Some(reason) => Attempt::failed(killed_outcome(reason), server_name, reason.word()),
            None => failure.attempt(server_name),
        };
        self.front.counters.handshakes[attempt.outcome.index()].add(1);
        self.log(rules, &attempt);
        let refused = matches!(attempt.outcome, Handshake::Refused(_));
        let form = rules.tls().map_or(RefusalForm::Alert, |tls| {
            tls.access(server_name).authentication.refusal_form()
        });
        if refused && form == RefusalForm::Reset {
            socket.reset_on_close();
            return;
        }
        // The handshake is over; what follows is only politeness, bounded by its own deadline.
        drop(in_flight);
        let alert = failure.handshake.alert;
        if !alert.is_empty() && socket.send_all(alert).await.0.is_ok() {
            // The client's own bytes may still be on their way, and a reset would overtake the alert.
            linger(socket).await;
        }
    }

    /// Counts what came of the tickets that the client brought.
    fn count_resumption(&self, judge: &HandshakeJudge, agreed: Agreed) {
        if let Some(outcome) = judge.resumption(agreed.resumed) {
            self.front.counters.resumptions[outcome.index()].add(1);
        }
    }

    fn log(&self, rules: &Rules, attempt: &Attempt<'_>) {
        let Self { client, address, trace_id, .. } = self;
        let comer = Comer { client: *client, address: *address, trace_id };
        log(&self.shard, &self.front, rules, comer, attempt);
    }

    /// Whether the request in work is to be its last one for its age. That counts from when it was accepted,
    /// by the attribute of that time (`alb-contract.md`, section 5.1).
    pub(super) fn is_old(&self) -> bool {
        self.accepted.elapsed() >= self.keep_alive
    }

    /// What joins the lines of its requests to its own.
    pub(super) fn trace_id(&self) -> [u8; 16] {
        *self.trace_id.get_or_init(new_trace_id)
    }
}

/// Who attempts to connect.
struct Comer<'a> {
    client: SocketAddr,
    /// The address of this node that it came to.
    address: IpAddr,
    /// Made when a log needs it.
    trace_id: &'a OnceCell<[u8; 16]>,
}

fn new_trace_id() -> [u8; 16] {
    let mut trace_id = [0; 16];
    // Without randomness a line is still worth having; its id is then all zeros.
    let _ = aws_lc_rs::rand::fill(&mut trace_id);
    trace_id
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
        trace_id: *comer.trace_id.get_or_init(new_trace_id),
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

/// How a killed handshake is counted.
fn killed_outcome(reason: Reason) -> Handshake {
    if reason == Reason::HandshakeTimeout { Handshake::TimedOut } else { Handshake::Failed }
}

/// A handshake that failed, and the verdict that rustls was given in it.
struct Failure {
    handshake: Failed,
    verdict: Option<Verdict>,
}

impl Failure {
    fn is_without_certificate(&self) -> bool {
        let error = &self.handshake.error;
        matches!(error, HandshakeError::Tls(rustls::Error::NoCertificatesPresented))
    }

    fn attempt<'a>(&self, server_name: Option<&'a str>) -> Attempt<'a> {
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

/// ALB's code for every failure that has none of its own.
const UNMAPPED: &str = "UnmappedConnectionError";

/// What the log says of one connection attempt.
struct Attempt<'a> {
    outcome: Handshake,
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
    fn plain() -> Self {
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
    fn failed(outcome: Handshake, server_name: Option<&'a str>, reason: &'a str) -> Self {
        Self {
            outcome,
            verify: Some(Err(UNMAPPED)),
            server_name,
            reason: Some(reason),
            ..Self::plain()
        }
    }

    /// A handshake that was finished, whatever the verdict.
    fn concluded(
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

/// OpenSSL spelling of what was agreed on.
fn names(agreed: Agreed) -> Option<(&'static str, &'static str)> {
    Some((version_name(agreed.version?), suite_name(agreed.suite?)))
}

/// Reads until the ClientHello is whole, and the name in it.
///
/// Only a ClientHello that the peek has understood goes to rustls: rustls skips a warning alert before
/// one, and takes one in records so small that it is over our bound, and would then serve under the
/// listener's own policy a client that names another.
async fn read_hello(socket: &Sock) -> Result<(Buf, Option<String>), Failed> {
    let mut received = Buf::take();
    loop {
        let (result, back) = socket.recv(received).await;
        received = back;
        match result {
            Ok(0) => return Err(Failed::early(HandshakeError::Closed)),
            Ok(_) => {}
            Err(error) => return Err(Failed::early(error.into())),
        }
        match peek::server_name(&received) {
            Peeked::Hello(name) => return Ok((received, name)),
            Peeked::NeedMore => received.reserve(limits::TLS_RECORD_BYTES_MAX / 4),
            Peeked::NotHello => {
                let mut failed = Failed::early(HandshakeError::NotHello);
                failed.alert.extend_from_slice(&peek::alert(&received));
                return Err(failed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: connections that idle stay cheap. Method: the size of the task that each of them keeps.
    #[test]
    fn the_task_of_a_connection_takes_less_than_five_kib() {
        fn bytes<A, B, C, D, E, F>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
            size_of::<F>()
        }
        assert!(bytes(serve) < 5 * 1024, "{} bytes", bytes(serve));
    }
}
