//! A connection before its first request: the ClientHello is peeked at, the handshake made, the verdict
//! taken.
//!
//! ```text
//! accepted --> Hello (peek) --> Handshake --> Requests
//!     `-- without TLS ----------------------------'
//! ```
use super::attempt::{Attempt, Failure};
use super::connection::{Client, Connection};
use super::front::{HandshakeInFlight, Rules};
use super::judge::HandshakeJudge;
use super::sweep::Judged;
use super::wire::{Wire, linger};
use crate::close::Reason;
use crate::config::snapshot::{RefusalForm, Tls};
use crate::limits;
use crate::net::{Buf, Sock};
use crate::observe::count::Handshake;
use crate::tls::peek::{self, Peeked};
use crate::tls::policy::{suite_name, version_name};
use crate::tls::stream::{Agreed, Failed, HandshakeError, Stream};
use std::rc::Rc;
use std::sync::Arc;

impl Connection {
    /// Up to the first request.
    pub(super) async fn begin(&self, socket: Sock) -> Option<(Wire, Client)> {
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
}

/// How a killed handshake is counted.
fn killed_outcome(reason: Reason) -> Handshake {
    if reason == Reason::HandshakeTimeout { Handshake::TimedOut } else { Handshake::Failed }
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
