//! What a request asks for, and what is done about it: the same for HTTP/1.1 and HTTP/2.
//!
//! Without an await, so that a request is judged, decided and written anew by one generation.
use super::connection::{Client, Connection};
use super::front::Rules;
use super::judge::{self, Again};
use super::wire::Wire;
use crate::clock;
use crate::close::Reason;
use crate::config::snapshot::{OnRevocation, RefusalForm};
use crate::http::desync::ClassReason;
use crate::http::forward::{self, InvalidNames};
use crate::http::h2::flood::Flood;
use crate::http::head::{Body, Expected, Malformed, Request, Version};
use crate::http::respond::Answer;
use crate::http::{trace_id, trailers, upgrade};
use crate::net::Buf;
use crate::route::{Action, FixedResponse};
use crate::target::{Group, ProtocolVersion};
use crate::trust::Refusal;
use std::sync::Arc;

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
    /// Whether it is the last on its target's connection.
    pub(super) closes: bool,
    /// Whether it waits for `100 Continue`.
    pub(super) expects_continue: bool,
    /// What `trailers::may_pass` said of it.
    pub(super) trailers_may_pass: bool,
    /// The method, as far as the answer depends on it.
    pub(super) method: Method,
    /// Whether it asks for a WebSocket.
    pub(super) upgrade: bool,
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
}

impl Asked {
    /// What is kept of `request`.
    pub(super) fn of(request: &Request<'_, '_>) -> Self {
        Self {
            head_bytes: request.length,
            version: request.version,
            body: request.body,
            keep_alive: request.keep_alive,
            closes: request.closes,
            expects_continue: request.expects_continue,
            trailers_may_pass: trailers::may_pass(&request.connection),
            method: Method::of(request.method),
            upgrade: upgrade::is_asked(request),
        }
    }

    /// What its response may be.
    pub(super) const fn expected(&self) -> Expected {
        match self.method {
            Method::Head => Expected::HeadAlone,
            Method::Idempotent if self.upgrade => Expected::Upgrade,
            Method::Idempotent | Method::Other => Expected::Content,
        }
    }

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
#[derive(Clone, Copy, Debug)]
pub(super) enum Decision<'r> {
    /// The node answers.
    Answer(&'r FixedResponse),
    /// The client is refused (`refusal: http`).
    Refuse(Refusal),
    /// It gets this status: it came to the wrong place (421), or in the wrong protocol (464).
    Turn(u16),
    /// It goes to a target of this group.
    Forward(&'r Arc<Group>),
}

/// The answer of a `fixed-response` action.
pub(super) fn fixed_answer(fixed: &FixedResponse) -> Answer<'_> {
    Answer {
        status: fixed.status,
        content_type: &fixed.content_type,
        content: fixed.body.as_bytes().into(),
    }
}

/// Decides. The branching of a request's way stands here alone.
pub(super) fn decide<'r>(
    client: &Client,
    rules: &'r Rules,
    request: &Request<'_, '_>,
) -> Decision<'r> {
    match (client.refused, &rules.listener.default_action) {
        (Some(refusal), _) => Decision::Refuse(refusal),
        (None, _) if is_misdirected(client, rules, request.host) => Decision::Turn(421),
        (None, Action::FixedResponse(fixed)) => Decision::Answer(fixed),
        (None, Action::Forward(group)) => {
            match fits(Spoken::by(request), request.method == "POST", group.protocol_version) {
                true => Decision::Forward(group),
                false => Decision::Turn(464),
            }
        }
    }
}

/// Whether the request asks for a name whose policy is not the one that the client was judged by.
/// Otherwise a name without mutual authentication would be the way round that of another
/// (RFC 9110, section 7.4).
fn is_misdirected(client: &Client, rules: &Rules, host: Option<&str>) -> bool {
    let Some(tls) = rules.tls().filter(|tls| !tls.by_name.is_empty()) else { return false };
    let judged_by = tls.access(client.server_name.as_deref());
    !tls.access_of_host(host).is_some_and(|asked_for| std::ptr::eq(judged_by, asked_for))
}

/// What a request is to the versions of target groups.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Spoken {
    Http1,
    Http2,
    Grpc,
}

impl Spoken {
    fn by(request: &Request<'_, '_>) -> Self {
        match request.version {
            Version::Http10 | Version::Http11 => Self::Http1,
            Version::Http2 if is_grpc(request) => Self::Grpc,
            Version::Http2 => Self::Http2,
        }
    }
}

/// Whether targets of this version serve such a request (`alb-contract.md`, section 4.6).
const fn fits(spoken: Spoken, post: bool, version: ProtocolVersion) -> bool {
    match (version, spoken) {
        (ProtocolVersion::Http1, Spoken::Http1 | Spoken::Http2)
        | (ProtocolVersion::Http2, Spoken::Http2 | Spoken::Grpc) => true,
        (ProtocolVersion::Http1, Spoken::Grpc)
        | (ProtocolVersion::Http2 | ProtocolVersion::Grpc, Spoken::Http1) => false,
        (ProtocolVersion::Grpc, Spoken::Http2 | Spoken::Grpc) => post,
    }
}

/// Whether it is a call of gRPC (its HTTP/2 mapping, "Requests": `Content-Type: application/grpc`, bare
/// or followed by `+` and the name of a format). gRPC-Web, which has another type, is plain HTTP.
pub(super) fn is_grpc(request: &Request<'_, '_>) -> bool {
    let is_type = |value: &[u8]| {
        let (kind, rest) = value.split_at_checked(GRPC.len()).unwrap_or_default();
        kind.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';'))
    };
    request.version == Version::Http2
        && request
            .headers
            .iter()
            .any(|header| header.name.eq_ignore_ascii_case("content-type") && is_type(header.value))
}

const GRPC: &[u8] = b"application/grpc";

impl Connection {
    /// Judges the client of a kept connection anew once its verdict is older than the rules: what was
    /// accepted may have been revoked since, or be asked for more (design decision 6). Answers the
    /// client as it is now, where that is new.
    ///
    /// # Errors
    /// Why the connection serves no further request.
    pub(super) fn judge_again(
        &self,
        wire: &Wire,
        client: &Client,
        rules: &Rules,
    ) -> Result<Option<Client>, Reason> {
        let Wire::Tls(stream) = wire else { return Ok(None) };
        if self.place.is_ending() {
            return Err(Reason::NoLongerAccepted);
        }
        // A handshake may have been judged by a generation that this shard has yet to take over.
        if client.generation >= rules.generation {
            return Ok(None);
        }
        let listener = &rules.listener.name;
        let server_name = client.server_name.as_deref();
        let live = self.shard.live.load();
        let again = stream.with_client_chain(|chain| {
            judge::again(&live, listener, server_name, chain, clock::now())
        });
        judged(client, again.ok_or(Reason::Draining)?).map(Some)
    }

    /// Puts the request's value of X-Amzn-Trace-Id in the place of what is in `out`.
    pub(super) fn renew_trace_id(&self, out: &mut Vec<u8>, request: &Request<'_, '_>) {
        let random = self.shard.random.borrow_mut().bytes();
        let fresh = trace_id::Fresh { since_epoch: clock::since_epoch(), random };
        out.clear();
        trace_id::write(out, request.trace_id, fresh);
    }

    /// What targets are told of the client.
    pub(super) fn behind<'a>(
        &self,
        wire: &Wire,
        client: &'a Client,
        trace_id: &'a [u8],
    ) -> forward::Client<'a> {
        forward::Client {
            address: self.client,
            local_address: self.address,
            listener_port: self.front.port,
            tls: matches!(wire, Wire::Tls(_)),
            tls_names: client.tls_names,
            identity: &client.identity,
            trace_id,
        }
    }

    /// The head that an HTTP/1.1 target gets, and what became of headers with invalid names.
    pub(super) fn head_for_target(
        &self,
        rules: &Rules,
        request: &Request<'_, '_>,
        behind: &forward::Client<'_>,
    ) -> (Buf, Option<InvalidNames>) {
        let attributes = &rules.listener.attributes;
        let mut invalid_names = None;
        let head = self.write(|out| {
            invalid_names = forward::request(out, request, behind, attributes, &rules.forbidden);
        });
        (head, invalid_names)
    }

    /// Counts a request with headers whose names are invalid.
    pub(super) fn count_invalid_names(&self, became: Option<InvalidNames>) {
        if let Some(became) = became {
            self.front.counters.invalid_names[became.index()].add(1);
        }
    }

    /// What `write` writes, in a buffer that can be sent.
    pub(super) fn write(&self, write: impl FnOnce(&mut Vec<u8>)) -> Buf {
        let mut scratch = self.shard.scratch.borrow_mut();
        scratch.clear();
        write(&mut scratch);
        let mut out = Buf::take();
        out.extend_from_slice(&scratch);
        out
    }

    /// Counts a request that was not served to its end.
    pub(super) fn count_failed(&self, reason: Reason) {
        self.front.counters.failed[reason.index()].add(1);
    }

    /// Counts a response by the class of its status.
    pub(super) fn count_response(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.front.counters.responses[class].add(1);
    }

    /// Counts a request that has a class of desync mitigation.
    pub(super) fn count_class(&self, class_reason: Option<ClassReason>) {
        if let Some(reason) = class_reason {
            self.front.counters.classified[reason.index()].add(1);
        }
    }

    /// Counts a request that is refused because of its form, and names the reason in the debug log.
    pub(super) fn note_malformed(&self, malformed: Malformed) {
        self.front.counters.malformed[malformed.index()].add(1);
        let listener = &*self.front.rules().listener.name;
        tracing::debug!(listener, client = %self.client, reason = malformed.word(), "malformed");
    }

    /// Counts a flood of HTTP/2 frames, and names their kind in the debug log. Why the connection ends.
    pub(super) fn note_flood(&self, flood: Flood) -> Reason {
        self.front.counters.http2_floods[flood.index()].add(1);
        let listener = &*self.front.rules().listener.name;
        tracing::debug!(listener, client = %self.client, frames = flood.word(), "flood");
        Reason::Http2Flood
    }

    /// Names the code of what a client's frames broke in the debug log. Why the connection ends.
    pub(super) fn note_broken(&self, code: h2::Reason) -> Reason {
        let listener = &*self.front.rules().listener.name;
        tracing::debug!(listener, client = %self.client, ?code, "broken frames");
        Reason::Http2Malformed
    }
}

/// The client of a kept connection after it was judged again. One that is kept in spite of a refusal stays
/// what it was, and that generation has judged it: the next one to do so is a newer one.
fn judged(client: &Client, Again { verdict, on_refusal }: Again) -> Result<Client, Reason> {
    let client = Client { generation: verdict.generation, ..client.clone() };
    match verdict.result {
        Ok(identity) => Ok(Client { identity, refused: None, ..client }),
        Err(_) if on_refusal == OnRevocation::Keep => Ok(client),
        Err(refusal) if verdict.form == RefusalForm::Http => {
            Ok(Client { identity: Vec::new(), refused: Some(refusal), ..client })
        }
        Err(_) => Err(Reason::NoLongerAccepted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::judge::Verdict;

    /// A client that generation 1 has accepted, judged again by generation 2.
    fn judged_again(
        result: Result<Vec<u8>, Refusal>,
        form: RefusalForm,
        on_refusal: OnRevocation,
    ) -> Result<Client, Reason> {
        let client =
            Client { generation: 1, identity: b"X: old\r\n".to_vec(), ..Client::default() };
        let verdict = Verdict { generation: 2, result, form, accepted: None, leaf: None };
        judged(&client, Again { verdict, on_refusal })
    }

    #[test]
    fn whoever_is_judged_again_is_so_once_for_each_generation() {
        use OnRevocation::{Close, Drain, Keep};
        use RefusalForm::{Alert, Http, Reset};
        let accepted = judged_again(Ok(b"X: new\r\n".to_vec()), Alert, Drain).unwrap();
        assert_eq!((accepted.generation, &*accepted.identity), (2, &b"X: new\r\n"[..]));
        for form in [Alert, Reset, Http] {
            let kept = judged_again(Err(Refusal::CrlHit), form, Keep).unwrap();
            assert_eq!((kept.generation, kept.refused), (2, None), "{form:?}");
            assert_eq!(kept.identity, b"X: old\r\n", "it stays what it was");
        }
        for on_refusal in [Drain, Close] {
            for form in [Alert, Reset] {
                let ended = judged_again(Err(Refusal::CrlHit), form, on_refusal);
                assert_eq!(ended.unwrap_err(), Reason::NoLongerAccepted, "{form:?}");
            }
            let told = judged_again(Err(Refusal::CrlHit), Http, on_refusal).unwrap();
            assert_eq!((told.generation, told.refused), (2, Some(Refusal::CrlHit)));
            assert!(told.identity.is_empty(), "a client that is refused has no identity");
        }
    }

    #[test]
    fn each_client_reaches_the_targets_that_the_protocol_matrix_lets_it() {
        use ProtocolVersion::{Grpc, Http1, Http2};
        for (spoken, post, served_by) in [
            (Spoken::Http1, false, &[Http1][..]),
            (Spoken::Http1, true, &[Http1]),
            (Spoken::Http2, false, &[Http1, Http2]),
            (Spoken::Http2, true, &[Http1, Http2, Grpc]),
            (Spoken::Grpc, true, &[Http2, Grpc]),
            (Spoken::Grpc, false, &[Http2]),
        ] {
            for version in [Http1, Http2, Grpc] {
                let expected = served_by.contains(&version);
                assert_eq!(fits(spoken, post, version), expected, "{spoken:?} {post} {version:?}");
            }
        }
    }
}
