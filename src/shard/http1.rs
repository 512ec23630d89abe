//! HTTP/1.1 on a client's connection: one request after the other.
//!
//! Each turn waits for a head, decides, and answers or hands over to [`exchange`]. Only one request is
//! in work at a time, so pipelined ones are answered in order.
use super::connection::{Client, Connection};
use super::exchange::{self, Task};
use super::front::Rules;
use super::judge::{self, Again};
use super::wire::Wire;
use crate::clock;
use crate::close::Reason;
use crate::config::snapshot::{OnRevocation, RefusalForm};
use crate::http::forward;
use crate::http::head::{self, Body, Malformed, Version};
use crate::http::respond::{self, Answer, Manner};
use crate::limits;
use crate::net::Buf;
use crate::route::{Action, FixedResponse};
use crate::target::Group;
use crate::trust::Refusal;

/// A client's connection while it serves requests.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) connection: &'a Connection,
    pub(super) wire: &'a Wire,
    pub(super) client: Client,
    /// Received and not consumed.
    pub(super) inbox: Buf,
    /// What it waits for between requests.
    waits: Waits,
}

/// What a connection waits for, as far as ending it is concerned.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Waits {
    /// A request is in work.
    #[default]
    Nothing,
    /// Its first request, which may be on its way.
    First,
    /// Another request: ending it loses nothing.
    Next,
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
enum Decision<'r> {
    /// The node answers.
    Answer(&'r FixedResponse),
    /// The client is refused (`refusal: http`).
    Refuse(Refusal),
    /// The name that it asks for has another policy than the one that it shook hands under.
    Misdirect,
    /// It goes to a target of this group, with this head.
    Forward(&'r Group, Buf),
}

/// Serves requests until the connection ends; says why, where it was not as agreed.
pub(super) async fn serve(connection: &Connection, wire: &Wire, client: Client) -> Option<Reason> {
    let mut session =
        Session { connection, wire, client, inbox: Buf::default(), waits: Waits::First };
    let (reason, abort) = loop {
        match session.turn().await {
            Next::KeepAlive => session.waits = Waits::Next,
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
    /// One request: reads until its head is whole, decides, and carries that out.
    async fn turn(&mut self) -> Next {
        if let Err(reason) = self.first_byte().await {
            return Next::Close(reason);
        }
        // From the first byte on there is one deadline for the whole head, which no byte moves.
        let idle = self.connection.front.rules().listener.idle_timeout;
        self.wire.socket().arm_reading(idle, Reason::ClientTimeout);
        let mut seen = 0;
        loop {
            if !self.inbox.is_empty() && head::worth_parsing(&self.inbox, seen) {
                // The rules of the step in which the head is whole, so that no request is dispatched
                // by an older generation than its shard has acknowledged.
                let rules = self.connection.front.rules();
                if let Err(reason) = self.judge_again(&rules) {
                    return Next::Close(reason);
                }
                match self.decide(&rules) {
                    Ok(Some((asked, decision))) => {
                        self.wire.socket().disarm_reading();
                        return self.carry_out(&rules, asked, decision).await;
                    }
                    Ok(None) => {}
                    Err(malformed) => return self.refuse_malformed(&rules, malformed).await,
                }
            }
            seen = self.inbox.len();
            self.inbox.reserve(limits::REQUEST_HEAD_BYTES_MAX / 16);
            if let Err(reason) = self.receive().await {
                // Where nothing of a request has come, nobody waits for an answer.
                if self.inbox.is_empty() {
                    return Next::Close(Reason::ClientClosed);
                }
                return self.refuse(&self.connection.front.rules(), None, reason).await;
            }
        }
    }

    /// Judges the client of a kept connection anew once its verdict is older than the rules: what was
    /// accepted may have been revoked since, or be asked for more (design decision 6).
    fn judge_again(&mut self, rules: &Rules) -> Result<(), Reason> {
        let Wire::Tls(stream) = self.wire else { return Ok(()) };
        if self.connection.place.is_ending() {
            return Err(Reason::NoLongerAccepted);
        }
        // A handshake may have been judged by a generation that this shard has yet to take over.
        if self.client.generation >= rules.generation {
            return Ok(());
        }
        let listener = &rules.listener.name;
        let server_name = self.client.server_name.as_deref();
        let live = self.connection.shard.live.load();
        let again = stream.with_client_chain(|chain| {
            judge::again(&live, listener, server_name, chain, clock::now())
        });
        let Again { verdict, on_refusal } = again.ok_or(Reason::Draining)?;
        if verdict.result.is_err() {
            if on_refusal == OnRevocation::Keep {
                return Ok(());
            }
            if verdict.form != RefusalForm::Http {
                return Err(Reason::NoLongerAccepted);
            }
        }
        self.client.generation = verdict.generation;
        self.client.refused = verdict.result.as_ref().err().copied();
        self.client.identity = verdict.result.unwrap_or_default();
        Ok(())
    }

    async fn carry_out(&mut self, rules: &Rules, asked: Asked, decision: Decision<'_>) -> Next {
        match decision {
            Decision::Forward(group, head) => {
                // Idle connections do not keep room for an exchange.
                Box::pin(exchange::run(self, Task { rules, group, asked }, head)).await
            }
            Decision::Answer(fixed) => {
                let answer = Answer {
                    status: fixed.status,
                    content_type: &fixed.content_type,
                    content: fixed.body.as_bytes().into(),
                };
                self.inbox.consume(asked.head_bytes);
                let keep_alive = !asked.has_body() && self.keeps_alive(rules, &asked);
                self.answer(rules, Some(&asked), &answer, keep_alive).await
            }
            Decision::Refuse(refusal) => {
                self.answer(rules, Some(&asked), &Answer::refused(refusal), false).await
            }
            Decision::Misdirect => {
                self.answer(rules, Some(&asked), &Answer::standard(421), false).await
            }
        }
    }

    /// Waits for the first byte of a request, holding no buffer.
    async fn first_byte(&mut self) -> Result<(), Reason> {
        if !self.inbox.is_empty() {
            return Ok(());
        }
        self.inbox = Buf::default();
        let mut within = self.connection.front.rules().listener.idle_timeout;
        if self.connection.front.is_retired() && !self.wire.has_bytes() {
            if self.waits == Waits::Next {
                return Err(Reason::Draining);
            }
            // It has connected and not been served yet: its first request may be on its way.
            within = within.min(limits::LINGER);
        }
        let socket = self.wire.socket();
        socket.arm_reading(within, Reason::Idle);
        self.connection.place.set_waits(self.waits);
        let readable = self.wire.readable().await;
        self.connection.place.set_waits(Waits::Nothing);
        match (socket.killed(), readable) {
            (Some(reason), _) => Err(reason),
            (None, Err(_)) => Err(Reason::ClientClosed),
            (None, Ok(())) => Ok(()),
        }
    }

    /// Parses the head and decides what is done. `None` needs more bytes.
    fn decide<'r>(&self, rules: &'r Rules) -> Result<Option<(Asked, Decision<'r>)>, Malformed> {
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
            (Some(refusal), _) => Decision::Refuse(refusal),
            (None, _) if self.is_misdirected(rules, request.host) => Decision::Misdirect,
            (None, Action::FixedResponse(fixed)) => Decision::Answer(fixed),
            (None, Action::Forward(group)) => {
                Decision::Forward(group, self.head_for_target(rules, &request))
            }
        };
        Ok(Some((asked, decision)))
    }

    /// Whether the request asks for a name whose policy is not the one that the client was judged by.
    /// Otherwise a name without mutual authentication would be the way round that of another
    /// (RFC 9110, section 7.4).
    fn is_misdirected(&self, rules: &Rules, host: Option<&str>) -> bool {
        let Some(tls) = rules.tls().filter(|tls| !tls.by_name.is_empty()) else { return false };
        let judged_by = tls.access(self.client.server_name.as_deref());
        !tls.access_of_host(host).is_some_and(|asked_for| std::ptr::eq(judged_by, asked_for))
    }

    /// The head for the target once more, for another try.
    pub(super) fn head_again(&self, rules: &Rules) -> Option<Buf> {
        let mut slots = head::slots();
        let request = head::request(&self.inbox, &mut slots).ok().flatten()?;
        Some(self.head_for_target(rules, &request))
    }

    fn head_for_target(&self, rules: &Rules, request: &head::Request<'_, '_>) -> Buf {
        let client = forward::Client {
            address: self.connection.client,
            local_address: self.connection.address,
            listener_port: self.connection.front.port,
            tls: matches!(self.wire, Wire::Tls(_)),
            tls_names: self.client.tls_names,
            identity: &self.client.identity,
        };
        let attributes = &rules.listener.attributes;
        self.write(|out| forward::request(out, request, &client, attributes, &rules.forbidden))
    }

    /// What `write` writes, in a buffer that can be sent.
    pub(super) fn write(&self, write: impl FnOnce(&mut Vec<u8>)) -> Buf {
        let mut scratch = self.connection.shard.scratch.borrow_mut();
        scratch.clear();
        write(&mut scratch);
        let mut out = Buf::take();
        out.extend_from_slice(&scratch);
        out
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
            && !self.connection.place.is_ending()
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
        self.note_malformed(malformed);
        self.answer(rules, None, &Answer::standard(malformed.status()), false).await
    }

    /// Counts a request that is refused because of its form, and names the reason in the debug log.
    pub(super) fn note_malformed(&self, malformed: Malformed) {
        let front = &self.connection.front;
        front.counters.malformed[malformed.index()].add(1);
        let listener = &*front.rules().listener.name;
        tracing::debug!(listener, client = %self.connection.client, reason = malformed.word(), "malformed");
    }

    /// Sends an answer of the node's own.
    async fn answer(
        &self,
        rules: &Rules,
        asked: Option<&Asked>,
        answer: &Answer<'_>,
        keep_alive: bool,
    ) -> Next {
        let manner = self.manner(rules, asked, keep_alive);
        let out = self.write(|out| respond::write(out, answer, &manner));
        self.tell(rules, out, answer.status, keep_alive).await
    }

    fn manner(&self, rules: &Rules, asked: Option<&Asked>, keep_alive: bool) -> Manner {
        Manner {
            keep_alive,
            head_only: asked.is_some_and(|asked| asked.method == Method::Head),
            server: rules.listener.attributes.server,
            since_epoch: clock::since_epoch(),
        }
    }

    async fn tell(&self, rules: &Rules, out: Buf, status: u16, keep_alive: bool) -> Next {
        self.count_response(status);
        match self.send(out, rules).await {
            Ok(()) if keep_alive => Next::KeepAlive,
            Ok(()) => Next::Done,
            Err(reason) => Next::Abort(reason),
        }
    }

    /// Sends to the client, within the idle timeout.
    pub(super) async fn send(&self, bytes: Buf, rules: &Rules) -> Result<(), Reason> {
        let socket = self.wire.socket();
        self.connection.front.counters.sent_bytes.add(bytes.len() as u64);
        socket.arm(rules.listener.idle_timeout, Reason::ClientTimeout);
        let sent = self.wire.write(bytes).await.0;
        socket.disarm();
        sent.map_err(|_| socket.killed().unwrap_or(Reason::ClientClosed))
    }

    pub(super) fn count_response(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.connection.front.counters.responses[class].add(1);
    }
}
