//! What the parts of HTTP/1.1 on a client's connection share: its session, and answers of the node's own.
use super::ahead::Ahead;
use crate::clock;
use crate::close::Reason;
use crate::http::desync;
use crate::http::head::Malformed;
use crate::http::respond::{self, Answer, Manner};
use crate::net::{Buf, ByteStream, at_once};
use crate::shard::Phase;
use crate::shard::connection::{Client, Connection};
use crate::shard::front::Rules;
use crate::shard::pace::Taking;
use crate::shard::recording::Recording;
use crate::shard::request::{Asked, Method};
use crate::shard::wire::Wire;
use std::cell::Cell;
use std::pin::pin;
use std::task::Poll;

/// A client's connection while it serves requests.
#[derive(Debug)]
pub(in crate::shard) struct Session<'a> {
    pub(super) connection: &'a Connection,
    pub(super) wire: &'a Wire,
    pub(super) client: Client,
    /// Received and not consumed.
    pub(super) inbox: Buf,
    /// What has been seen of the client beyond the request in work.
    pub(super) ahead: Ahead<'a>,
    /// How the client takes its answers.
    taking: Cell<Taking>,
    /// X-Amzn-Trace-Id of the request in work: each try is sent with the same one.
    pub(super) trace_id: Vec<u8>,
    /// Of the request in work.
    pub(super) recording: Recording,
    /// Where it is while no request is in work.
    pub(super) phase: Phase,
    /// Whether it ends for want of memory alone.
    pub(super) pressed: Cell<bool>,
}

/// What comes after a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// The next one.
    KeepAlive,
    /// The end, as agreed; what was said reaches the client.
    Done,
    /// The end, because of this; what was said reaches the client.
    Close(Reason),
    /// The end at once: the client must see that its answer is not whole.
    Abort(Reason),
    /// The end, because of this, before anything of a request has come: no request has failed.
    NoRequest(Reason),
}

impl Next {
    /// Why a request was not served to its end.
    pub(super) const fn reason(self) -> Option<Reason> {
        match self {
            Self::KeepAlive | Self::Done | Self::NoRequest(_) => None,
            Self::Close(reason) | Self::Abort(reason) => Some(reason),
        }
    }
}

impl<'a> Session<'a> {
    /// Before its first request.
    pub(in crate::shard) fn new(
        connection: &'a Connection,
        wire: &'a Wire,
        client: Client,
    ) -> Self {
        Self {
            connection,
            wire,
            client,
            inbox: Buf::default(),
            ahead: Ahead::Nothing,
            taking: Cell::default(),
            trace_id: Vec::new(),
            recording: Recording::default(),
            phase: Phase::BeforeFirst,
            pressed: Cell::new(false),
        }
    }

    /// The head for the target once more, for another try.
    pub(super) fn head_again(&self, rules: &Rules) -> Option<Buf> {
        let behind = self.connection.behind(self.wire, &self.client, &self.trace_id);
        let head = desync::request(&self.inbox, rules.listener.attributes.desync, |request| {
            self.connection.head_for_target(rules, request, &behind).0
        });
        head.ok().flatten()
    }

    /// Takes over what has come of the next request while the last one was in work.
    pub(super) fn take_begun(&mut self) {
        let begun = self.ahead.take_begun();
        self.connection.front.counters.received_bytes.add(begun.len() as u64);
        if self.inbox.is_empty() {
            self.inbox = begun;
        } else {
            self.inbox.extend_from_slice(&begun);
        }
    }

    /// Whether the connection may serve another request.
    pub(super) fn keeps_alive(&self, asked: &Asked) -> bool {
        let keeps = asked.keep_alive
            && !self.connection.front.is_retired()
            && !self.connection.place.is_ending()
            && !self.connection.is_old();
        // Asked once for each head of an answer, of which the last one counts.
        self.pressed.set(keeps && self.connection.shard.is_pressed());
        keeps && !self.pressed.get()
    }

    /// Answers a request that cannot be served, where there is somebody to tell.
    pub(super) async fn refuse(
        &self,
        rules: &Rules,
        asked: Option<&Asked>,
        reason: Reason,
    ) -> Next {
        self.recording.note(|record| record.failed(reason));
        match reason.status() {
            Some(status) => {
                match self.answer(rules, asked, &Answer::standard(status), false).await {
                    Next::Close(_) | Next::Done | Next::KeepAlive | Next::NoRequest(_) => {
                        Next::Close(reason)
                    }
                    Next::Abort(reason) => Next::Abort(reason),
                }
            }
            None => Next::Close(reason),
        }
    }

    /// Counts and logs a request that is refused because of its form.
    pub(super) fn note_malformed(&self, malformed: Malformed) {
        self.connection.note_malformed(malformed);
        self.recording.note(|record| record.reason = Some(malformed.word()));
    }

    pub(super) async fn refuse_malformed(&self, rules: &Rules, malformed: Malformed) -> Next {
        self.note_malformed(malformed);
        self.answer(rules, None, &Answer::standard(malformed.status()), false).await
    }

    /// Sends an answer of the node's own.
    pub(super) async fn answer(
        &self,
        rules: &Rules,
        asked: Option<&Asked>,
        answer: &Answer<'_>,
        keep_alive: bool,
    ) -> Next {
        let manner = self.manner(rules, asked, keep_alive);
        let out = self.connection.write(|out| respond::write(out, answer, &manner));
        self.tell(rules, out, answer.status, keep_alive).await
    }

    fn manner<'r>(&self, rules: &'r Rules, asked: Option<&Asked>, keep_alive: bool) -> Manner<'r> {
        Manner {
            keep_alive,
            head_only: asked.is_some_and(|asked| asked.method == Method::Head),
            attributes: &rules.listener.attributes,
            since_epoch: clock::since_epoch(),
        }
    }

    async fn tell(&self, rules: &Rules, out: Buf, status: u16, keep_alive: bool) -> Next {
        self.connection.count_response(status);
        self.recording.note(|record| record.elb_status = Some(status));
        match self.send(out, rules).await {
            Ok(()) if keep_alive => Next::KeepAlive,
            Ok(()) => Next::Done,
            Err(reason) => Next::Abort(reason),
        }
    }

    /// Sends to the client. What the kernel has room for leaves at once, without a deadline; for the rest the
    /// client is waited for.
    pub(super) async fn send(&self, bytes: Buf, rules: &Rules) -> Result<(), Reason> {
        let socket = self.wire.socket();
        let count = bytes.len() as u64;
        self.connection.front.counters.sent_bytes.add(count);
        let mut sending = pin!(self.wire.write(bytes));
        let (sent, _) = match at_once(sending.as_mut()).await {
            Poll::Ready(sent) => sent,
            Poll::Pending => {
                let (idle, floor) =
                    (rules.listener.idle_timeout, rules.listener.slow_clients.answer);
                let mut taking = self.taking.get();
                let waited = taking.wait(socket, idle, floor, sending.as_mut()).await;
                self.taking.set(taking);
                match waited {
                    Ok(sent) => sent,
                    Err(reason) => {
                        socket.kill(reason);
                        sending.await
                    }
                }
            }
        };
        sent.map_err(|_| socket.killed().unwrap_or(Reason::ClientClosed))?;
        self.recording.note(|record| record.sent_bytes += count);
        Ok(())
    }
}
