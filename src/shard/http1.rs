//! HTTP/1.1 on a client's connection: one request after the other.
//!
//! Each turn waits for a head, decides, and answers or hands over to [`exchange`]. Only one request is
//! in work at a time, so pipelined ones are answered in order.
use super::connection::{Client, Connection};
use super::exchange::{self, Task};
use super::front::Rules;
use super::wire::Wire;
use crate::clock;
use crate::close::Reason;
use crate::http::forward;
use crate::http::head::{self, Body, Malformed, Version};
use crate::http::respond::{self, Answer, Manner};
use crate::limits;
use crate::net::Buf;
use crate::route::{Action, FixedResponse};
use crate::target::Group;
use std::sync::Arc;

/// A client's connection while it serves requests.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) connection: &'a Connection,
    pub(super) wire: &'a Wire,
    pub(super) client: Client,
    /// Received and not consumed.
    pub(super) inbox: Buf,
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
}

/// What is kept of a request's head once it has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Bytes of the head.
    pub(super) head_bytes: usize,
    /// The client's version.
    pub(super) version: Version,
    /// How the body is delimited.
    pub(super) body: Body,
    /// Whether the client wants the connection kept.
    pub(super) keep_alive: bool,
    /// Whether it waits for `100 Continue`.
    pub(super) expects_continue: bool,
    /// The method, as far as the answer depends on it.
    pub(super) method: Method,
}

/// What an answer depends on in a method.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Method {
    /// The answer has no body.
    Head,
    /// May be sent twice (RFC 9110, section 9.2.2).
    Idempotent,
    /// Neither.
    Other,
}

impl Method {
    fn of(method: &str) -> Self {
        match method {
            "HEAD" => Self::Head,
            "GET" | "PUT" | "DELETE" | "OPTIONS" => Self::Idempotent,
            _ => Self::Other,
        }
    }

    /// As `http::head::response` wants it.
    pub(super) const fn for_response(self) -> &'static str {
        match self {
            Self::Head => "HEAD",
            Self::Idempotent | Self::Other => "GET",
        }
    }
}

impl Asked {
    /// Whether there are body bytes to come.
    pub(super) fn has_body(&self) -> bool {
        !matches!(self.body, Body::Empty | Body::Length(0))
    }

    /// Whether it may be sent again after a failure before the first response byte.
    pub(super) fn may_repeat(&self) -> bool {
        self.method != Method::Other && !self.has_body()
    }
}

/// What is done with a request.
enum Decision {
    /// The node answers.
    Answer(FixedResponse),
    /// The client is refused (`refusal: http`).
    Refuse(&'static str),
    /// It goes to a target of this group, with this head.
    Forward(Arc<Group>, Buf),
}

/// Serves requests until the connection ends; says why, where it was not as agreed.
pub(super) async fn serve(connection: &Connection, wire: Wire, client: Client) -> Option<Reason> {
    let mut session = Session { connection, wire: &wire, client, inbox: Buf::default() };
    let (reason, abort) = loop {
        match session.turn().await {
            Next::KeepAlive => {}
            Next::Done => break (None, false),
            Next::Close(reason) => break (Some(reason), false),
            Next::Abort(reason) => break (Some(reason), true),
        }
    };
    if abort {
        wire.socket().reset_on_close();
    } else {
        wire.close().await;
    }
    reason
}

impl Session<'_> {
    /// One request.
    async fn turn(&mut self) -> Next {
        if let Err(reason) = self.first_byte().await {
            return Next::Close(reason);
        }
        let rules = self.connection.front.rules();
        let (asked, decision) = match self.read_head(&rules).await {
            Ok(read) => read,
            Err(Unread::Malformed(malformed)) => {
                return self.refuse_malformed(&rules, malformed).await;
            }
            Err(Unread::Ended(reason)) => return self.refuse(&rules, None, reason).await,
        };
        match decision {
            Decision::Forward(group, head) => {
                exchange::run(self, Task { rules: &rules, group: &group, asked }, head).await
            }
            Decision::Answer(fixed) => {
                let answer = Answer {
                    status: fixed.status,
                    content_type: &fixed.content_type,
                    body: Some(fixed.body.as_bytes()),
                };
                self.inbox.consume(asked.head_bytes);
                let keep_alive = !asked.has_body() && self.keeps_alive(&rules, &asked);
                self.answer(&rules, Some(&asked), &answer, keep_alive).await
            }
            Decision::Refuse(code) => {
                let body = format!("{code}\n");
                let answer =
                    Answer { status: 403, content_type: "text/plain", body: Some(body.as_bytes()) };
                self.answer(&rules, Some(&asked), &answer, false).await
            }
        }
    }

    /// Waits for the first byte of a request, holding no buffer.
    async fn first_byte(&mut self) -> Result<(), Reason> {
        if !self.inbox.is_empty() {
            return Ok(());
        }
        if self.connection.front.is_retired() {
            return Err(Reason::Draining);
        }
        self.inbox = Buf::default();
        let socket = self.wire.socket();
        let idle = self.connection.front.rules().listener.idle_timeout;
        socket.arm(idle, Reason::Idle);
        self.connection.place.set_idle(true);
        let readable = self.wire.readable().await;
        self.connection.place.set_idle(false);
        match (socket.killed(), readable) {
            (Some(reason), _) => Err(reason),
            (None, Err(_)) => Err(Reason::ClientClosed),
            (None, Ok(())) => Ok(()),
        }
    }

    /// Reads until the head is whole, and decides.
    async fn read_head(&mut self, rules: &Rules) -> Result<(Asked, Decision), Unread> {
        let mut seen = 0;
        loop {
            if !self.inbox.is_empty()
                && head::worth_parsing(&self.inbox, seen)
                && let Some(read) = self.decide(rules)?
            {
                return Ok(read);
            }
            seen = self.inbox.len();
            self.inbox.reserve(limits::REQUEST_HEAD_BYTES_MAX / 16);
            self.wire.socket().arm_reading(rules.listener.idle_timeout, Reason::ClientTimeout);
            match self.receive().await {
                Ok(()) => {}
                // Nothing of a request has come: nobody waits for an answer.
                Err(_) if self.inbox.is_empty() => return Err(Unread::Ended(Reason::ClientClosed)),
                Err(reason) => return Err(Unread::Ended(reason)),
            }
        }
    }

    /// Parses the head and decides what is done. `None` needs more bytes.
    fn decide(&self, rules: &Rules) -> Result<Option<(Asked, Decision)>, Malformed> {
        let mut slots = head::slots();
        let Some(request) = head::request(&self.inbox, &mut slots)? else { return Ok(None) };
        let asked = Asked {
            head_bytes: request.length,
            version: request.version,
            body: request.body,
            keep_alive: request.keep_alive,
            expects_continue: request.expects_continue,
            method: Method::of(request.method),
        };
        let decision = match (self.client.refused, &rules.listener.default_action) {
            (Some(refusal), _) => Decision::Refuse(refusal.code()),
            (None, Action::FixedResponse(fixed)) => Decision::Answer(fixed.clone()),
            (None, Action::Forward(group)) => {
                Decision::Forward(Arc::clone(group), self.head_for_target(rules, &request))
            }
        };
        Ok(Some((asked, decision)))
    }

    /// The head for the target once more, for another try.
    pub(super) fn head_again(&self, rules: &Rules) -> Result<Option<Buf>, Malformed> {
        match self.decide(rules)? {
            Some((_, Decision::Forward(_, head))) => Ok(Some(head)),
            Some((_, Decision::Answer(_) | Decision::Refuse(_))) | None => Ok(None),
        }
    }

    fn head_for_target(&self, rules: &Rules, request: &head::Request<'_, '_>) -> Buf {
        let client = forward::Client {
            address: self.connection.client,
            local_address: self.connection.address,
            listener_port: self.connection.front.port,
            tls: rules.listener.tls.is_some(),
            tls_names: self.client.tls_names,
            identity: &self.client.identity,
        };
        let mut scratch = self.connection.shard.scratch.borrow_mut();
        scratch.clear();
        forward::request(
            &mut scratch,
            request,
            &client,
            &rules.listener.attributes,
            rules.forbidden(),
        );
        let mut head = Buf::take();
        head.extend_from_slice(&scratch);
        head
    }

    /// Receives more into the inbox.
    pub(super) async fn receive(&mut self) -> Result<(), Reason> {
        let inbox = std::mem::take(&mut self.inbox);
        let (result, inbox) = self.wire.read(inbox).await;
        self.inbox = inbox;
        match result {
            Ok(0) => Err(self.wire.socket().killed().unwrap_or(Reason::ClientClosed)),
            Ok(count) => {
                self.connection.front.counters.received_bytes.add(count as u64);
                Ok(())
            }
            Err(_) => Err(self.wire.socket().killed().unwrap_or(Reason::ClientClosed)),
        }
    }

    /// Whether the connection may serve another request.
    pub(super) fn keeps_alive(&self, rules: &Rules, asked: &Asked) -> bool {
        asked.keep_alive
            && !self.connection.front.is_retired()
            && self.connection.accepted.elapsed() < rules.listener.client_keep_alive
    }

    /// Answers a request that cannot be served, where there is somebody to tell.
    pub(super) async fn refuse(
        &self,
        rules: &Rules,
        asked: Option<&Asked>,
        reason: Reason,
    ) -> Next {
        match reason.status() {
            Some(status) => {
                match self.answer(rules, asked, &Answer::standard(status), false).await {
                    Next::Close(_) | Next::Done | Next::KeepAlive => Next::Close(reason),
                    Next::Abort(reason) => Next::Abort(reason),
                }
            }
            None => Next::Close(reason),
        }
    }

    pub(super) async fn refuse_malformed(&self, rules: &Rules, malformed: Malformed) -> Next {
        self.connection.front.counters.malformed[malformed.index()].add(1);
        self.answer(rules, None, &Answer::standard(malformed.status()), false).await
    }

    /// Sends an answer of the node's own.
    async fn answer(
        &self,
        rules: &Rules,
        asked: Option<&Asked>,
        answer: &Answer<'_>,
        keep_alive: bool,
    ) -> Next {
        let manner = Manner {
            version: asked.map_or(Version::Http11, |asked| asked.version),
            keep_alive,
            head_only: asked.is_some_and(|asked| asked.method == Method::Head),
            server: rules.listener.attributes.server,
            since_epoch: clock::since_epoch(),
        };
        let mut out = Buf::take();
        {
            let mut scratch = self.connection.shard.scratch.borrow_mut();
            scratch.clear();
            respond::write(&mut scratch, answer, &manner);
            out.extend_from_slice(&scratch);
        }
        self.count_response(answer.status);
        self.wire.socket().arm(rules.listener.idle_timeout, Reason::ClientTimeout);
        match self.send(out).await {
            Ok(()) if keep_alive => Next::KeepAlive,
            Ok(()) => Next::Done,
            Err(reason) => Next::Abort(reason),
        }
    }

    /// Sends to the client.
    pub(super) async fn send(&self, bytes: Buf) -> Result<(), Reason> {
        self.connection.front.counters.sent_bytes.add(bytes.len() as u64);
        match self.wire.write(bytes).await.0 {
            Ok(()) => Ok(()),
            Err(_) => Err(self.wire.socket().killed().unwrap_or(Reason::ClientClosed)),
        }
    }

    pub(super) fn count_response(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.connection.front.counters.responses[class].add(1);
    }
}

/// Why no head was read.
enum Unread {
    Malformed(Malformed),
    Ended(Reason),
}

impl From<Malformed> for Unread {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}
