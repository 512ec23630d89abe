//! One request and its answer, between a client and a target.
//!
//! The request's body and the answer may flow at the same time: [`Upload`] and [`Download`] are polled
//! side by side, and neither is dropped before it ends. The answer decides: once it is whole, what is
//! left of the request is thrown away within the bounds of `limits`, and both connections end.
//!
//! A request is sent a second time only on a fresh connection, when a reused one failed before the first
//! byte of an answer and the method may be repeated (RFC 9110, section 9.2.2).
use super::ahead::Ahead;
use super::download::{Answered, Download};
use super::session::{Next, Session};
use super::tunnel::Tunnel;
use super::upload::Upload;
use crate::close::Reason;
use crate::http::body::Transfer;
use crate::http::respond::CONTINUE;
use crate::http::trailers::Filter;
use crate::net::{Buf, ByteStream};
use crate::observe::count;
use crate::shard::front::Rules;
use crate::shard::outcome::{Cause, IncompleteAnswer, Told, Uploaded};
use crate::shard::pace::Pace;
use crate::shard::request::Asked;
use crate::shard::target::{CountedOnce, Target, Waits};
use crate::shard::wire::Wire;
use crate::target::Group;
use crate::upstream::{Connection as Upstream, NoConnection};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::{Sleep, sleep_until};

/// What is to be exchanged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    pub(super) rules: &'a Rules,
    pub(super) group: &'a Group,
    pub(super) asked: Asked,
    /// When the answer must be whole.
    pub(super) due: Option<Instant>,
}

/// Sends a request to a target of the group and its answer to the client.
pub(super) async fn run(session: &mut Session<'_>, task: Task<'_>, mut head: Buf) -> Next {
    let shard = &session.connection.shard;
    let counters = shard.target_group(&task.group.name);
    let mut upstream = match shard.upstreams.checkout(task.group, &counters, task.due).await {
        Ok(upstream) => upstream,
        Err(NoConnection { reason, target }) => {
            session.recording.note(|record| record.chose(target));
            return session.refuse(task.rules, Some(&task.asked), reason).await;
        }
    };
    session.recording.note(|record| record.chose(Some(upstream.target)));
    let counted = CountedOnce::new(&counters.requests);
    loop {
        session.connection.place.set_target(Some(upstream.socket.clone()));
        let (answered, uploaded) = attempt(session, &task, &upstream, &counted, head).await;
        session.connection.place.set_target(None);
        let may_repeat = |failed: &IncompleteAnswer| failed.may_repeat(&upstream, &task.asked);
        let repeats = answered.as_ref().is_err_and(may_repeat);
        if !repeats {
            if task.asked.has_body() {
                // What is left is of the next request.
                let left = session.inbox.len() as u64;
                session.recording.note(|record| record.received_bytes -= left);
            } else {
                session.inbox.consume(task.asked.head_bytes);
            }
            session.take_begun();
            return conclude(session, &task, &counters, upstream, answered, uploaded).await;
        }
        counters.retries.add(1);
        let fresh = shard.upstreams.fresh(upstream.target, &counters, task.due).await;
        (upstream, head) = match (fresh, session.head_again(task.rules)) {
            (Ok(upstream), Some(head)) => (upstream, head),
            (Err(reason), _) => {
                return session.refuse(task.rules, Some(&task.asked), reason).await;
            }
            (Ok(_), None) => {
                debug_assert!(false, "a head that was read is there to be read again");
                return Next::Abort(Reason::Internal);
            }
        };
    }
}

/// What follows from how both directions ended.
async fn conclude(
    session: &mut Session<'_>,
    task: &Task<'_>,
    counters: &count::TargetGroup,
    upstream: Upstream,
    answered: Result<Answered, IncompleteAnswer>,
    uploaded: Uploaded,
) -> Next {
    match (answered, uploaded) {
        (Ok(Answered { upgraded: Some(rest), .. }), Uploaded::Whole) => {
            tunnel(session, task, &upstream, rest).await
        }
        (Ok(answered), Uploaded::Whole) => {
            if answered.keep_target && !task.asked.closes {
                session.connection.shard.upstreams.put_back(upstream);
            }
            if answered.keep_client { Next::KeepAlive } else { Next::Done }
        }
        (Ok(_), Uploaded::TargetStopped | Uploaded::Abandoned) => Next::Done,
        (Ok(_), Uploaded::ClientEnded(reason)) => Next::Close(reason),
        (Ok(_), Uploaded::Malformed(malformed)) => {
            session.note_malformed(malformed);
            Next::Done
        }
        (Err(failed), uploaded) => {
            let cause = Cause::of(failed, uploaded);
            cause.note(failed.told, counters, &session.recording);
            match (cause, failed.told) {
                (Cause::Malformed(malformed), Told::Nothing) => {
                    session.refuse_malformed(task.rules, malformed).await
                }
                (Cause::Malformed(malformed), told) => {
                    session.note_malformed(malformed);
                    session.end_incomplete(task, told, failed.reason).await
                }
                (Cause::Client { reason, .. } | Cause::Target(reason), told) => {
                    session.end_incomplete(task, told, reason).await
                }
            }
        }
    }
}

/// Client and target speak another protocol from here on. What the client said behind its request has
/// waited for this.
async fn tunnel(
    session: &mut Session<'_>,
    task: &Task<'_>,
    upstream: &Upstream,
    from_target: Buf,
) -> Next {
    let from_client = std::mem::take(&mut session.inbox);
    session.recording.note(|record| {
        record.upgraded();
        record.received_bytes += from_client.len() as u64;
    });
    session.connection.place.set_target(Some(upstream.socket.clone()));
    let tunnel = Tunnel {
        wire: session.wire,
        target: &upstream.socket,
        idle: task.rules.listener.idle_timeout,
        counters: &session.connection.front.counters,
        recording: &session.recording,
    };
    let ended = tunnel.run(from_client, from_target).await;
    session.connection.place.set_target(None);
    ended.map_or(Next::Done, Next::Close)
}

impl Session<'_> {
    /// Ends a request without a whole answer of its target's.
    async fn end_incomplete(&self, task: &Task<'_>, told: Told, reason: Reason) -> Next {
        match told {
            Told::Nothing => self.refuse(task.rules, Some(&task.asked), reason).await,
            Told::Part => Next::Abort(reason),
            Told::Refusal => Next::Close(reason),
        }
    }
}

/// Sends the request on one connection and relays what comes back.
async fn attempt(
    session: &mut Session<'_>,
    task: &Task<'_>,
    upstream: &Upstream,
    counted: &CountedOnce<'_>,
    mut head: Buf,
) -> (Result<Answered, IncompleteAnswer>, Uploaded) {
    let asked = &task.asked;
    let waits = Waits::default();
    let target = Target {
        socket: &upstream.socket,
        idle: task.rules.listener.idle_timeout,
        receive_bytes_max: session.wire.write_bytes_max(),
        waits: &waits,
    };
    if !asked.has_body() {
        let answered = without_body(session, task, target, counted, head).await;
        return (answered, Uploaded::Whole);
    }
    session.inbox.consume(asked.head_bytes);
    let (forbidden, attributes) = (&task.rules.forbidden, &task.rules.listener.attributes);
    let trailers = Filter::of_request(asked.trailers_may_pass, forbidden, attributes);
    let mut transfer = Transfer::new(asked.body, asked.body, trailers);
    session.recording.note(|record| record.received_bytes += session.inbox.len() as u64);
    // What is here already goes with the head, in one segment where it fits.
    if let Err(malformed) = transfer.step(&mut session.inbox, &mut head) {
        return (Err(target.unsent()), Uploaded::Malformed(malformed));
    }
    if asked.expects_continue && !transfer.is_done() {
        let mut interim = Buf::take();
        interim.extend_from_slice(CONTINUE);
        if let Err(reason) = session.send(interim, task.rules).await {
            return (Err(target.unsent()), Uploaded::ClientEnded(reason));
        }
    }
    session.recording.note(|record| record.dispatched(Instant::now()));
    if target.send(head).await.is_err() {
        return (Err(target.unsent()), Uploaded::TargetStopped);
    }
    counted.sent();
    // Apart: most requests have no content, and need no room for how it goes.
    Box::pin(relay(session, task, target, transfer)).await
}

/// A request that is whole with its head.
async fn without_body(
    session: &mut Session<'_>,
    task: &Task<'_>,
    target: Target<'_>,
    counted: &CountedOnce<'_>,
    head: Buf,
) -> Result<Answered, IncompleteAnswer> {
    session.recording.note(|record| record.dispatched(Instant::now()));
    if target.send(head).await.is_err() {
        return Err(target.unsent());
    }
    counted.sent();
    let (uploaded, begun) = (Cell::new(true), Cell::new(false));
    let mut vigil = Vigil::new(session, task, target, &uploaded, &begun);
    let is_last = session.inbox.len() == task.asked.head_bytes && !task.asked.upgrade;
    let answered = {
        let (rules, asked) = (task.rules, &task.asked);
        let (uploaded, begun) = (&uploaded, &begun);
        let mut down = pin!(Download { session, rules, asked, target, uploaded, begun }.run());
        poll_fn(|context| {
            let down = down.as_mut().poll(context);
            if down.is_pending() {
                vigil.poll(is_last, context);
            }
            down
        })
        .await
    };
    session.ahead = vigil.ahead;
    answered
}

/// What may end an exchange beside its two directions: its client goes while the target works on the
/// request, or its time is up. Either is done by ending the target's connection, which completes the rest.
struct Vigil<'a, 'w> {
    ahead: Ahead<'w>,
    wire: &'w Wire,
    target: Target<'a>,
    due: Option<Pin<Box<Sleep>>>,
    uploaded: &'a Cell<bool>,
    /// Whether the client has been told something.
    begun: &'a Cell<bool>,
    is_over: bool,
}

impl<'a, 'w> Vigil<'a, 'w> {
    fn new(
        session: &mut Session<'w>,
        task: &Task<'_>,
        target: Target<'a>,
        uploaded: &'a Cell<bool>,
        begun: &'a Cell<bool>,
    ) -> Self {
        let ahead = std::mem::take(&mut session.ahead);
        let due = task.due.map(|due| Box::pin(sleep_until(due.into())));
        Self { ahead, wire: session.wire, target, due, uploaded, begun, is_over: false }
    }

    /// `is_last` says that nothing has come of a next request. Who has sent one may well close its side
    /// before it reads; who upgrades speaks another protocol next.
    fn poll(&mut self, is_last: bool, context: &mut Context<'_>) {
        if self.is_over {
            return;
        }
        let socket = self.wire.socket();
        if is_last && self.ahead.poll_gone(self.wire, context).is_ready() {
            self.is_over = true;
            self.target.socket.kill(socket.killed().unwrap_or(Reason::ClientClosed));
        }
        let due = self.due.as_mut().map(|due| due.as_mut().poll(context));
        if due.is_some_and(|due| due.is_ready()) {
            self.is_over = true;
            if self.begun.get() {
                socket.kill(Reason::RequestTimeout);
            }
            // A request that is whole waits for its target.
            let is_whole = self.uploaded.get() && !self.begun.get();
            self.target.socket.kill(match is_whole {
                true => Reason::TargetTimeout,
                false => Reason::RequestTimeout,
            });
        }
    }
}

/// Relays both directions at once.
async fn relay(
    session: &mut Session<'_>,
    task: &Task<'_>,
    target: Target<'_>,
    transfer: Transfer<'_>,
) -> (Result<Answered, IncompleteAnswer>, Uploaded) {
    let uploaded = Cell::new(transfer.is_done());
    let (answered, begun) = (Cell::new(false), Cell::new(false));
    let wire = session.wire;
    let mut vigil = Vigil::new(session, task, target, &uploaded, &begun);
    let inbox = std::mem::take(&mut session.inbox);
    let received_bytes = &session.connection.front.counters.received_bytes;
    let upload = Upload {
        wire,
        target,
        transfer,
        floor: task.rules.listener.slow_clients.body,
        pace: Pace::default(),
        whole: &uploaded,
        answered: &answered,
        received_bytes,
        recording: &session.recording,
    };
    let mut up = pin!(upload.run(inbox));
    let mut ended = None;
    let download = {
        let (rules, asked) = (task.rules, &task.asked);
        let (uploaded, begun) = (&uploaded, &begun);
        let mut down = pin!(Download { session, rules, asked, target, uploaded, begun }.run());
        poll_fn(|context| {
            if ended.is_none()
                && let Poll::Ready((how, rest)) = up.as_mut().poll(context)
            {
                // Without its client an exchange has no purpose; the kill completes the download.
                match how {
                    Uploaded::ClientEnded(reason) => target.socket.kill(reason),
                    Uploaded::Malformed(_) => target.socket.kill(Reason::ClientClosed),
                    Uploaded::Whole | Uploaded::TargetStopped | Uploaded::Abandoned => {}
                }
                ended = Some((how, rest));
            }
            let down = down.as_mut().poll(context);
            if down.is_pending() {
                let is_last = matches!(&ended, Some((Uploaded::Whole, rest)) if rest.is_empty());
                vigil.poll(is_last, context);
            }
            down
        })
        .await
    };
    let (uploaded, rest, download) = match ended {
        Some((uploaded, rest)) => (uploaded, rest, download),
        None => {
            // The answer is there first. Nothing more goes to the target, and what the client still
            // sends is thrown away, so that a reset does not overtake what it was told.
            answered.set(true);
            target.socket.kill(Reason::ClientClosed);
            let download = match download {
                Err(failed) if failed.told == Told::Nothing => {
                    session.refuse(task.rules, Some(&task.asked), failed.reason).await;
                    Err(IncompleteAnswer { told: Told::Refusal, ..failed })
                }
                other => other,
            };
            if matches!(download, Err(IncompleteAnswer { told: Told::Part, .. })) {
                // The client must not take half an answer for a whole one.
                wire.socket().reset_on_close();
                wire.socket().stop_reading(Reason::TargetClosed);
            } else {
                wire.say_goodbye().await;
            }
            let (uploaded, rest) = up.await;
            (uploaded, rest, download)
        }
    };
    session.inbox = rest;
    session.ahead = vigil.ahead;
    (download, uploaded)
}
