//! One stream's request and its answer, between a client and its target: one of HTTP/1.1 here, one of
//! HTTP/2 in [`super::relay`].
//!
//! As in HTTP/1.1 ([`crate::shard::exchange`]) both directions may flow at the same time, no operation on
//! a connected socket is dropped before it completes, and a request is sent a second time only where that is safe.
//! Unlike there, nothing of it ends the client's connection: what cannot be answered any more is reset.
use super::answer::Sender;
use super::download::KeepTarget;
use super::idle::Idle;
use super::paced::Paced;
use super::upload::Upload;
use crate::close::Reason;
use crate::config::snapshot::Floor;
use crate::http::forward::{self, InvalidNames};
use crate::http::h2::{fields, request as head};
use crate::http::head::{Malformed, Request};
use crate::http::respond::Answer;
use crate::http::trailers::Filter;
use crate::net::{self, Buf};
use crate::observe::access_log::Record;
use crate::observe::count;
use crate::shard::front::Rules;
use crate::shard::outcome::{Told, Unanswered, Uploaded};
use crate::shard::request::Asked;
use crate::shard::target::{Target, Uncounted, Waits};
use crate::target::{Group, ProtocolVersion};
use crate::upstream::{Connection as Upstream, Unreached};
use h2::RecvStream;
use http::request::Parts;
use std::cell::Cell;
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

    /// Begins the exchange; `parts` are what `head` was written from.
    pub(super) fn start(self, head: Head, parts: Parts, body: RecvStream) {
        match head {
            Head::Http1(head) => {
                let parts = self.asked.may_repeat().then_some(parts);
                net::spawn(self.exchange(head, parts, body));
            }
            Head::Http2(head) => drop(net::spawn(self.relay(head, parts, body))),
        }
    }

    fn head_by_http1(&self, request: &Request<'_, '_>) -> (Buf, Option<InvalidNames>) {
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

    /// Sends the request to an HTTP/1.1 target of the group and its answer to the client.
    ///
    /// * `parts`: the head, where it may be sent again.
    async fn exchange(self, mut head: Buf, parts: Option<Parts>, body: RecvStream) {
        let shard = &self.sender.connection().shard;
        let counters = shard.target_group(&self.group.name);
        let checkout = shard.upstreams.checkout(&self.group, &counters, self.due_at());
        let mut upstream = match self.unless_reset(checkout).await {
            Some(Ok(upstream)) => upstream,
            Some(Err(Unreached { reason, target })) => {
                self.note(|record| record.chose(target));
                return self.refuse(reason);
            }
            None => return self.gone(),
        };
        self.note(|record| record.chose(Some(upstream.target)));
        let uncounted = Uncounted::new(&counters.requests);
        let mut body = Some(body);
        loop {
            let attempt = self.attempt(&upstream, &uncounted, head, &mut body);
            let (answered, uploaded) = attempt.await;
            // Where this node ended it there is nobody to try again for.
            let vanished =
                |failed: &Unanswered| failed.silent && failed.reason == Reason::TargetClosed;
            let repeats =
                answered.as_ref().is_err_and(vanished) && upstream.reused && parts.is_some();
            if !repeats {
                return self.conclude(&counters, upstream, answered, uploaded);
            }
            counters.retries.add(1);
            let fresh = shard.upstreams.fresh(upstream.target, &counters, self.due_at());
            let fresh = self.unless_reset(fresh).await;
            let again = parts
                .as_ref()
                .and_then(|parts| self.again(parts, |request| Some(self.head_by_http1(request).0)));
            (upstream, head) = match (fresh, again) {
                (Some(Ok(upstream)), Some(head)) => (upstream, head),
                (Some(Err(reason)), _) => return self.refuse(reason),
                (Some(Ok(_)), None) => return self.refuse(Reason::Internal),
                (None, _) => return self.gone(),
            };
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

    pub(super) fn note(&self, note: impl FnOnce(&mut Record)) {
        self.sender.recording.note(note);
    }

    /// What follows from how both directions ended.
    fn conclude(
        &self,
        counters: &count::TargetGroup,
        upstream: Upstream,
        answered: Result<KeepTarget, Unanswered>,
        uploaded: Uploaded,
    ) {
        match (answered, uploaded) {
            (Ok(KeepTarget(true)), Uploaded::Whole) if !self.asked.closes => {
                self.sender.connection().shard.upstreams.put_back(upstream);
            }
            (Ok(_), _) => {}
            (Err(failed), Uploaded::ClientEnded(reason)) => {
                if failed.told == Told::Nothing {
                    self.note(Record::cut_short);
                }
                self.end(failed.told, reason, h2::Reason::INTERNAL_ERROR);
            }
            (Err(failed), Uploaded::Malformed(malformed)) => {
                self.refuse_malformed(failed.told, malformed);
            }
            (Err(failed), Uploaded::Whole | Uploaded::TargetStopped | Uploaded::Abandoned) => {
                if failed.reason.is_of_target() {
                    counters.errors[failed.reason.index()].add(1);
                }
                self.end(failed.told, failed.reason, h2::Reason::INTERNAL_ERROR);
            }
        }
    }

    /// Ends a request without a whole answer of its target's; with `code` where part of it has gone.
    pub(super) fn end(&self, told: Told, reason: Reason, code: h2::Reason) {
        self.note(|record| record.failed(reason));
        match told {
            Told::Nothing => self.refuse(reason),
            Told::Part | Told::Refusal => {
                self.sender.connection().count_failed(reason);
                self.sender.reset(code);
            }
        }
    }

    /// The same of a request whose trailers cannot go on.
    pub(super) fn refuse_malformed(&self, told: Told, malformed: Malformed) {
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

    /// Sends the request on one connection and relays what comes back.
    async fn attempt(
        &self,
        upstream: &Upstream,
        uncounted: &Uncounted<'_>,
        head: Buf,
        body: &mut Option<RecvStream>,
    ) -> (Result<KeepTarget, Unanswered>, Uploaded) {
        let Rules { listener, forbidden, .. } = &*self.sender.rules;
        let waits = Waits::default();
        let target = Target {
            socket: &upstream.socket,
            idle: listener.idle_timeout,
            receive_bytes_max: self.sender.place.shared.wire.write_bytes_max().min(FRAME_BYTES),
            waits: &waits,
        };
        self.note(|record| record.dispatched(Instant::now()));
        if target.send(head).await.is_err() {
            return (Err(target.unsent()), Uploaded::Whole);
        }
        uncounted.sent();
        let idle = Idle::new(target.idle);
        let whole = Cell::new(!self.asked.has_body());
        let answered = Cell::new(false);
        // Apart: most requests have no content, and need no room for how it goes.
        let mut up = body.take().filter(|_| self.asked.has_body()).map(|body| {
            let upload = Upload {
                body,
                target,
                framing: self.asked.body,
                trailers: Filter::of_request(true, forbidden, &listener.attributes),
                idle: &idle,
                paced: self.paced(),
                stalled: &self.sender.place.shared.stalled,
                whole: &whole,
                answered: &answered,
                recording: &self.sender.recording,
            };
            Box::pin(upload.run())
        });
        let mut uploaded = up.is_none().then_some(Uploaded::Whole);
        let mut due = self.due();
        let download = {
            let mut down = pin!(self.download(target, &idle, &whole));
            let mut reset = false;
            poll_fn(|context| {
                if uploaded.is_none()
                    && let Some(up) = &mut up
                    && let Poll::Ready(how) = up.as_mut().poll(context)
                {
                    match how {
                        Uploaded::ClientEnded(reason) => target.socket.kill(reason),
                        Uploaded::Malformed(_) => target.socket.kill(Reason::ClientClosed),
                        Uploaded::Whole | Uploaded::TargetStopped | Uploaded::Abandoned => {}
                    }
                    uploaded = Some(how);
                }
                if !reset && self.sender.poll_reset(context).is_ready() {
                    // Without its client an exchange has no purpose; the kill completes the download.
                    reset = true;
                    target.socket.kill(Reason::ClientClosed);
                }
                if !reset && due.as_mut().is_some_and(|due| due.as_mut().poll(context).is_ready()) {
                    reset = true;
                    target.socket.kill(self.overdue(whole.get()));
                }
                down.as_mut().poll(context)
            })
            .await
        };
        match (uploaded, up) {
            (None, Some(up)) => {
                // The answer is there first: nothing more goes to the target.
                answered.set(true);
                target.socket.kill(Reason::ClientClosed);
                (download, up.await)
            }
            (uploaded, _) => (download, uploaded.unwrap_or(Uploaded::Whole)),
        }
    }
}

/// Content of one DATA frame, which is then one TLS record with its header.
const FRAME_BYTES: usize = 16 * 1024 - 512;
