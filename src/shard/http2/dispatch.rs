//! What becomes of one stream's request: it is read, decided, logged, and answered or handed to its exchange.
//!
//! One step, without an await.
use super::answer::Sender;
use super::meter::Metered;
use super::place::Shared;
use super::stream::{Head, Stream};
use crate::http::desync::{self, Refused};
use crate::http::h2::untaken::Unseen;
use crate::http::h2::{fields, request as head};
use crate::http::head::Malformed;
use crate::http::respond::Answer;
use crate::net;
use crate::observe::access_log::Kind;
use crate::shard::connection::Client;
use crate::shard::front::Rules;
use crate::shard::recording::Recording;
use crate::shard::request::{self, Asked, Decision};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use std::rc::Rc;

/// Reads, decides and logs one request, and answers it or starts its exchange.
pub(super) fn dispatch(
    shared: &Rc<Shared>,
    client: &Rc<Client>,
    rules: &Rc<Rules>,
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Then {
    let (parts, body) = request.into_parts();
    let read = fields(&parts.headers);
    let read = match &read {
        Ok(fields) => head::checked(&parts, fields, body.is_end_stream()),
        Err(malformed) => Err(*malformed),
    };
    let read = read.map_err(Refused::without_class).and_then(|mut request| {
        desync::judge(&mut request, rules.listener.attributes.desync).map(|()| request)
    });
    let class_reason = match &read {
        Ok(request) => request.class_reason,
        Err(refused) => refused.class_reason,
    };
    // Of one that is refused, its line has no more.
    let head_bytes =
        read.as_ref().map_or_else(|_| head::line_length(&parts), |request| request.length);
    let Some(place) = shared.admit(head_bytes) else {
        respond.send_reset(h2::Reason::REFUSED_STREAM);
        return Then::GoOn;
    };
    let sender = Sender::new(place, Rc::clone(rules), Rc::clone(client), respond);
    shared.connection.count_class(class_reason);
    let request = match read {
        Ok(request) => request,
        Err(refused) => {
            refuse(&sender, &parts, refused);
            return Then::GoOn;
        }
    };
    let asked = Asked::of(&request);
    let grpc = request::is_grpc(&request);
    let connection = &shared.connection;
    let mut trace_id = Vec::new();
    connection.renew_trace_id(&mut trace_id, &request);
    let decision = request::decide(client, rules, &request);
    sender.recording.note(|record| {
        record.asked(&request, &trace_id);
        if grpc {
            record.kind = Kind::Grpcs;
        }
    });
    sender.recording.decided(decision, rules);
    match decision {
        Decision::Answer(fixed) => sender.own(Some(&asked), &request::fixed_answer(fixed)),
        Decision::Refuse(refusal) => {
            sender.own(Some(&asked), &Answer::refused(refusal));
            return Then::Leave;
        }
        Decision::Turn(status) => sender.own(Some(&asked), &Answer::standard(status)),
        Decision::Forward(group) => {
            let stream = Stream { sender, asked, grpc, group: group.clone(), trace_id };
            match stream.head(&request, &parts) {
                Some(head) => start(stream, head, parts, body),
                None => stream.sender.own(Some(&asked), &Answer::standard(400)),
            }
        }
    }
    Then::GoOn
}

/// What becomes of the connection behind a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Then {
    GoOn,
    /// Its client is not accepted.
    Leave,
}

/// Refuses a request because of its form.
fn refuse(sender: &Sender, parts: &Parts, Refused { malformed, class_reason }: Refused) {
    sender.connection().note_malformed(malformed);
    sender.recording.note(|record| {
        let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
        record.unreadable(format!("{} {path} HTTP/2.0", parts.method).as_bytes());
        record.received_bytes = head::length(parts);
        record.kind = Kind::H2;
        record.classification = class_reason;
        record.reason = Some(malformed.word());
    });
    if malformed == Malformed::BreaksHttp2 {
        // As the crate does with what it finds itself (RFC 9113, section 8.1.1).
        sender.reset(h2::Reason::PROTOCOL_ERROR);
    } else {
        sender.own(None, &Answer::standard(malformed.status()));
    }
}

/// Begins the exchange with a target; `parts` are what `head` was written from. In a box: the runtime moves a task
/// several times.
fn start(stream: Stream, head: Head, parts: Parts, body: RecvStream) {
    match head {
        Head::Http1(head) => {
            let parts = stream.asked.may_repeat().then_some(parts);
            net::spawn(Box::pin(stream.exchange(head, parts, body)));
        }
        Head::Http2(head) => drop(net::spawn(Box::pin(stream.relay(head, parts, body)))),
    }
}

/// Counts and logs the requests that the crate has refused itself.
pub(super) fn note_refused(shared: &Shared, client: &Client) {
    let connection = &shared.connection;
    while let Some(refused) = shared.transport.with_watch(Metered::refused) {
        let (malformed, status) = match refused.unseen {
            Unseen::Malformed => (Malformed::BreaksHttp2, None),
            Unseen::TooLarge => (Malformed::HeadTooLong, Some(431)),
        };
        connection.note_malformed(malformed);
        if let Some(status) = status {
            connection.count_response(status);
        }
        let recording = Recording::begin(connection, client, &connection.front.rules());
        recording.note(|record| {
            record.unreadable(b"");
            record.received_bytes = refused.head_bytes;
            record.sent_bytes = status.map_or(0, |_| STATUS_BYTES);
            record.kind = Kind::H2;
            record.elb_status = status;
            record.reason = Some(malformed.word());
        });
        recording.finish(connection, client, None);
    }
}

/// What the crate's own answer, a status alone, counts in the access log.
const STATUS_BYTES: u64 = ":status: 431\r\n".len() as u64;
