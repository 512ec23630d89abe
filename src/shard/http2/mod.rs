//! HTTP/2 on a client's connection.
//!
//! One task drives the `h2` crate's connection: it accepts streams, has each judged and decided at once,
//! and says goodbye. What takes time is a task of its own for each stream: the [`exchange`] with a target of
//! HTTP/1.1, or the [`relay`] to one of HTTP/2. The crate reads and writes through [`crate::net::polled`].
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
mod dispatch;
mod download;
mod exchange;
mod flow;
mod idle;
mod kept;
mod line;
mod meter;
mod paced;
mod place;
mod relay;
mod stream;
mod upload;

use super::Phase;
use super::connection::{Client, Connection};
use super::wire::Wire;
use crate::close::Reason;
use crate::http::h2::flood::Flood;
use crate::http::h2::guard::Offence;
use crate::http::h2::settings;
use crate::limits;
use crate::net::ByteStream;
use crate::observe::count::Relief;
use bytes::Bytes;
use dispatch::{Then, dispatch, note_refused};
use h2::server::{self, SendResponse};
use meter::{Metered, Transport};
use place::Shared;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The crate's side of a connection.
type H2 = server::Connection<Transport, Bytes>;

/// A client's connection while it serves streams.
struct Session {
    shared: Rc<Shared>,
    client: Rc<Client>,
    leaving: Leaving,
    requests: u64,
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
    let shared = Shared::new(connection, Rc::clone(&wire), transport.clone());
    shared.enter(Phase::BeforeFirst);
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
            self.shared.write_lines();
            if let Poll::Ready(Some(Ok((_, respond)))) = &accepted {
                let stream = respond.stream_id().as_u32();
                self.shared.transport.with_watch(|metered| metered.taken(stream));
            } else {
                // Whatever was good has come out of the crate.
                note_refused(&self.shared, &self.client);
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
        if self.requests >= limits::H2_REQUESTS_MAX || connection.is_old() {
            self.leave(h2, Leaving::Refusing);
        } else if connection.shard.is_pressed() {
            connection.shard.count_relief(Relief::Ended);
            self.leave(h2, Leaving::Refusing);
        }
        if dispatch(&self.shared, &self.client, &rules, request, respond) == Then::Leave {
            self.leave(h2, Leaving::Refusing);
        }
    }
}
