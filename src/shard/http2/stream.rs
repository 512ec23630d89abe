//! One stream's request and its answer, between a client and its target: one of HTTP/1.1 here, one of
//! HTTP/2 in [`super::relay`].
//!
//! As in HTTP/1.1 ([`crate::shard::exchange`]) both directions may flow at the same time, no operation on
//! a socket is dropped before it completes, and a request is sent a second time only where that is safe.
//! Unlike there, nothing of it ends the client's connection: what cannot be answered any more is reset.
use super::answer::Sender;
use super::upload::{Upload, Uploaded};
use crate::close::Reason;
use crate::config::snapshot::Floor;
use crate::http::body::Transfer;
use crate::http::forward::{self, InvalidNames};
use crate::http::h2::{answer, fields, request as head};
use crate::http::head::{Body, Malformed, Request, response, slots};
use crate::http::respond::Answer;
use crate::http::trailers::{self, Filter};
use crate::limits;
use crate::net::{self, Buf};
use crate::observe::access_log::Record;
use crate::observe::count;
use crate::shard::download::{Told, Unanswered};
use crate::shard::front::Rules;
use crate::shard::pace::Pace;
use crate::shard::request::Asked;
use crate::shard::target::{Target, timed_out};
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
struct Floors {
    body: Option<Floor>,
    answer: Option<Floor>,
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
        if self.is_taken_back().await {
            return self.note(Record::cut_short);
        }
        let mut upstream =
            match shard.upstreams.checkout(&self.group, &counters, self.due_at()).await {
                Ok(upstream) => upstream,
                Err(Unreached { reason, target }) => {
                    self.note(|record| record.chose(target));
                    return self.refuse(reason);
                }
            };
        if self.is_taken_back().await {
            shard.upstreams.put_back(upstream);
            return self.note(Record::cut_short);
        }
        self.note(|record| record.chose(Some(upstream.target)));
        counters.requests.add(1);
        let mut body = Some(body);
        loop {
            let (answered, uploaded) = self.attempt(&upstream, head, &mut body).await;
            // Where this node ended it there is nobody to try again for.
            let vanished =
                |failed: &Unanswered| failed.silent && failed.reason == Reason::TargetClosed;
            let repeats =
                answered.as_ref().is_err_and(vanished) && upstream.reused && parts.is_some();
            if !repeats {
                return self.conclude(&counters, upstream, answered, uploaded);
            }
            counters.retries.add(1);
            let fresh = shard.upstreams.fresh(upstream.target, &counters, self.due_at()).await;
            let again = parts
                .as_ref()
                .and_then(|parts| self.again(parts, |request| Some(self.head_by_http1(request).0)));
            (upstream, head) = match (fresh, again) {
                (Ok(upstream), Some(head)) => (upstream, head),
                (Err(reason), _) => return self.refuse(reason),
                (Ok(_), None) => return self.refuse(Reason::Internal),
            };
        }
    }

    /// Whether the client has reset the stream already, so that no target need hear of it.
    async fn is_taken_back(&self) -> bool {
        poll_fn(|context| Poll::Ready(self.sender.poll_reset(context).is_ready())).await
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
                self.end(failed.told, reason);
            }
            (Err(failed), Uploaded::Whole | Uploaded::TargetStopped | Uploaded::Abandoned) => {
                // Without its client an exchange is no failure of the target's.
                if !failed.reason.is_of_client() {
                    counters.errors[failed.reason.index()].add(1);
                }
                self.end(failed.told, failed.reason);
            }
        }
    }

    /// Ends a request without a whole answer of its target's.
    fn end(&self, told: Told, reason: Reason) {
        self.note(|record| record.failed(reason));
        match told {
            Told::Nothing => self.refuse(reason),
            Told::Part | Told::Refusal => {
                self.sender.connection().count_failed(reason);
                self.sender.reset(h2::Reason::INTERNAL_ERROR);
            }
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

    /// How slow the client may be. A call of gRPC may be as slow as both sides like.
    fn floors(&self) -> Floors {
        let slow_clients = &self.sender.rules.listener.slow_clients;
        match self.grpc {
            true => Floors { body: None, answer: None },
            false => Floors { body: slow_clients.body, answer: slow_clients.answer },
        }
    }

    /// When the answer must be whole.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let within = self.sender.rules.listener.slow_clients.request_timeout.filter(|_| !self.grpc);
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
        head: Buf,
        body: &mut Option<RecvStream>,
    ) -> (Result<KeepTarget, Unanswered>, Uploaded) {
        let target = Target {
            socket: &upstream.socket,
            idle: self.sender.rules.listener.idle_timeout,
            receive_bytes_max: self.sender.place.shared.wire.write_bytes_max().min(FRAME_BYTES),
        };
        self.note(|record| record.dispatched(Instant::now()));
        if target.send(head).await.is_err() {
            return (Err(target.unsent()), Uploaded::Whole);
        }
        let whole = Cell::new(!self.asked.has_body());
        let answered = Cell::new(false);
        let up = async {
            match body.take().filter(|_| self.asked.has_body()) {
                Some(body) => {
                    let framing = self.asked.body;
                    let (whole, answered) = (&whole, &answered);
                    let recording = &self.sender.recording;
                    let (floor, pace) = (self.floors().body, Pace::default());
                    let stalled = &self.sender.place.shared.stalled;
                    let upload = Upload {
                        body,
                        target,
                        framing,
                        floor,
                        pace,
                        stalled,
                        whole,
                        answered,
                        recording,
                    };
                    upload.run().await
                }
                None => Uploaded::Whole,
            }
        };
        let mut up = pin!(up);
        let mut uploaded = None;
        let mut due = self.due();
        let download = {
            let mut down = pin!(self.download(target, &whole));
            let mut reset = false;
            poll_fn(|context| {
                if uploaded.is_none()
                    && let Poll::Ready(how) = up.as_mut().poll(context)
                {
                    if let Uploaded::ClientEnded(reason) = how {
                        target.socket.kill(reason);
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
        match uploaded {
            Some(uploaded) => (download, uploaded),
            None => {
                // The answer is there first: nothing more goes to the target.
                answered.set(true);
                target.socket.kill(Reason::ClientClosed);
                (download, up.await)
            }
        }
    }

    /// The answer, from the target to the client.
    async fn download(
        &self,
        target: Target<'_>,
        uploaded: &Cell<bool>,
    ) -> Result<KeepTarget, Unanswered> {
        let mut received = Buf::take();
        let floor = self.floors().answer;
        let head = self.final_head(target, uploaded, &mut received).await?;
        let failed = |reason, told| Unanswered { reason, told, silent: false };
        let Rules { listener, forbidden, .. } = &*self.sender.rules;
        let trailers = Filter::of_response(head.trailers_may_pass, forbidden, &listener.attributes);
        let mut transfer = Transfer::new(head.body, Body::UntilClose, trailers);
        let status = head.response.status().as_u16();
        self.sender.connection().count_response(status);
        self.note(|record| {
            let now = Instant::now();
            record.answered(status, now);
            record.passed_on(now);
            record.elb_status = Some(status);
        });
        self.sender
            .begin(head.response, transfer.is_done())
            .map_err(|reason| failed(reason, Told::Part))?;
        let failed = |reason| failed(reason, Told::Part);
        while !transfer.is_done() {
            let mut out = Buf::default();
            transfer.step(&mut received, &mut out).map_err(|_| failed(Reason::TargetMalformed))?;
            if !out.is_empty() || transfer.is_done() {
                let last = transfer.is_done();
                self.sender.send(out.into(), last, target.idle, floor).await.map_err(failed)?;
                continue;
            }
            match target.receive(&mut received, uploaded.get()).await.map_err(failed)? {
                0 if transfer.ends_by_close() => {
                    transfer.close(&mut out);
                    self.sender.send(out.into(), true, target.idle, floor).await.map_err(failed)?;
                }
                0 => return Err(failed(Reason::TargetClosed)),
                _ => {}
            }
        }
        Ok(KeepTarget(head.keep_target && received.is_empty()))
    }

    /// Reads up to the final response head; interim ones go on.
    async fn final_head(
        &self,
        target: Target<'_>,
        uploaded: &Cell<bool>,
        received: &mut Buf,
    ) -> Result<Answered, Unanswered> {
        let mut silent = true;
        for _ in 0..=limits::INTERIM_ANSWERS_MAX {
            let parse = |received: &Buf| {
                self.note(|record| record.answering(Instant::now()));
                self.parse(received)
            };
            let head = target.head(received, uploaded, &mut silent, parse).await;
            let head = head.map_err(|reason| {
                let silent = silent && !timed_out(reason);
                Unanswered { reason, told: Told::Nothing, silent }
            })?;
            received.consume(head.bytes);
            let status = head.response.status().as_u16();
            if status >= 200 {
                return Ok(head);
            }
            self.note(Record::interim);
            match status {
                // A client of HTTP/2 does not wait for it.
                100 => {}
                _ => self.sender.inform(head.response),
            }
        }
        Err(Unanswered { reason: Reason::TargetMalformed, told: Told::Nothing, silent: false })
    }

    fn parse(&self, received: &Buf) -> Result<Option<Answered>, Malformed> {
        let mut slots = slots();
        let expected = self.asked.expected();
        let Some(read) = response(received, expected, &mut slots)? else { return Ok(None) };
        let Rules { listener, forbidden, .. } = &*self.sender.rules;
        let response = answer::of_target(&read, &listener.attributes, forbidden);
        let response = response.ok_or(Malformed::BadStatus)?;
        let (bytes, body) = (read.length, read.body);
        let trailers_may_pass = trailers::may_pass(&read.connection);
        Ok(Some(Answered {
            bytes,
            body,
            response,
            keep_target: read.keep_alive,
            trailers_may_pass,
        }))
    }
}

/// A response head that has been read, as it goes on.
struct Answered {
    bytes: usize,
    body: Body,
    response: http::Response<()>,
    keep_target: bool,
    trailers_may_pass: bool,
}

/// Whether the target's connection can serve another request.
#[derive(Clone, Copy, Debug)]
struct KeepTarget(bool);

/// Content of one DATA frame, which is then one TLS record with its header.
const FRAME_BYTES: usize = 16 * 1024 - 512;
