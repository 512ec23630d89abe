//! One stream's request and its answer, between a client and an HTTP/2 target.
//!
//! Frame by frame, both directions at once for as long as bytes flow: the windows that either side opens are
//! given to the other only as the content is taken, so that a slow side holds the other and not this node's
//! memory. No operation on a socket stands here, so whatever waits may be dropped: that resets the stream it
//! waits for, the target's with CANCEL, the client's with NO_ERROR once its answer is whole.
//!
//! A request is sent a second time only where
//! the target has certainly done nothing with it (RFC 9113, section 8.7), or may do it twice (RFC 9110,
//! section 9.2.2); content goes with it as far as it was kept.
use super::flow::{is_small, poll_room, unpinned};
use super::idle::Idle;
use super::kept::Kept;
use super::paced::Stalled;
use super::stream::Stream;
use crate::clock;
use crate::close::Reason;
use crate::http::h2::{answer, fields, fields_bytes, response, trailers as trailers_onward};
use crate::http::head::Malformed;
use crate::http::trailers::Filter;
use crate::limits;
use crate::observe::access_log::Record;
use crate::shard::front::Rules;
use crate::shard::outcome::{Cause, Told, Uploaded};
use crate::shard::pace::TooSlow;
use crate::shard::target::CountedOnce;
use crate::upstream::{Lost, NoConnection, Place};
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use http::request::Parts;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug)]
struct Failed {
    by: By,
    /// What the client has been told so far.
    told: Told,
}

#[derive(Clone, Copy, Debug)]
enum By {
    /// The client has gone, took its request back, or is too slow.
    Client {
        reason: Reason,
        uploading: bool,
    },
    /// Its trailers cannot go on.
    Malformed(Malformed),
    Target(Lost),
}

impl Stream {
    /// Sends the request to an HTTP/2 target of the group and its answer to the client.
    pub(super) async fn relay(
        self,
        mut head: http::Request<()>,
        parts: Parts,
        mut body: RecvStream,
    ) {
        let shard = &self.sender.connection().shard;
        let counters = shard.target_group(&self.group.name);
        let kept = Kept::new(&self.sender.place);
        let counted = CountedOnce::new(&counters.requests);
        let mut refused = None;
        loop {
            let place =
                shard.upstreams.place(&self.group, refused.as_ref(), &counters, self.due_at());
            let place = match self.unless_reset(place).await {
                Some(Ok(place)) => place,
                Some(Err(NoConnection { reason, target })) => {
                    self.note(|record| record.chose(target));
                    return self.refuse(reason);
                }
                None => return self.gone(),
            };
            self.note(|record| record.chose(Some(place.target())));
            let attempt = Attempt {
                stream: &self,
                place: &place,
                kept: &kept,
                counted: &counted,
                idle: Idle::new(self.sender.rules.listener.idle_timeout),
                blocked: Blocked::default(),
            };
            let Err(failed) = attempt.run(head, &mut body).await else { return };
            if refused.is_some() || !self.may_repeat(failed, &kept) {
                let (cause, code) = failed.cause();
                return self.give_up(&counters, cause, failed.told, code);
            }
            counters.retries.add(1);
            refused = Some(place.turned_away());
            head = match self.again(&parts, |request| self.head_by_http2(request, &parts)) {
                Some((head, _)) => head,
                None => return self.refuse(Reason::Internal),
            };
        }
    }

    /// Whether the request may be sent again.
    fn may_repeat(&self, failed: Failed, kept: &Kept<'_>) -> bool {
        match failed {
            Failed { by: By::Target(lost), told: Told::Nothing } => {
                let vanished = lost.reason == Reason::TargetClosed && lost.code.is_none();
                kept.is_whole() && (lost.unprocessed || (vanished && self.asked.may_repeat()))
            }
            Failed { by: By::Target(_) | By::Client { .. } | By::Malformed(_), .. } => false,
        }
    }
}

impl Failed {
    /// What ended it, and what the client's stream is reset with after part of an answer.
    fn cause(self) -> (Cause, h2::Reason) {
        match self.by {
            By::Malformed(malformed) => (Cause::Malformed(malformed), h2::Reason::PROTOCOL_ERROR),
            By::Client { reason, uploading } => {
                (Cause::Client { reason, uploading }, h2::Reason::INTERNAL_ERROR)
            }
            By::Target(lost) => (Cause::Target(lost.reason), code_for_client(lost.code)),
        }
    }
}

/// What a client's stream is reset with after part of an answer. What is about the stream goes on; what is
/// about the connection to the target does not concern the client.
fn code_for_client(code: Option<h2::Reason>) -> h2::Reason {
    let of_stream = [h2::Reason::CANCEL, h2::Reason::ENHANCE_YOUR_CALM];
    code.filter(|code| of_stream.contains(code)).unwrap_or(h2::Reason::INTERNAL_ERROR)
}

/// A request on its way to one target.
struct Attempt<'a> {
    stream: &'a Stream,
    place: &'a Place,
    kept: &'a Kept<'a>,
    counted: &'a CountedOnce<'a>,
    idle: Idle,
    blocked: Blocked,
}

impl Attempt<'_> {
    async fn run(&self, head: http::Request<()>, body: &mut RecvStream) -> Result<(), Failed> {
        let sender = &self.stream.sender;
        let has_content = self.stream.asked.has_body();
        let opened = self.place.open(head, !has_content);
        let (mut response, mut target) =
            opened.map_err(|lost| Failed { by: By::Target(lost), told: Told::Nothing })?;
        self.counted.sent();
        self.stream.note(|record| record.dispatched(Instant::now()));
        let told = Cell::new(Told::Nothing);
        let mut up = pin!(self.upload(body, &mut target));
        let mut down = pin!(self.download(&mut response, &told));
        let mut silence = pin!(self.idle.sleep());
        let mut due = self.stream.due();
        let mut uploading = has_content;
        let failed = poll_fn(|context| {
            if sender.poll_reset(context).is_ready() {
                let reason = Reason::ClientClosed;
                return Poll::Ready(Err(By::Client { reason, uploading }));
            }
            if uploading && let Poll::Ready(uploaded) = up.as_mut().poll(context) {
                let (Ok(uploaded) | Err(uploaded)) = uploaded;
                match uploaded {
                    Uploaded::Whole | Uploaded::TargetStopped | Uploaded::Abandoned => {
                        uploading = false;
                    }
                    Uploaded::ClientEnded(reason) => {
                        return Poll::Ready(Err(By::Client { reason, uploading }));
                    }
                    Uploaded::Malformed(malformed) => {
                        return Poll::Ready(Err(By::Malformed(malformed)));
                    }
                }
            }
            if let Poll::Ready(done) = down.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            if due.as_mut().is_some_and(|due| due.as_mut().poll(context).is_ready()) {
                let reason = self.stream.overdue(!uploading);
                let is_of_target = reason == Reason::TargetTimeout;
                let by = if is_of_target { TIMED_OUT } else { By::Client { reason, uploading } };
                return Poll::Ready(Err(by));
            }
            let over = self.idle.poll_over(silence.as_mut(), context);
            over.map(|()| Err(self.timed_out(uploading)))
        });
        failed.await.map_err(|by| Failed { by, told: told.get() })
    }

    /// Nothing has moved for as long as it may. Who is to blame is who was waited for.
    fn timed_out(&self, uploading: bool) -> By {
        let for_target = self.blocked.by_target.get() || !uploading;
        if self.blocked.by_client.get() || !for_target {
            return By::Client { reason: Reason::ClientTimeout, uploading };
        }
        self.place.timed_out(self.idle.since());
        TIMED_OUT
    }

    /// The request's content and trailers, from the client to the target. An error is how it ended, too.
    async fn upload(
        &self,
        body: &mut RecvStream,
        target: &mut SendStream<Bytes>,
    ) -> Result<Uploaded, Uploaded> {
        let gone = |_| Uploaded::ClientEnded(Reason::ClientClosed);
        // What was kept of an earlier attempt has been taken from the client already.
        let mut index = 0;
        while let Some(piece) = self.kept.piece(index) {
            index += 1;
            if !self.send(target, piece, false).await {
                return Ok(Uploaded::TargetStopped);
            }
        }
        let mut paced = self.stream.paced();
        let bytes_of = |came: &Option<Result<Bytes, h2::Error>>| {
            came.as_ref().and_then(|content| content.as_ref().ok().map(Bytes::len))
        };
        loop {
            let came = {
                let next = pin!(poll_fn(|context| body.poll_data(context)));
                paced.wait(next, bytes_of).await
            };
            let came = came.map_err(|TooSlow| Uploaded::ClientEnded(Reason::SlowBody))?;
            let Some(content) = came else { break };
            let content = content.map_err(gone)?;
            self.idle.moved();
            let bytes = content.len();
            self.stream.note(|record| record.received_bytes += bytes as u64);
            let (content, last) = (unpinned(content), body.is_end_stream());
            if bytes > 0 {
                self.kept.add(&content);
            }
            let sent = self.send(target, content, last).await;
            // It fails only on a stream that is gone, which the next read says.
            let _ = body.flow_control().release_capacity(bytes);
            match (sent, last) {
                (false, _) => return Ok(Uploaded::TargetStopped),
                (true, true) => return Ok(Uploaded::Whole),
                (true, false) => {}
            }
        }
        let trailers = poll_fn(|context| body.poll_trailers(context)).await.map_err(gone)?;
        let sent = match trailers {
            Some(trailers) => {
                self.idle.moved();
                self.stream.note(|record| record.received_bytes += fields_bytes(&trailers));
                // They cannot be read twice.
                self.kept.let_go();
                let Rules { listener, forbidden, .. } = &*self.stream.sender.rules;
                let filter = Filter::of_request(true, forbidden, &listener.attributes);
                let onward = trailers_onward(&trailers, filter).map_err(Uploaded::Malformed)?;
                target.send_trailers(onward)
            }
            None => target.send_data(Bytes::new(), true),
        };
        Ok(sent.map_or(Uploaded::TargetStopped, |()| Uploaded::Whole))
    }

    /// Sends content as the target's windows have room. False when the target takes no more.
    async fn send(&self, target: &mut SendStream<Bytes>, mut content: Bytes, last: bool) -> bool {
        if content.is_empty() {
            return !last || target.send_data(content, true).is_ok();
        }
        self.blocked.by_target.set(true);
        let _stalled = Stalled::begin(&self.stream.sender.place.shared.stalled);
        while !content.is_empty() {
            let mut room = poll_fn(|context| poll_room(target, content.len(), context)).await;
            if room.is_some_and(is_small) {
                self.place.written().await;
                room = poll_fn(|context| poll_room(target, content.len(), context)).await;
            }
            let Some(room) = room else { return false };
            let part = content.split_to(room);
            self.idle.moved();
            if target.send_data(part, last && content.is_empty()).is_err() {
                return false;
            }
        }
        self.blocked.by_target.set(false);
        true
    }

    /// The answer, from the target to the client.
    async fn download(&self, response: &mut ResponseFuture, told: &Cell<Told>) -> Result<(), By> {
        let sender = &self.stream.sender;
        let lost = |error: h2::Error| By::Target(self.place.lost(&error));
        let gone = |reason| By::Client { reason, uploading: false };
        self.interim(response).await?;
        let (head, mut body) = response.await.map_err(lost)?.into_parts();
        self.heard();
        let ended = body.is_end_stream();
        let head = self.onward(&head, ended)?;
        let status = head.status().as_u16();
        sender.connection().count_response(status);
        self.stream.note(|record| {
            record.answered(status, Instant::now());
            record.elb_status = Some(status);
        });
        told.set(Told::Part);
        self.kept.let_go();
        sender.begin(head, ended).map_err(gone)?;
        if ended {
            return Ok(());
        }
        while let Some(content) = poll_fn(|context| body.poll_data(context)).await {
            let content = content.map_err(lost)?;
            self.heard();
            let (bytes, last) = (content.len(), body.is_end_stream());
            // RFC 9110, sections 15.3.5 and 15.4.5. The crate sees to HEAD.
            if bytes > 0 && matches!(status, 204 | 304) {
                return Err(MALFORMED);
            }
            self.blocked.by_client.set(true);
            let floor = self.stream.floors().answer;
            let sending = sender.send(unpinned(content), last, &self.idle, floor);
            sending.await.map_err(gone)?;
            self.blocked.by_client.set(false);
            // It fails only on a stream that is gone, which the next read says.
            let _ = body.flow_control().release_capacity(bytes);
            if last {
                sender.end(HeaderMap::new());
                return Ok(());
            }
        }
        let trailers = poll_fn(|context| body.poll_trailers(context)).await.map_err(lost)?;
        let Rules { listener, forbidden, .. } = &*sender.rules;
        let filter = Filter::of_response(true, forbidden, &listener.attributes);
        let onward = trailers.map(|trailers| trailers_onward(&trailers, filter)).transpose();
        sender.end(onward.map_err(|_| MALFORMED)?.unwrap_or_default());
        Ok(())
    }

    /// Passes on what comes before the answer.
    async fn interim(&self, response: &mut ResponseFuture) -> Result<(), By> {
        for _ in 0..=limits::INTERIM_ANSWERS_MAX {
            let interim = poll_fn(|context| response.poll_informational(context)).await;
            let Some(interim) = interim else { return Ok(()) };
            let interim = interim.map_err(|error| By::Target(self.place.lost(&error)))?;
            self.heard();
            let head = self.onward(&interim.into_parts().0, false)?;
            self.stream.note(Record::interim);
            // A client of HTTP/2 does not wait for 100.
            if head.status() != http::StatusCode::CONTINUE {
                self.stream.sender.inform(head);
            }
        }
        Err(MALFORMED)
    }

    /// The target said something.
    fn heard(&self) {
        self.idle.moved();
        self.place.answered();
    }

    /// A response as the client gets it.
    fn onward(&self, head: &http::response::Parts, ended: bool) -> Result<http::Response<()>, By> {
        let Rules { listener, forbidden, .. } = &*self.stream.sender.rules;
        let fields = fields(&head.headers).map_err(|_| MALFORMED)?;
        let read = response::checked(head.status, &fields, ended).map_err(|_| MALFORMED)?;
        answer::of_target(&read, &listener.attributes, forbidden, clock::since_epoch)
            .ok_or(MALFORMED)
    }
}

const MALFORMED: By =
    By::Target(Lost { reason: Reason::TargetMalformed, unprocessed: false, code: None });

const TIMED_OUT: By =
    By::Target(Lost { reason: Reason::TargetTimeout, unprocessed: false, code: None });

/// Whose windows content waits for.
#[derive(Default)]
struct Blocked {
    by_target: Cell<bool>,
    by_client: Cell<bool>,
}
