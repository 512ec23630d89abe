//! An answer on its way from the target to the client.
//!
//! [`super::exchange`] polls it beside the request's body. What the client has been told so far decides
//! what can still be said when the target fails.
//! Bound: `limits::INTERIM_ANSWERS_MAX`.
use super::session::Session;
use crate::clock;
use crate::close::Reason;
use crate::http::body::Transfer;
use crate::http::forward::{self, Onward};
use crate::http::head::{self, Body, Malformed, Version};
use crate::http::trailers::{self, Filter};
use crate::http::upgrade;
use crate::limits;
use crate::net::{Buf, ByteStream};
use crate::observe::access_log::Record;
use crate::shard::front::Rules;
use crate::shard::outcome::{IncompleteAnswer, Told};
use crate::shard::request::Asked;
use crate::shard::target::{Target, timed_out};
use std::cell::Cell;
use std::pin::pin;
use std::time::Instant;

/// How an answer went to the client.
#[derive(Debug)]
pub(super) struct Answered {
    /// Both speak another protocol now; what the target has said in it already.
    pub(super) upgraded: Option<Buf>,
    /// Both sides agreed to keep the client's connection.
    pub(super) keep_client: bool,
    /// The target's connection can serve another request.
    pub(super) keep_target: bool,
}

/// The answer, from the target to the client.
pub(super) struct Download<'a, 's> {
    pub(super) session: &'a Session<'s>,
    pub(super) rules: &'a Rules,
    pub(super) asked: &'a Asked,
    pub(super) target: Target<'a>,
    pub(super) uploaded: &'a Cell<bool>,
    /// Set once the client has been told something.
    pub(super) begun: &'a Cell<bool>,
}

/// A response head that has been read, and how it goes on.
struct Head {
    bytes: usize,
    status: u16,
    body: Body,
    onward: Onward,
    keep_target: bool,
    trailers_may_pass: bool,
}

impl Download<'_, '_> {
    pub(super) async fn run(self) -> Result<Answered, IncompleteAnswer> {
        let mut received = Buf::take();
        let (head, mut out) = self.final_head(&mut received).await?;
        self.session.connection.count_response(head.status);
        let Rules { listener, forbidden, .. } = self.rules;
        let trailers = Filter::of_response(head.trailers_may_pass, forbidden, &listener.attributes);
        let mut transfer = Transfer::new(head.body, head.onward.body, trailers);
        self.session.recording.note(|record| {
            record.answered(head.status, Instant::now());
            record.elb_status = Some(head.status);
        });
        let mut told = Told::Nothing;
        let failed = |reason, told| IncompleteAnswer { reason, told, silent: false };
        let socket = self.session.wire.socket();
        loop {
            transfer
                .step(&mut received, &mut out)
                .map_err(|_| failed(Reason::TargetMalformed, told))?;
            if !out.is_empty() {
                if told == Told::Nothing {
                    self.session.recording.note(|record| record.passed_on(Instant::now()));
                }
                told = Told::Part;
                self.begun.set(true);
                // Where its connection's end is an answer's end, half of one must not look whole.
                socket.reset_on_kill(head.onward.body == Body::UntilClose);
                self.send(out).await.map_err(|reason| {
                    self.session.recording.note(Record::not_passed_on);
                    failed(reason, told)
                })?;
                out = Buf::default();
            }
            if transfer.is_done() {
                break;
            }
            match self.target.receive(&mut received, self.uploaded.get()).await {
                Ok(0) if transfer.ends_by_close() => transfer.close(&mut out),
                Ok(0) => return Err(failed(Reason::TargetClosed, told)),
                Ok(_) => {}
                Err(reason) => return Err(failed(reason, told)),
            }
        }
        socket.reset_on_kill(false);
        Ok(Answered {
            keep_client: head.onward.keep_alive,
            keep_target: head.keep_target && received.is_empty(),
            upgraded: (head.status == 101).then_some(received),
        })
    }

    /// Reads up to the final response head, and writes the one that the client gets. Interim answers go
    /// on, but `100 Continue` has been given by this node, and HTTP/1.0 knows none (RFC 9110,
    /// section 15.2). There are `limits::INTERIM_ANSWERS_MAX` of them at most.
    async fn final_head(&self, received: &mut Buf) -> Result<(Head, Buf), IncompleteAnswer> {
        let mut silent = true;
        for _ in 0..=limits::INTERIM_ANSWERS_MAX {
            let parse = |received: &Buf| {
                self.session.recording.note(|record| record.answering(Instant::now()));
                self.parse(received)
            };
            let head = self.target.head(received, self.uploaded, &mut silent, parse).await;
            let (head, out) = head.map_err(|reason| {
                let silent = silent && !timed_out(reason);
                IncompleteAnswer { reason, told: Told::Nothing, silent }
            })?;
            received.consume(head.bytes);
            if head.status >= 200 || head.status == 101 {
                return Ok((head, out));
            }
            self.session.recording.note(Record::interim);
            if head.status != 100 && self.asked.version == Version::Http11 {
                self.send(out).await.map_err(|reason| IncompleteAnswer {
                    reason,
                    told: Told::Part,
                    silent: false,
                })?;
            }
        }
        let reason = Reason::TargetMalformed;
        Err(IncompleteAnswer { reason, told: Told::Nothing, silent: false })
    }

    fn parse(&self, received: &Buf) -> Result<Option<(Head, Buf)>, Malformed> {
        let asked = self.asked;
        let mut slots = head::slots();
        let Some(response) = head::response(received, asked.expected(), &mut slots)? else {
            return Ok(None);
        };
        if response.status == 101 && !upgrade::is_agreed(&response) {
            return Err(Malformed::UnexpectedUpgrade);
        }
        // An answer that comes before the request is whole ends the client's connection: the rest of
        // the request is not worth waiting for.
        let keep = self.uploaded.get() && self.session.keeps_alive(asked);
        let onward = forward::onward(&response, asked.version, keep);
        let out = self.session.connection.write(|out| {
            let Rules { listener, forbidden, .. } = self.rules;
            let attributes = &listener.attributes;
            forward::response(
                out,
                &response,
                onward,
                asked.version,
                attributes,
                forbidden,
                clock::since_epoch,
            );
        });
        let head = Head {
            bytes: response.length,
            status: response.status,
            body: response.body,
            onward,
            keep_target: response.keep_alive && response.body != Body::UntilClose,
            trailers_may_pass: trailers::may_pass(&response.connection),
        };
        Ok(Some((head, out)))
    }

    /// Sends to the client. A client that takes an answer is not silent, so its deadline moves.
    async fn send(&self, out: Buf) -> Result<(), Reason> {
        let sending = pin!(self.session.send(out, self.rules));
        self.target.while_client(sending).await?;
        self.session.wire.socket().extend_reading(self.target.idle);
        Ok(())
    }
}
