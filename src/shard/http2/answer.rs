//! The answering side of a stream.
//!
//! Shared by what writes the answer and what watches for the client's reset; borrowed only between
//! awaits. The crate keeps `limits::H2_SEND_BUFFER_BYTES_MAX` of a stream at most, and what the client's
//! windows have no room for waits here, in one buffer.
use super::StreamPlace;
use crate::clock;
use crate::close::Reason;
use crate::http::h2::answer;
use crate::http::respond::{Answer, Manner};
use crate::net::Buf;
use crate::shard::connection::{Client, Connection};
use crate::shard::front::Rules;
use crate::shard::recording::Recording;
use crate::shard::request::{Asked, Method};
use h2::SendStream;
use h2::server::SendResponse;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What answers a stream.
pub(super) struct Sender {
    pub(super) place: StreamPlace,
    pub(super) rules: Rc<Rules>,
    pub(super) client: Rc<Client>,
    pub(super) recording: Recording,
    state: RefCell<State>,
}

enum State {
    /// Nothing final has been said.
    Unanswered(SendResponse<Buf>),
    /// The head has been sent.
    Answering(SendStream<Buf>),
    /// All of it has.
    Answered,
}

impl Sender {
    pub(super) fn new(
        place: StreamPlace,
        rules: Rc<Rules>,
        client: Rc<Client>,
        respond: SendResponse<Buf>,
    ) -> Self {
        let recording = Recording::begin(&place.shared.connection, &client, &rules);
        Self { place, rules, client, recording, state: RefCell::new(State::Unanswered(respond)) }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.place.shared.connection
    }

    /// Answers by the node's own words. Nothing waits: the content is small, and the crate keeps it until
    /// the client takes it.
    pub(super) fn own(&self, asked: Option<&Asked>, answer: &Answer<'_>) {
        self.own_to(asked, answer, false);
    }

    /// The same, to a call of gRPC.
    pub(super) fn own_to(&self, asked: Option<&Asked>, own: &Answer<'_>, grpc: bool) {
        let manner = Manner {
            keep_alive: true,
            head_only: asked.is_some_and(|asked| asked.method == Method::Head),
            attributes: &self.rules.listener.attributes,
            since_epoch: clock::since_epoch(),
        };
        self.connection().count_response(own.status);
        self.recording.note(|record| record.elb_status = Some(own.status));
        let Some(response) = answer::own(own, &manner, grpc) else { return };
        let content = own.has_content() && !manner.head_only && !own.content.is_empty();
        if self.begin(response, !content).is_ok() && content {
            let mut out = Buf::take();
            out.extend_from_slice(&own.content);
            self.put(out, true);
        }
    }

    /// Sends an interim answer.
    pub(super) fn inform(&self, response: http::Response<()>) {
        if let State::Unanswered(respond) = &mut *self.state.borrow_mut() {
            // A stream that is gone is noticed by its reset.
            let _ = respond.send_informational(response);
        }
    }

    /// Sends the head; `whole` says that no content follows.
    pub(super) fn begin(&self, response: http::Response<()>, whole: bool) -> Result<(), Reason> {
        let state = &mut *self.state.borrow_mut();
        let State::Unanswered(respond) = state else { return Err(Reason::Internal) };
        let mut head_bytes = 0;
        self.recording.note(|_| head_bytes = answer::head_bytes(&response));
        let stream = respond.send_response(response, whole).map_err(|_| Reason::ClientClosed)?;
        self.recording.note(|record| record.sent_bytes += head_bytes);
        *state = if whole { State::Answered } else { State::Answering(stream) };
        self.place.answered.set(whole);
        Ok(())
    }

    /// Sends content as the client's windows have room; `last` ends the answer.
    pub(super) async fn send(
        &self,
        mut out: Buf,
        last: bool,
        idle: Duration,
    ) -> Result<(), Reason> {
        while !out.is_empty() {
            let room = self.room(out.len(), idle).await?;
            if room >= out.len() {
                break;
            }
            let part = Buf::of(&out[..room]);
            out.consume(room);
            self.put(part, false);
        }
        if last || !out.is_empty() {
            self.put(out, last);
        }
        Ok(())
    }

    /// Waits until the client takes some bytes, `bytes` at most.
    ///
    /// A client that opens its windows bit by bit and reads nothing would make the crate keep a frame for
    /// each bit: a small part waits until what was sent before is on its way.
    async fn room(&self, bytes: usize, idle: Duration) -> Result<usize, Reason> {
        let room = async {
            let room = self.window(bytes).await?;
            if room >= bytes.min(SMALL_BYTES) {
                return Some(room);
            }
            self.place.shared.transport.written().await;
            self.window(bytes).await
        };
        match tokio::time::timeout(idle, room).await {
            Ok(Some(room)) => Ok(room.min(bytes)),
            Ok(None) => Err(Reason::ClientClosed),
            Err(_) => Err(Reason::ClientTimeout),
        }
    }

    /// Waits until the client's windows have room; `None` once the stream is gone.
    async fn window(&self, bytes: usize) -> Option<usize> {
        poll_fn(|context| match &mut *self.state.borrow_mut() {
            State::Answering(stream) => {
                stream.reserve_capacity(bytes);
                match stream.capacity() {
                    0 => stream.poll_capacity(context).map(|room| room?.ok()),
                    room => Poll::Ready(Some(room)),
                }
            }
            State::Unanswered(_) | State::Answered => Poll::Ready(None),
        })
        .await
    }

    /// Hands content to the crate.
    fn put(&self, out: Buf, last: bool) {
        let state = &mut *self.state.borrow_mut();
        let State::Answering(stream) = state else { return };
        let count = out.len() as u64;
        // A stream that is gone is noticed by its reset.
        if stream.send_data(out, last).is_ok() {
            self.recording.note(|record| record.sent_bytes += count);
        }
        if last {
            *state = State::Answered;
            self.place.answered.set(true);
        }
    }

    /// Ends the stream: the client must see that its answer is not whole.
    pub(super) fn reset(&self, reason: h2::Reason) {
        match &mut *self.state.borrow_mut() {
            State::Unanswered(respond) => respond.send_reset(reason),
            State::Answering(stream) => stream.send_reset(reason),
            State::Answered => {}
        }
    }

    /// Ready once the client, or the end of its connection, has reset the stream.
    pub(super) fn poll_reset(&self, context: &mut Context<'_>) -> Poll<()> {
        match &mut *self.state.borrow_mut() {
            State::Unanswered(respond) => respond.poll_reset(context).map(|_| ()),
            State::Answering(stream) => stream.poll_reset(context).map(|_| ()),
            State::Answered => Poll::Pending,
        }
    }
}

/// The end of the stream, however it came.
impl Drop for Sender {
    fn drop(&mut self) {
        self.recording.finish(self.connection(), &self.client, None);
    }
}
/// A part of an answer below this is small.
const SMALL_BYTES: usize = 1_024;
