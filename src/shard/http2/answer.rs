//! The answering side of a stream.
//!
//! Shared by what writes the answer and what watches for the client's reset; borrowed only between
//! awaits. The crate keeps `limits::H2_SEND_BUFFER_BYTES_MAX` of a stream at most, and what the client's
//! windows have no room for waits here, in one buffer.
use super::flow::{is_small, poll_room};
use super::idle::Idle;
use super::line::Line;
use super::place::StreamPlace;
use crate::clock;
use crate::close::Reason;
use crate::config::snapshot::Floor;
use crate::http::h2::answers::Block;
use crate::http::h2::{answer, fields_bytes};
use crate::http::respond::{Answer, Manner};
use crate::net::{ByteStream, at_once};
use crate::shard::connection::{Client, Connection};
use crate::shard::front::Rules;
use crate::shard::pace::Taking;
use crate::shard::recording::Recording;
use crate::shard::request::{Asked, Method};
use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use http::HeaderMap;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What answers a stream.
pub(super) struct Sender {
    pub(super) place: StreamPlace,
    pub(super) rules: Rc<Rules>,
    pub(super) client: Rc<Client>,
    pub(super) recording: Recording,
    stream: u32,
    state: RefCell<State>,
    /// How the client takes the answer, while it waits for room.
    taking: Cell<Taking>,
}

enum State {
    /// Nothing final has been said.
    Silent(SendResponse<Bytes>),
    /// The head has been sent.
    Answering(SendStream<Bytes>),
    /// All of it has.
    Answered,
}

impl Sender {
    pub(super) fn new(
        place: StreamPlace,
        rules: Rc<Rules>,
        client: Rc<Client>,
        respond: SendResponse<Bytes>,
    ) -> Self {
        let recording = Recording::begin(&place.shared.connection, &client, &rules);
        let stream = respond.stream_id().as_u32();
        let state = RefCell::new(State::Silent(respond));
        Self { place, rules, client, recording, stream, state, taking: Cell::default() }
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
        let Some((response, content)) = answer::own(own, &manner, grpc) else { return };
        if self.begin(response, content.is_empty()).is_ok() {
            self.put(content, true);
        }
    }

    /// Sends an interim answer.
    pub(super) fn inform(&self, response: http::Response<()>) {
        if let State::Silent(respond) = &mut *self.state.borrow_mut() {
            let bytes = self.count(|| answer::head_bytes(&response));
            // A stream that is gone is noticed by its reset.
            if respond.send_informational(response).is_ok() {
                self.given(Block::Interim, bytes);
            }
        }
    }

    /// Sends the head; `whole` says that no content follows.
    pub(super) fn begin(&self, response: http::Response<()>, whole: bool) -> Result<(), Reason> {
        let state = &mut *self.state.borrow_mut();
        let State::Silent(respond) = state else { return Err(Reason::Internal) };
        let bytes = self.count(|| answer::head_bytes(&response));
        let stream = respond.send_response(response, whole).map_err(|_| Reason::ClientClosed)?;
        self.given(Block::Head, bytes);
        *state = if whole { State::Answered } else { State::Answering(stream) };
        self.place.answered.set(whole);
        Ok(())
    }

    /// Sends content as the client's windows have room, to a client that takes some before its stream has
    /// been idle for too long; `last` ends the answer.
    pub(super) async fn send(
        &self,
        mut out: Bytes,
        last: bool,
        idle: &Idle,
        floor: Option<Floor>,
    ) -> Result<(), Reason> {
        while !out.is_empty() {
            let mut sending = pin!(self.send_some(&mut out, last));
            match at_once(sending.as_mut()).await {
                Poll::Ready(sent) => sent?,
                Poll::Pending => self.wait(sending, idle, floor).await?,
            }
            idle.moved();
        }
        if last {
            self.finish();
        }
        Ok(())
    }

    /// Waits for a send that did not end at once.
    async fn wait(
        &self,
        sending: Pin<&mut impl Future<Output = Result<(), Reason>>>,
        idle: &Idle,
        floor: Option<Floor>,
    ) -> Result<(), Reason> {
        let socket = self.place.shared.wire.socket();
        let mut taking = self.taking.get();
        // What its connection acknowledges, answers to PING among it, says nothing of this stream: silence
        // is for `idle` to end.
        let sent = {
            let waiting = pin!(taking.wait(socket, Duration::MAX, floor, sending));
            idle.within(waiting).await
        };
        self.taking.set(taking);
        sent.ok_or(Reason::ClientTimeout)??
    }

    /// Sends what the client takes next, where there is some; the rest stays. `last` as in [`Sender::send`].
    async fn send_some(&self, out: &mut Bytes, last: bool) -> Result<(), Reason> {
        let mut room = self.room(out.len()).await?;
        if is_small(room) {
            self.place.shared.transport.written().await;
            room = self.room(out.len()).await?;
        }
        let part = out.split_to(room);
        self.put(part, last && out.is_empty());
        Ok(())
    }

    /// Waits until the client's windows have room, for `bytes` at most.
    async fn room(&self, bytes: usize) -> Result<usize, Reason> {
        let room = poll_fn(|context| match &mut *self.state.borrow_mut() {
            State::Answering(stream) => poll_room(stream, bytes, context),
            State::Silent(_) | State::Answered => Poll::Ready(None),
        });
        room.await.ok_or(Reason::ClientClosed)
    }

    /// Ends the answer, unless that has been said.
    fn finish(&self) {
        self.put(Bytes::new(), true);
    }

    /// Hands content to the crate.
    fn put(&self, out: Bytes, last: bool) {
        let state = &mut *self.state.borrow_mut();
        let State::Answering(stream) = state else { return };
        // A stream that is gone is noticed by its reset.
        let _ = stream.send_data(out, last);
        if last {
            *state = State::Answered;
            self.place.answered.set(true);
        }
    }

    /// Ends the answer with these trailers, if there are any, unless its end has been said.
    pub(super) fn end(&self, trailers: HeaderMap) {
        if trailers.is_empty() {
            return self.finish();
        }
        let state = &mut *self.state.borrow_mut();
        let State::Answering(stream) = state else { return };
        let bytes = self.count(|| fields_bytes(&trailers));
        // A stream that is gone is noticed by its reset.
        if stream.send_trailers(trailers).is_ok() {
            self.given(Block::Trailers, bytes);
        }
        *state = State::Answered;
        self.place.answered.set(true);
    }

    /// What fields count in the access log; none where there is no access log.
    fn count(&self, bytes: impl FnOnce() -> u64) -> Option<u64> {
        let mut count = None;
        self.recording.note(|_| count = Some(bytes()));
        count
    }

    /// Fields were given to the crate: they count once they have gone.
    fn given(&self, block: Block, bytes: Option<u64>) {
        if let Some(bytes) = bytes {
            let transport = &self.place.shared.transport;
            transport.with_watch(|metered| metered.given(self.stream, block, bytes));
        }
    }

    /// Whether the answer has begun.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(&*self.state.borrow(), State::Silent(_))
    }

    /// Ends the stream: the client must see that its answer is not whole.
    pub(super) fn reset(&self, reason: h2::Reason) {
        match &mut *self.state.borrow_mut() {
            State::Silent(respond) => respond.send_reset(reason),
            State::Answering(stream) => stream.send_reset(reason),
            State::Answered => {}
        }
    }

    /// Ready once the client, or the end of its connection, has reset the stream.
    pub(super) fn poll_reset(&self, context: &mut Context<'_>) -> Poll<()> {
        match &mut *self.state.borrow_mut() {
            State::Silent(respond) => respond.poll_reset(context).map(|_| ()),
            State::Answering(stream) => stream.poll_reset(context).map(|_| ()),
            State::Answered => Poll::Pending,
        }
    }
}

/// The end of the stream, however it came.
impl Drop for Sender {
    fn drop(&mut self) {
        let line = Line {
            stream: self.stream,
            head_bytes: self.place.head_bytes,
            has_begun: self.has_begun(),
            // What has not been given to the crate whole goes no further.
            is_whole: matches!(self.state.get_mut(), State::Answered),
            recording: std::mem::take(&mut self.recording),
            client: Rc::clone(&self.client),
        };
        self.place.log(line);
    }
}
