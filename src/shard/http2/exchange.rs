//! One stream's request and its answer, between a client and an HTTP/1.1 target.
//!
//! As in HTTP/1.1 (`shard::http1::exchange`) both directions may flow at the same time, no operation on
//! a connected socket is dropped before it completes, and a request is sent a second time only where that is safe.
//! Unlike there, nothing of it ends the client's connection: what cannot be answered any more is reset.
use super::download::KeepTarget;
use super::idle::Idle;
use super::stream::Stream;
use super::upload::Upload;
use crate::close::Reason;
use crate::http::trailers::Filter;
use crate::net::Buf;
use crate::observe::count;
use crate::shard::front::Rules;
use crate::shard::outcome::{Cause, IncompleteAnswer, Uploaded};
use crate::shard::target::{CountedOnce, Target, Waits};
use crate::upstream::{Connection as Upstream, NoConnection};
use h2::RecvStream;
use http::request::Parts;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

impl Stream {
    /// Sends the request to an HTTP/1.1 target of the group and its answer to the client.
    ///
    /// * `parts`: the head, where it may be sent again.
    pub(super) async fn exchange(self, mut head: Buf, parts: Option<Parts>, body: RecvStream) {
        let shard = &self.sender.connection().shard;
        let counters = shard.target_group(&self.group.name);
        let checkout = shard.upstreams.checkout(&self.group, &counters, self.due_at());
        let mut upstream = match self.unless_reset(checkout).await {
            Some(Ok(upstream)) => upstream,
            Some(Err(NoConnection { reason, target })) => {
                self.note(|record| record.chose(target));
                return self.refuse(reason);
            }
            None => return self.gone(),
        };
        self.note(|record| record.chose(Some(upstream.target)));
        let counted = CountedOnce::new(&counters.requests);
        let mut body = Some(body);
        loop {
            let attempt = self.attempt(&upstream, &counted, head, &mut body);
            let (answered, uploaded) = attempt.await;
            let may_repeat = |failed: &IncompleteAnswer| failed.may_repeat(&upstream, &self.asked);
            if !answered.as_ref().is_err_and(may_repeat) {
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

    /// What follows from how both directions ended.
    fn conclude(
        &self,
        counters: &count::TargetGroup,
        upstream: Upstream,
        answered: Result<KeepTarget, IncompleteAnswer>,
        uploaded: Uploaded,
    ) {
        match (answered, uploaded) {
            (Ok(KeepTarget(true)), Uploaded::Whole) if !self.asked.closes => {
                self.sender.connection().shard.upstreams.put_back(upstream);
            }
            (Ok(_), _) => {}
            (Err(failed), uploaded) => {
                let cause = Cause::of(failed, uploaded);
                self.give_up(counters, cause, failed.told, h2::Reason::INTERNAL_ERROR);
            }
        }
    }

    /// Sends the request on one connection and relays what comes back.
    async fn attempt(
        &self,
        upstream: &Upstream,
        counted: &CountedOnce<'_>,
        head: Buf,
        body: &mut Option<RecvStream>,
    ) -> (Result<KeepTarget, IncompleteAnswer>, Uploaded) {
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
        counted.sent();
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
