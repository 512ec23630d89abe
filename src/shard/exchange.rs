//! One request and its answer, between a client and a target.
//!
//! The request's body and the answer may flow at the same time: [`upload`] and [`download`] are polled
//! side by side, and neither is dropped before it ends. The answer decides: once it is whole, what is
//! left of the request is thrown away within the bounds of `limits`, and both connections end.
//!
//! A request is sent a second time only on a fresh connection, when a reused one failed before the first
//! byte of an answer and the method may be repeated (RFC 9110, section 9.2.2).
use super::front::Rules;
use super::http1::{Asked, Next, Session};
use super::wire::Wire;
use crate::close::Reason;
use crate::http::body::Transfer;
use crate::http::forward::{self, Onward};
use crate::http::head::{self, Body, Malformed, Version};
use crate::http::respond::CONTINUE;
use crate::limits;
use crate::net::{Buf, Sock};
use crate::observe::count;
use crate::target::Group;
use crate::upstream::Connection as Upstream;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// What is to be exchanged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    pub(super) rules: &'a Rules,
    pub(super) group: &'a Group,
    pub(super) asked: Asked,
}

/// How an answer went to the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Answered {
    /// Both sides agreed to keep the client's connection.
    keep_client: bool,
    /// The target's connection can serve another request.
    keep_target: bool,
}

/// Why there is no whole answer of the target's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Unanswered {
    reason: Reason,
    told: Told,
    /// The target had sent nothing at all.
    silent: bool,
}

/// What the client has been told so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    /// Nothing final: there is room for an answer of the node's own.
    Nothing,
    /// Part of the target's answer, so that no other one can be sent.
    Part,
    /// The node's own answer.
    Refusal,
}

/// How the request's body went to the target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Uploaded {
    /// All of it.
    Whole,
    /// The target takes no more; its answer says why.
    TargetStopped,
    /// The answer was there first; the rest was thrown away.
    Abandoned,
    /// The client went away or was silent for too long.
    ClientEnded(Reason),
    /// The client broke the framing.
    Malformed(Malformed),
}

/// Sends a request to a target of the group and its answer to the client.
pub(super) async fn run(session: &mut Session<'_>, task: Task<'_>, mut head: Buf) -> Next {
    let shard = &session.connection.shard;
    let counters = shard.target_group(&task.group.name);
    let mut upstream = match shard.upstreams.checkout(task.group, &counters).await {
        Ok(upstream) => upstream,
        Err(reason) => return session.refuse(task.rules, Some(&task.asked), reason).await,
    };
    counters.requests.add(1);
    loop {
        session.connection.place.set_target(Some(upstream.socket.clone()));
        let (answered, uploaded) = attempt(session, &task, &upstream, head).await;
        session.connection.place.set_target(None);
        let repeats = matches!(answered, Err(failed) if failed.silent)
            && upstream.reused
            && task.asked.may_repeat();
        if !repeats {
            if !task.asked.has_body() {
                session.inbox.consume(task.asked.head_bytes);
            }
            return conclude(session, &task, &counters, upstream, answered, uploaded).await;
        }
        counters.retries.add(1);
        let fresh = shard.upstreams.fresh(upstream.target, &counters).await;
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
    answered: Result<Answered, Unanswered>,
    uploaded: Uploaded,
) -> Next {
    match (answered, uploaded) {
        (Ok(answered), Uploaded::Whole) => {
            if answered.keep_target {
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
        (Err(Unanswered { told: Told::Nothing, .. }), Uploaded::Malformed(malformed)) => {
            session.refuse_malformed(task.rules, malformed).await
        }
        (Err(failed), Uploaded::ClientEnded(reason)) => {
            session.end_untold(task, failed.told, reason).await
        }
        (
            Err(failed),
            Uploaded::Whole
            | Uploaded::TargetStopped
            | Uploaded::Abandoned
            | Uploaded::Malformed(_),
        ) => {
            counters.errors[failed.reason.index()].add(1);
            session.end_untold(task, failed.told, failed.reason).await
        }
    }
}

impl Session<'_> {
    /// Ends a request without a whole answer of its target's.
    async fn end_untold(&self, task: &Task<'_>, told: Told, reason: Reason) -> Next {
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
    mut head: Buf,
) -> (Result<Answered, Unanswered>, Uploaded) {
    let asked = &task.asked;
    let target = Target {
        socket: &upstream.socket,
        idle: task.rules.listener.idle_timeout,
        receive_bytes_max: session.wire.write_bytes_max(),
    };
    if !asked.has_body() {
        if target.send(head).await.is_err() {
            return (Err(target.unsent()), Uploaded::Whole);
        }
        let answered = Download { session, task, target, uploaded: &Cell::new(true) }.run().await;
        return (answered, Uploaded::Whole);
    }
    session.inbox.consume(asked.head_bytes);
    let mut transfer = Transfer::new(asked.body, asked.body);
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
    if target.send(head).await.is_err() {
        return (Err(target.unsent()), Uploaded::TargetStopped);
    }
    relay(session, task, target, transfer).await
}

/// Relays both directions at once.
async fn relay(
    session: &mut Session<'_>,
    task: &Task<'_>,
    target: Target<'_>,
    transfer: Transfer,
) -> (Result<Answered, Unanswered>, Uploaded) {
    let uploaded = Cell::new(transfer.is_done());
    let answered = Cell::new(false);
    let wire = session.wire;
    let inbox = std::mem::take(&mut session.inbox);
    let received_bytes = &session.connection.front.counters.received_bytes;
    let upload =
        Upload { wire, target, transfer, whole: &uploaded, answered: &answered, received_bytes };
    let mut up = pin!(upload.run(inbox));
    let mut ended = None;
    let download = {
        let mut down = pin!(Download { session, task, target, uploaded: &uploaded }.run());
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
            down.as_mut().poll(context)
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
                    Err(Unanswered { told: Told::Refusal, ..failed })
                }
                other => other,
            };
            if matches!(download, Err(Unanswered { told: Told::Part, .. })) {
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
    (download, uploaded)
}

/// The target's side of an exchange. Each operation has its own deadline.
#[derive(Clone, Copy)]
struct Target<'a> {
    socket: &'a Sock,
    idle: Duration,
    /// What a receive takes at most.
    receive_bytes_max: usize,
}

impl Target<'_> {
    async fn send(self, bytes: Buf) -> Result<(), Reason> {
        self.socket.arm(self.idle, Reason::TargetTimeout);
        let sent = self.socket.send_all(bytes).await.0;
        self.socket.disarm();
        sent.map_err(|_| self.socket.killed().unwrap_or(Reason::TargetClosed))
    }

    /// Appends what the target sent; `Ok(0)` is the proper end of its stream, a reset is an error.
    /// Its silence counts from when the whole request has been sent.
    async fn receive(self, received: &mut Buf, uploaded: bool) -> Result<usize, Reason> {
        if uploaded {
            self.socket.arm_reading(self.idle, Reason::TargetTimeout);
        }
        received.reserve(RECEIVE_BYTES_MIN);
        let room = std::mem::take(received);
        let (result, back) = self.socket.recv_at_most(room, self.receive_bytes_max).await;
        self.socket.disarm_reading();
        *received = back;
        match (result, self.socket.killed()) {
            (_, Some(reason)) => Err(reason),
            (Ok(count), None) => Ok(count),
            (Err(_), None) => Err(Reason::TargetClosed),
        }
    }

    /// The request could not be sent.
    fn unsent(self) -> Unanswered {
        let reason = self.socket.killed().unwrap_or(Reason::TargetClosed);
        Unanswered { reason, told: Told::Nothing, silent: !timed_out(reason) }
    }
}

/// The request's body, from the client to the target.
struct Upload<'a> {
    wire: &'a Wire,
    target: Target<'a>,
    transfer: Transfer,
    /// Set once the whole body has been sent.
    whole: &'a Cell<bool>,
    /// Set by the exchange once the answer is whole: the rest is thrown away.
    answered: &'a Cell<bool>,
    received_bytes: &'a count::Count,
}

impl Upload<'_> {
    /// Runs to the end of the body; what was received behind it comes back.
    async fn run(mut self, mut inbox: Buf) -> (Uploaded, Buf) {
        let mut discarded = 0;
        while !self.transfer.is_done() {
            match self.receive(&mut inbox).await {
                Ok(count) if self.answered.get() => {
                    discarded += count;
                    inbox.clear();
                    if discarded > limits::DISCARDED_BODY_BYTES_MAX {
                        return (Uploaded::Abandoned, inbox);
                    }
                }
                Ok(_) => {
                    if let Err(ended) = self.pass_on(&mut inbox).await {
                        return (ended, inbox);
                    }
                }
                Err(_) if self.answered.get() => return (Uploaded::Abandoned, inbox),
                Err(reason) => return (Uploaded::ClientEnded(reason), inbox),
            }
        }
        self.whole.set(true);
        // From now on the target is waited for.
        self.target.socket.arm_reading(self.target.idle, Reason::TargetTimeout);
        (Uploaded::Whole, inbox)
    }

    async fn receive(&self, inbox: &mut Buf) -> Result<usize, Reason> {
        let socket = self.wire.socket();
        if !self.answered.get() {
            socket.arm_reading(self.target.idle, Reason::ClientTimeout);
        }
        let (result, received) = self.wire.read(std::mem::take(inbox)).await;
        socket.disarm_reading();
        *inbox = received;
        match result {
            Ok(count) if count > 0 => {
                self.received_bytes.add(count as u64);
                Ok(count)
            }
            Ok(_) | Err(_) => Err(socket.killed().unwrap_or(Reason::ClientClosed)),
        }
    }

    async fn pass_on(&mut self, inbox: &mut Buf) -> Result<(), Uploaded> {
        let mut out = Buf::take();
        self.transfer.step(inbox, &mut out).map_err(Uploaded::Malformed)?;
        if out.is_empty() {
            return Ok(());
        }
        match self.target.send(out).await {
            Ok(()) => Ok(()),
            Err(_) if self.answered.get() => Err(Uploaded::Abandoned),
            Err(_) => Err(Uploaded::TargetStopped),
        }
    }
}

/// The answer, from the target to the client.
struct Download<'a, 's> {
    session: &'a Session<'s>,
    task: &'a Task<'a>,
    target: Target<'a>,
    uploaded: &'a Cell<bool>,
}

/// A response head that has been read, and how it goes on.
struct Head {
    bytes: usize,
    status: u16,
    body: Body,
    onward: Onward,
    keep_target: bool,
}

impl Download<'_, '_> {
    async fn run(self) -> Result<Answered, Unanswered> {
        let mut received = Buf::take();
        let (head, mut out) = self.final_head(&mut received).await?;
        self.session.count_response(head.status);
        let mut transfer = Transfer::new(head.body, head.onward.body);
        let mut told = Told::Nothing;
        let failed = |reason, told| Unanswered { reason, told, silent: false };
        loop {
            transfer
                .step(&mut received, &mut out)
                .map_err(|_| failed(Reason::TargetMalformed, told))?;
            if !out.is_empty() {
                told = Told::Part;
                self.send(out).await.map_err(|reason| failed(reason, told))?;
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
        Ok(Answered {
            keep_client: head.onward.keep_alive,
            keep_target: head.keep_target && received.is_empty(),
        })
    }

    /// Reads up to the final response head, and writes the one that the client gets. Interim answers go
    /// on, but `100 Continue` has been given by this node, and HTTP/1.0 knows none (RFC 9110,
    /// section 15.2). There are `limits::INTERIM_ANSWERS_MAX` of them at most.
    async fn final_head(&self, received: &mut Buf) -> Result<(Head, Buf), Unanswered> {
        let mut silent = true;
        for _ in 0..=limits::INTERIM_ANSWERS_MAX {
            let (head, out) = self.head(received, &mut silent).await.map_err(|reason| {
                Unanswered { reason, told: Told::Nothing, silent: silent && !timed_out(reason) }
            })?;
            received.consume(head.bytes);
            if head.status >= 200 {
                return Ok((head, out));
            }
            if head.status != 100 && self.task.asked.version == Version::Http11 {
                self.send(out).await.map_err(|reason| Unanswered {
                    reason,
                    told: Told::Part,
                    silent: false,
                })?;
            }
        }
        let reason = Reason::TargetMalformed;
        Err(Unanswered { reason, told: Told::Nothing, silent: false })
    }

    /// Reads one response head. `silent` stays true while the target has sent nothing.
    async fn head(&self, received: &mut Buf, silent: &mut bool) -> Result<(Head, Buf), Reason> {
        let mut seen = 0;
        loop {
            if !received.is_empty()
                && head::worth_parsing(received, seen)
                && let Some(read) = self.parse(received).map_err(|_| Reason::TargetMalformed)?
            {
                return Ok(read);
            }
            seen = received.len();
            match self.target.receive(received, self.uploaded.get()).await? {
                0 => return Err(Reason::TargetClosed),
                _ => *silent = false,
            }
        }
    }

    fn parse(&self, received: &Buf) -> Result<Option<(Head, Buf)>, Malformed> {
        let asked = &self.task.asked;
        let mut slots = head::slots();
        let Some(response) = head::response(received, asked.method.for_response(), &mut slots)?
        else {
            return Ok(None);
        };
        // An answer that comes before the request is whole ends the client's connection: the rest of
        // the request is not worth waiting for.
        let keep = self.uploaded.get() && self.session.keeps_alive(self.task.rules, asked);
        let onward = forward::onward(&response, asked.version, keep);
        let attributes = &self.task.rules.listener.attributes;
        let out = self.session.write(|out| {
            forward::response(out, &response, onward, asked.version, attributes);
        });
        let head = Head {
            bytes: response.length,
            status: response.status,
            body: response.body,
            onward,
            keep_target: response.keep_alive && response.body != Body::UntilClose,
        };
        Ok(Some((head, out)))
    }

    /// Sends to the client. A client that takes an answer is not silent, so its deadline moves.
    async fn send(&self, out: Buf) -> Result<(), Reason> {
        self.session.send(out, self.task.rules).await?;
        self.session.wire.socket().extend_reading(self.target.idle);
        Ok(())
    }
}

/// Room that a receive asks for at least.
const RECEIVE_BYTES_MIN: usize = 4 * 1024;

/// Whether a silent target was waited for to the end; it may be at work, so nothing is sent again.
fn timed_out(reason: Reason) -> bool {
    reason == Reason::TargetTimeout
}
