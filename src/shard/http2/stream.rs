//! A stream whose request goes to a target: what [`super::exchange`] (a target of HTTP/1.1) and
//! [`super::relay`] (one of HTTP/2) have in common.
use super::answer::Sender;
use super::paced::Paced;
use crate::close::Reason;
use crate::config::snapshot::Floor;
use crate::http::forward::{self, InvalidNames};
use crate::http::h2::{fields, request as head};
use crate::http::head::{Malformed, Request};
use crate::http::respond::Answer;
use crate::net::Buf;
use crate::observe::access_log::Record;
use crate::observe::count;
use crate::shard::front::Rules;
use crate::shard::outcome::{Cause, Told};
use crate::shard::request::Asked;
use crate::target::{Group, ProtocolVersion};
use http::request::Parts;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use tokio::time::{Sleep, sleep_until};

/// A stream whose request goes to a target.
pub(super) struct Stream {
    pub(super) sender: Sender,
    pub(super) asked: Asked,
    pub(super) grpc: bool,
    pub(super) group: Arc<Group>,
    /// X-Amzn-Trace-Id: each try is sent with the same one.
    pub(super) trace_id: Vec<u8>,
}

/// How slow a client may be.
pub(super) struct Floors {
    pub(super) body: Option<Floor>,
    pub(super) answer: Option<Floor>,
}

/// What a target gets first.
pub(super) enum Head {
    Http1(Buf),
    Http2(http::Request<()>),
}

impl Stream {
    /// The head that its target gets, to be written in the step that has decided on it. None where HTTP/2
    /// has no way to say it.
    pub(super) fn head(&self, request: &Request<'_, '_>, parts: &Parts) -> Option<Head> {
        let (head, invalid_names) = match self.group.protocol_version {
            ProtocolVersion::Http1 => {
                let (head, invalid_names) = self.head_by_http1(request);
                (Head::Http1(head), invalid_names)
            }
            ProtocolVersion::Http2 | ProtocolVersion::Grpc => {
                let (head, invalid_names) = self.head_by_http2(request, parts)?;
                (Head::Http2(head), invalid_names)
            }
        };
        self.sender.connection().count_invalid_names(invalid_names);
        Some(head)
    }

    pub(super) fn head_by_http1(&self, request: &Request<'_, '_>) -> (Buf, Option<InvalidNames>) {
        let connection = self.sender.connection();
        connection.head_for_target(&self.sender.rules, request, &self.behind())
    }

    pub(super) fn head_by_http2(
        &self,
        request: &Request<'_, '_>,
        parts: &Parts,
    ) -> Option<(http::Request<()>, Option<InvalidNames>)> {
        let Rules { listener, forbidden, .. } = &*self.sender.rules;
        head::onward(parts, request, &self.behind(), &listener.attributes, forbidden)
    }

    fn behind(&self) -> forward::Client<'_> {
        let wire = &self.sender.place.shared.wire;
        self.sender.connection().behind(wire, &self.sender.client, &self.trace_id)
    }

    /// Reads the head once more, for another try.
    pub(super) fn again<T>(
        &self,
        parts: &Parts,
        write: impl FnOnce(&Request<'_, '_>) -> Option<T>,
    ) -> Option<T> {
        let fields = fields(&parts.headers).ok()?;
        write(&head::checked(parts, &fields, !self.asked.has_body()).ok()?)
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut Record)) {
        self.sender.recording.note(note);
    }

    /// Ends a request without a whole answer of its target's; with `code` where part of it has gone.
    pub(super) fn give_up(
        &self,
        counters: &count::TargetGroup,
        cause: Cause,
        told: Told,
        code: h2::Reason,
    ) {
        cause.note(told, counters, &self.sender.recording);
        match cause {
            Cause::Malformed(malformed) => self.refuse_malformed(told, malformed),
            Cause::Client { reason, .. } | Cause::Target(reason) => self.end(told, reason, code),
        }
    }

    fn end(&self, told: Told, reason: Reason, code: h2::Reason) {
        self.note(|record| record.failed(reason));
        match told {
            Told::Nothing => self.refuse(reason),
            Told::Part | Told::Refusal => {
                self.sender.connection().count_failed(reason);
                self.sender.reset(code);
            }
        }
    }

    fn refuse_malformed(&self, told: Told, malformed: Malformed) {
        self.sender.connection().note_malformed(malformed);
        self.note(|record| record.reason = Some(malformed.word()));
        match told {
            Told::Nothing => {
                self.sender.own(Some(&self.asked), &Answer::standard(malformed.status()));
            }
            Told::Part | Told::Refusal => self.sender.reset(h2::Reason::PROTOCOL_ERROR),
        }
    }

    /// Answers a request that cannot be served.
    pub(super) fn refuse(&self, reason: Reason) {
        self.sender.connection().count_failed(reason);
        self.note(|record| record.failed(reason));
        match reason.status() {
            Some(status) => {
                self.sender.own_to(Some(&self.asked), &Answer::standard(status), self.grpc);
            }
            None => self.sender.reset(h2::Reason::CANCEL),
        }
    }

    /// What `future` gives, unless the client resets the stream first: then it is dropped.
    pub(super) async fn unless_reset<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        poll_fn(|context| match self.sender.poll_reset(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => future.as_mut().poll(context).map(Some),
        })
        .await
    }

    /// The client took its request back before a target had it.
    pub(super) fn gone(&self) {
        self.sender.connection().count_failed(Reason::ClientClosed);
        if !self.asked.has_body() {
            self.note(Record::taken_back);
        }
        self.note(|record| record.failed(Reason::ClientClosed));
    }

    /// How slow the client may be.
    pub(super) fn floors(&self) -> Floors {
        let slow_clients = &self.sender.rules.listener.slow_clients;
        match self.is_call() {
            true => Floors { body: None, answer: None },
            false => Floors { body: slow_clients.body, answer: slow_clients.answer },
        }
    }

    /// How slowly its content may come.
    pub(super) fn paced(&self) -> Paced<'_> {
        Paced::new(self.floors().body, &self.sender.place.shared.stalled)
    }

    /// Whether it may be as slow and as long as both sides like: by what the group is for, as what its client
    /// says of itself would exempt anybody.
    fn is_call(&self) -> bool {
        self.group.protocol_version == ProtocolVersion::Grpc
    }

    /// When the answer must be whole.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let within =
            self.sender.rules.listener.slow_clients.request_timeout.filter(|_| !self.is_call());
        within.map(|within| self.sender.place.began + within)
    }

    /// Waits until then.
    pub(super) fn due(&self) -> Option<Pin<Box<Sleep>>> {
        self.due_at().map(|due| Box::pin(sleep_until(due.into())))
    }

    /// What a request is ended by whose time is up: one that is whole waits for its target. An answer that has
    /// begun is cut off.
    pub(super) fn overdue(&self, is_whole: bool) -> Reason {
        match (self.sender.has_begun(), is_whole) {
            (true, _) => {
                self.sender.reset(h2::Reason::CANCEL);
                Reason::RequestTimeout
            }
            (false, true) => Reason::TargetTimeout,
            (false, false) => Reason::RequestTimeout,
        }
    }
}
