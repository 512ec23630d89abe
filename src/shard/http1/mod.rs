//! HTTP/1.1 on a client's connection: one request after the other.
//!
//! A [`session`] is what lasts as long as the connection. Each turn waits for a head, decides, and answers or hands
//! over to [`exchange`], which has [`upload`] and [`download`] flow at the same time, while [`ahead`] listens for what
//! the client sends too early; a WebSocket becomes a [`tunnel`]. Only one request is in work at a time, so pipelined
//! ones are answered in order.
mod ahead;
mod download;
mod exchange;
mod session;
mod tunnel;
mod upload;

use super::Phase;
use super::front::Rules;
use super::recording::Recording;
use super::request::{self, Asked, Decision};
use crate::close::Reason;
use crate::http::desync::{self, Refused};
use crate::http::head;
use crate::http::respond::Answer;
use crate::limits;
use crate::net::{Buf, ByteStream};
use crate::observe::count::Relief;
use exchange::Task;
use session::Next;
pub(super) use session::Session;
use std::time::Instant;

/// Serves requests until the connection ends; says why, where it was not as agreed.
///
/// * `session`: by reference, as a future keeps what it is called with beside what becomes of it.
pub(super) async fn serve(session: &mut Session<'_>) -> Option<Reason> {
    let (reason, abort) = loop {
        match session.turn().await {
            Next::KeepAlive => session.phase = Phase::Between,
            Next::Done => break (None, false),
            Next::Close(reason) | Next::NoRequest(reason) => break (Some(reason), false),
            Next::Abort(reason) => break (Some(reason), true),
        }
    };
    if session.pressed.get() {
        session.connection.shard.count_relief(Relief::Ended);
    }
    let (wire, ahead) = (session.wire, std::mem::take(&mut session.ahead));
    if abort {
        // What is pending would send FIN before the reset.
        if ahead.is_pending() {
            wire.socket().stop_reading(reason.unwrap_or(Reason::ClientClosed));
            ahead.finish().await;
        }
        wire.socket().reset_on_close();
    } else {
        Box::pin(ahead.close(wire)).await;
    }
    reason
}

impl Session<'_> {
    /// Waits for a request and serves it.
    async fn turn(&mut self) -> Next {
        if let Err(reason) = self.first_byte().await {
            return Next::NoRequest(reason);
        }
        let rules = self.connection.front.rules();
        self.recording = Recording::begin(self.connection, &self.client, &rules);
        // Idle connections do not keep room for a request.
        let next = Box::pin(self.request()).await;
        if let Some(reason) = next.reason() {
            self.connection.count_failed(reason);
        }
        self.recording.finish(self.connection, &self.client, next.reason());
        next
    }

    /// One request: reads until its head is whole, decides, and carries that out.
    async fn request(&mut self) -> Next {
        self.expect_head();
        let mut seen = 0;
        loop {
            if !self.inbox.is_empty() && head::worth_parsing(&self.inbox, seen) {
                // The rules of the step in which the head is whole, so that no request is dispatched
                // by an older generation than its shard has acknowledged.
                let rules = self.connection.front.rules();
                match self.connection.judge_again(self.wire, &self.client, &rules) {
                    Ok(None) => {}
                    Ok(Some(client)) => self.client = client,
                    Err(reason) => {
                        self.recording.note(|record| record.unreadable(&self.inbox));
                        return Next::Close(reason);
                    }
                }
                match self.read(&rules) {
                    Ok(Some((asked, decision, head))) => {
                        self.wire.socket().disarm_reading();
                        return self.carry_out(&rules, asked, decision, head).await;
                    }
                    Ok(None) => {}
                    Err(Refused { malformed, class_reason }) => {
                        self.connection.count_class(class_reason);
                        self.recording.note(|record| {
                            record.unreadable(&self.inbox);
                            record.classification = class_reason;
                        });
                        return self.refuse_malformed(&rules, malformed).await;
                    }
                }
            }
            seen = self.inbox.len();
            self.weigh(limits::BUFFER_BYTES.max(seen));
            self.inbox.reserve(limits::REQUEST_HEAD_BYTES_MAX / 16);
            if let Err(reason) = self.receive().await {
                // Where nothing of a request has come, nobody waits for an answer.
                if self.inbox.is_empty() {
                    self.recording.forget();
                    return Next::NoRequest(
                        self.wire.socket().killed().unwrap_or(Reason::ClientClosed),
                    );
                }
                self.recording.note(|record| record.unreadable(&self.inbox));
                return self.refuse(&self.connection.front.rules(), None, reason).await;
            }
        }
    }

    /// Says what the request in work holds, with its buffers.
    fn weigh(&self, buffer_bytes: usize) {
        self.connection.place.weigh(limits::REQUEST_TASK_BYTES + buffer_bytes);
    }

    /// From the first byte on there is one deadline for the whole head, which no byte moves.
    fn expect_head(&self) {
        let rules = self.connection.front.rules();
        let (idle, head) = (rules.listener.idle_timeout, rules.listener.slow_clients.head_timeout);
        let reason = if head < idle { Reason::SlowHead } else { Reason::ClientTimeout };
        self.wire.socket().arm_reading(head.min(idle), reason);
    }

    async fn carry_out(
        &mut self,
        rules: &Rules,
        asked: Asked,
        decision: Decision<'_>,
        head: Buf,
    ) -> Next {
        match decision {
            Decision::Forward(group) => {
                let due =
                    rules.listener.slow_clients.request_timeout.map(|after| Instant::now() + after);
                self.weigh(self.inbox.len() + 2 * limits::BUFFER_BYTES);
                exchange::run(self, Task { rules, group, asked, due }, head).await
            }
            Decision::Answer(fixed) => {
                self.inbox.consume(asked.head_bytes);
                let keep_alive = !asked.has_body() && self.keeps_alive(&asked);
                self.answer(rules, Some(&asked), &request::fixed_answer(fixed), keep_alive).await
            }
            Decision::Refuse(refusal) => {
                self.answer(rules, Some(&asked), &Answer::refused(refusal), false).await
            }
            Decision::Turn(status) => {
                self.answer(rules, Some(&asked), &Answer::standard(status), false).await
            }
        }
    }

    /// Waits for the first byte of a request, holding no buffer.
    async fn first_byte(&mut self) -> Result<(), Reason> {
        if !self.inbox.is_empty() {
            return Ok(());
        }
        self.inbox = Buf::default();
        let mut within = self.connection.front.rules().listener.idle_timeout;
        if self.connection.front.is_retired() && !self.wire.has_bytes() {
            if self.phase == Phase::Between {
                return Err(Reason::Draining);
            }
            // It has connected and not been served yet: its first request may be on its way.
            within = within.min(limits::LINGER);
        }
        let socket = self.wire.socket();
        socket.arm_reading(within, Reason::Idle);
        self.connection.place.weigh(0);
        self.connection.place.set_phase(self.phase);
        let begun = std::mem::take(&mut self.ahead).next(self.wire).await;
        self.connection.place.set_phase(Phase::Serving);
        match (socket.killed(), begun) {
            (Some(reason), _) => Err(reason),
            (None, Err(_)) => Err(Reason::ClientClosed),
            (None, Ok(begun)) => {
                self.connection.front.counters.received_bytes.add(begun.len() as u64);
                self.inbox = begun;
                Ok(())
            }
        }
    }

    /// Parses the head, decides what is done, and writes the head that a target gets. `None` needs more
    /// bytes.
    fn read<'r>(
        &mut self,
        rules: &'r Rules,
    ) -> Result<Option<(Asked, Decision<'r>, Buf)>, Refused> {
        let Self { connection, wire, client, inbox, trace_id, recording, .. } = self;
        desync::request(inbox, rules.listener.attributes.desync, |request| {
            connection.count_class(request.class_reason);
            connection.renew_trace_id(trace_id, request);
            let decision = request::decide(client, rules, request);
            recording.note(|record| record.asked(request, trace_id));
            recording.decided(decision, rules);
            let head = match decision {
                Decision::Forward(_) => {
                    let behind = connection.behind(wire, client, trace_id);
                    let (head, invalid_names) = connection.head_for_target(rules, request, &behind);
                    connection.count_invalid_names(invalid_names);
                    head
                }
                Decision::Answer(_) | Decision::Refuse(_) | Decision::Turn(_) => Buf::default(),
            };
            (Asked::of(request), decision, head)
        })
    }

    /// Receives more into the inbox.
    async fn receive(&mut self) -> Result<(), Reason> {
        let inbox = std::mem::take(&mut self.inbox);
        let (result, inbox) = self.wire.read(inbox).await;
        self.inbox = inbox;
        match result {
            Ok(0) => Err(self.wire.socket().killed().unwrap_or(Reason::RequestIncomplete)),
            Ok(count) => {
                self.connection.front.counters.received_bytes.add(count as u64);
                Ok(())
            }
            Err(_) => Err(self.wire.socket().killed().unwrap_or(Reason::ClientClosed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_takes_no_more_than_it_is_weighed_with() {
        fn bytes<'a, 's: 'a, F>(_: impl Fn(&'a mut Session<'s>) -> F) -> usize {
            size_of::<F>()
        }
        assert!(
            bytes(Session::request) < limits::REQUEST_TASK_BYTES,
            "{}",
            bytes(Session::request)
        );
    }
}
