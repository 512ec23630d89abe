//! HTTP/2 on a client's connection.
//!
//! One task drives the `h2` crate's connection: it accepts streams, has each judged and decided at once,
//! and says goodbye. What takes time, an exchange with a target, is a task of its own for each stream
//! ([`stream`]). The crate reads and writes through [`crate::net::polled`].
//!
//! ```text
//! Serving --(listener retired)--------> Draining: GOAWAY in two steps, what is on its way is served
//!    |`---(requests or age at their end, client no longer accepted)--> Refusing: the same, and what
//!    |                                                                 comes is refused
//!    `----(idle, bad frames, killed)--> Closing: GOAWAY and the end, whatever is open
//! ```
//!
//! PING never moves a deadline: there is one while no stream is open, armed when the last one ends.
//! Bounds: `limits::{H2_STREAMS_MAX,H2_REQUESTS_MAX,H2_HEADS_BYTES_MAX}` and the windows.
//! Source: RFC 9113; `alb-contract.md`, sections 5.1 and 6.2; `threats.md`, section 4.
mod answer;
mod download;
mod flow;
mod idle;
mod kept;
mod meter;
mod paced;
mod relay;
mod stream;
mod upload;

use super::Waits;
use super::connection::{Client, Connection};
use super::front::Rules;
use super::recording::Recording;
use super::request::{self, Asked, Decision};
use super::wire::Wire;
use crate::close::Reason;
use crate::http::desync::{self, Refused};
use crate::http::h2::flood::Flood;
use crate::http::h2::guard::Offence;
use crate::http::h2::untaken::Unseen;
use crate::http::h2::{fields, request as head, settings};
use crate::http::head::Malformed;
use crate::http::respond::Answer;
use crate::limits;
use crate::net::ByteStream;
use crate::observe::access_log::Kind;
use crate::observe::count::Relief;
use answer::Sender;
use bytes::Bytes;
use h2::server::{self, SendResponse};
use meter::{Metered, Transport};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;
use stream::Stream;

/// The crate's side of a connection.
type H2 = server::Connection<Transport, Bytes>;

/// A client's connection while it serves streams.
struct Session {
    shared: Rc<Shared>,
    client: Rc<Client>,
    leaving: Leaving,
    requests: u64,
}

/// What a connection and its streams share.
struct Shared {
    connection: Connection,
    wire: Rc<Wire>,
    transport: Transport,
    /// Streams in work.
    open: Cell<usize>,
    /// Those whose targets are slow to take their content.
    stalled: Cell<usize>,
    /// Bytes of their heads, and of content that may have to be sent again.
    held_bytes: Cell<usize>,
}

/// How far the goodbye has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Leaving {
    Serving,
    Draining,
    Refusing,
    Closing,
}

/// Serves streams until the connection ends; says why, where it was not as agreed.
pub(super) async fn serve(connection: Connection, wire: Wire, client: Client) -> Option<Reason> {
    let wire = Rc::new(wire);
    let idle = connection.front.rules().listener.idle_timeout;
    let counters = connection.front.counters.clone();
    let transport =
        Transport::new(Rc::clone(&wire), Metered::new(counters), idle, Reason::ClientTimeout);
    let shared = Rc::new(Shared {
        connection,
        wire: Rc::clone(&wire),
        transport: transport.clone(),
        open: Cell::new(0),
        stalled: Cell::new(0),
        held_bytes: Cell::new(0),
    });
    shared.wait_for(Waits::First);
    let ended = match begin(&transport).await {
        Some(Ok(mut h2)) => {
            let mut session = Session {
                shared: Rc::clone(&shared),
                client: Rc::new(client),
                leaving: Leaving::Serving,
                requests: 0,
            };
            poll_fn(|context| session.poll(&mut h2, context)).await
        }
        Some(Err(error)) => Some(reason_of(&error)),
        None => None,
    };
    // What this node did explains what the crate saw of it.
    let ended = match transport.with_watch(|metered| metered.offence()) {
        Some(Offence::Flood(flood)) => Some(shared.connection.note_flood(flood)),
        Some(Offence::Broken(code)) => Some(shared.connection.note_broken(code)),
        None if ended == Some(Reason::Http2Flood) => {
            Some(shared.connection.note_flood(Flood::Crate))
        }
        None => wire.socket().killed().or(ended),
    };
    transport.close().await;
    ended
}

/// Exchanges prefaces; nothing where the connection has to end before the client's is whole.
async fn begin(transport: &Transport) -> Option<Result<H2, h2::Error>> {
    let mut begun = settings().handshake(transport.clone());
    poll_fn(|context| match Pin::new(&mut begun).poll(context) {
        Poll::Ready(begun) => Poll::Ready(Some(begun)),
        Poll::Pending if transport.must_close() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Why the crate gave a connection up.
fn reason_of(error: &h2::Error) -> Reason {
    match error.reason() {
        _ if error.is_io() || error.is_remote() => Reason::ClientClosed,
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Reason::Http2Flood,
        Some(_) | None => Reason::Http2Malformed,
    }
}

impl Session {
    /// Drives the connection; ready at its end.
    fn poll(&mut self, h2: &mut H2, context: &mut Context<'_>) -> Poll<Option<Reason>> {
        self.shared.connection.place.wakes(context.waker());
        loop {
            self.look_round(h2);
            let accepted = h2.poll_accept(context);
            if let Poll::Ready(Some(Ok((_, respond)))) = &accepted {
                let stream = respond.stream_id().as_u32();
                self.shared.transport.with_watch(|metered| metered.taken(stream));
            } else {
                // Whatever was good has come out of the crate.
                self.note_refused();
            }
            match accepted {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(h2, request, respond),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(reason_of(&error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if self.must_close() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes note of what has changed around the connection.
    fn look_round(&mut self, h2: &mut H2) {
        let connection = &self.shared.connection;
        if self.must_close() {
            self.leave(h2, Leaving::Closing);
        } else if connection.place.is_ending() {
            self.leave(h2, Leaving::Refusing);
        } else if connection.front.is_retired() {
            self.leave(h2, Leaving::Draining);
        }
    }

    /// Whether the connection ends whatever is open, and has not been told so.
    fn must_close(&self) -> bool {
        self.leaving < Leaving::Closing && self.shared.transport.must_close()
    }

    /// Says goodbye as far as `leaving`, unless that has been said.
    fn leave(&mut self, h2: &mut H2, leaving: Leaving) {
        if self.leaving >= leaving {
            return;
        }
        let before = std::mem::replace(&mut self.leaving, leaving);
        match (before, leaving) {
            (_, Leaving::Closing) => {
                let transport = &self.shared.transport;
                transport.hurry();
                let offence = transport.with_watch(|metered| metered.offence());
                h2.abrupt_shutdown(offence.map_or(h2::Reason::NO_ERROR, Offence::code));
            }
            (Leaving::Serving, _) => h2.graceful_shutdown(),
            (Leaving::Draining | Leaving::Refusing | Leaving::Closing, _) => {}
        }
    }

    /// Judges and decides one request, and answers it or starts its exchange: one step, without an await,
    /// so that no request is dispatched by an older generation than its shard has acknowledged.
    fn begin(
        &mut self,
        h2: &mut H2,
        request: http::Request<h2::RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) {
        let shared = &self.shared;
        let connection = &shared.connection;
        let rules = connection.front.rules();
        if self.leaving >= Leaving::Refusing {
            return respond.send_reset(h2::Reason::REFUSED_STREAM);
        }
        match connection.judge_again(&shared.wire, &self.client, &rules) {
            Ok(None) => {}
            Ok(Some(client)) => self.client = Rc::new(client),
            Err(_) => {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
                return self.leave(h2, Leaving::Refusing);
            }
        }
        self.requests += 1;
        if self.requests >= limits::H2_REQUESTS_MAX
            || connection.accepted.elapsed() >= rules.listener.client_keep_alive
        {
            self.leave(h2, Leaving::Refusing);
        } else if connection.shard.is_pressed() {
            connection.shard.count_relief(Relief::Ended);
            self.leave(h2, Leaving::Refusing);
        }
        if self.dispatch(&rules, request, respond) == Then::Leave {
            self.leave(h2, Leaving::Refusing);
        }
    }

    /// Counts and logs the requests that the crate has refused itself.
    fn note_refused(&self) {
        let connection = &self.shared.connection;
        while let Some(refused) = self.shared.transport.with_watch(Metered::refused) {
            let (malformed, status) = match refused {
                Unseen::Malformed => (Malformed::BreaksHttp2, None),
                Unseen::TooLarge => (Malformed::HeadTooLong, Some(431)),
            };
            connection.note_malformed(malformed);
            if let Some(status) = status {
                connection.count_response(status);
            }
            let recording = Recording::begin(connection, &self.client, &connection.front.rules());
            recording.note(|record| {
                record.unreadable(b"");
                record.kind = Kind::H2;
                record.elb_status = status;
                record.reason = Some(malformed.word());
            });
            recording.finish(connection, &self.client, None);
        }
    }

    fn dispatch(
        &self,
        rules: &Rc<Rules>,
        request: http::Request<h2::RecvStream>,
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
        let head_bytes = read.as_ref().map_or(0, |request| request.length);
        let Some(place) = self.shared.admit(head_bytes) else {
            respond.send_reset(h2::Reason::REFUSED_STREAM);
            return Then::GoOn;
        };
        let sender = Sender::new(place, Rc::clone(rules), Rc::clone(&self.client), respond);
        self.shared.connection.count_class(class_reason);
        let request = match read {
            Ok(request) => request,
            Err(Refused { malformed, .. }) => {
                self.shared.connection.note_malformed(malformed);
                sender.recording.note(|record| {
                    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
                    record.unreadable(format!("{} {path} HTTP/2.0", parts.method).as_bytes());
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
                return Then::GoOn;
            }
        };
        let asked = Asked::of(&request);
        let grpc = request::is_grpc(&request);
        let connection = &self.shared.connection;
        let mut trace_id = Vec::new();
        connection.renew_trace_id(&mut trace_id, &request);
        let decision = request::decide(&self.client, rules, &request);
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
                    Some(head) => stream.start(head, parts, body),
                    None => stream.sender.own(Some(&asked), &Answer::standard(400)),
                }
            }
        }
        Then::GoOn
    }
}

/// What becomes of the connection behind a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Then {
    GoOn,
    /// Its client is not accepted.
    Leave,
}

impl Shared {
    /// Says what the connection waits for while no stream is open.
    fn wait_for(&self, waits: Waits) {
        let socket = self.wire.socket();
        if waits == Waits::Nothing {
            socket.disarm_reading();
        } else {
            let idle = self.connection.front.rules().listener.idle_timeout;
            socket.arm_reading(idle, Reason::Idle);
        }
        self.connection.place.set_waits(waits);
        self.transport.set_busy(waits == Waits::Nothing);
    }

    /// Says what the streams in work take: their heads, a buffer each way, and what waits for the client.
    fn weigh(&self) {
        const STREAM_BYTES: usize = 2 * limits::BUFFER_BYTES + limits::H2_SEND_BUFFER_BYTES_MAX;
        let bytes = self.held_bytes.get() + self.open.get() * STREAM_BYTES;
        self.connection.place.weigh(bytes);
    }

    /// A place for one more stream; none when the heads of those in work take too much.
    fn admit(self: &Rc<Self>, head_bytes: usize) -> Option<StreamPlace> {
        let bytes = self.held_bytes.get() + head_bytes;
        if bytes > limits::H2_HEADS_BYTES_MAX {
            return None;
        }
        self.held_bytes.set(bytes);
        if self.open.replace(self.open.get() + 1) == 0 {
            self.wait_for(Waits::Nothing);
        }
        self.weigh();
        let (began, answered) = (Instant::now(), Cell::new(false));
        let held_bytes = Cell::new(head_bytes);
        Some(StreamPlace { shared: Rc::clone(self), held_bytes, began, answered })
    }
}

/// A stream's place among those of its connection; given back on drop.
struct StreamPlace {
    shared: Rc<Shared>,
    held_bytes: Cell<usize>,
    began: Instant,
    /// Whether it was answered to its end.
    answered: Cell<bool>,
}

impl StreamPlace {
    /// Whether so many bytes of content may be held beside the heads, for which half of the room is kept free.
    fn hold(&self, bytes: usize) -> bool {
        let fits = self.shared.held_bytes.get() + bytes <= limits::H2_HEADS_BYTES_MAX / 2;
        if fits {
            self.shared.held_bytes.set(self.shared.held_bytes.get() + bytes);
            self.held_bytes.set(self.held_bytes.get() + bytes);
        }
        fits
    }

    /// They are not held any more.
    fn let_go(&self, bytes: usize) {
        self.shared.held_bytes.set(self.shared.held_bytes.get() - bytes);
        self.held_bytes.set(self.held_bytes.get() - bytes);
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let shared = &self.shared;
        if std::thread::panicking() && Rc::strong_count(shared) > 1 {
            // The place of the connection counts those that it does not outlive.
            shared.connection.place.note_panic();
        }
        if self.answered.get() || self.began.elapsed() >= limits::H2_PREMATURE {
            shared.transport.with_watch(Metered::served);
        }
        self.let_go(self.held_bytes.get());
        shared.open.set(shared.open.get() - 1);
        shared.weigh();
        if shared.open.get() == 0 {
            shared.wait_for(Waits::Next);
        }
    }
}
