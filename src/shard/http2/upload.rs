//! A request's content and trailers on their way from a stream to an HTTP/1.1 target.
//!
//! The client's windows open again only for what the target has taken, so that a slow target holds its
//! client and not this node's memory.
use super::idle::Idle;
use super::paced::{Paced, Stalled};
use crate::close::Reason;
use crate::http::body;
use crate::http::chunked;
use crate::http::h2::{fields_bytes, write_trailers};
use crate::http::head::Body;
use crate::http::trailers::Filter;
use crate::net::Buf;
use crate::shard::outcome::Uploaded;
use crate::shard::pace::TooSlow;
use crate::shard::recording::Recording;
use crate::shard::target::Target;
use bytes::Bytes;
use h2::RecvStream;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// The content, from the client to the target.
pub(super) struct Upload<'a> {
    pub(super) body: RecvStream,
    pub(super) target: Target<'a>,
    pub(super) framing: Body,
    /// Which of its trailers go on, where it goes on in chunks; a length has no place for any.
    pub(super) trailers: Filter<'a>,
    /// Of both directions.
    pub(super) idle: &'a Idle,
    pub(super) paced: Paced<'a>,
    /// Streams of the connection whose targets are slow to take content.
    pub(super) stalled: &'a Cell<usize>,
    /// Set once the whole content has been sent.
    pub(super) whole: &'a Cell<bool>,
    /// Set once the answer is whole.
    pub(super) answered: &'a Cell<bool>,
    pub(super) recording: &'a Recording,
}

impl Upload<'_> {
    pub(super) async fn run(mut self) -> Uploaded {
        loop {
            let content = match self.next().await {
                Ok(Some(Ok(content))) => content,
                Ok(Some(Err(_))) => return Uploaded::ClientEnded(Reason::ClientClosed),
                Ok(None) if self.answered.get() => return Uploaded::Abandoned,
                Ok(None) => break,
                Err(reason) => return Uploaded::ClientEnded(reason),
            };
            self.idle.moved();
            self.recording.note(|record| record.received_bytes += content.len() as u64);
            let mut out = Buf::take();
            body::append(&content, self.framing == Body::Chunked, &mut out);
            let stalled = Stalled::begin(self.stalled);
            let sent = self.target.send(out).await;
            drop(stalled);
            if sent.is_err() {
                return Uploaded::TargetStopped;
            }
            self.idle.moved();
            // It fails only on a stream that is gone, which the next read says.
            let _ = self.body.flow_control().release_capacity(content.len());
        }
        if self.framing == Body::Chunked {
            let end = match self.end().await {
                Ok(end) => end,
                Err(ended) => return ended,
            };
            if self.target.send(end).await.is_err() {
                return Uploaded::TargetStopped;
            }
        }
        self.whole.set(true);
        self.target.has_all();
        Uploaded::Whole
    }

    /// What ends the chunks, with the trailers that came.
    async fn end(&mut self) -> Result<Buf, Uploaded> {
        let trailers = poll_fn(|context| self.body.poll_trailers(context)).await;
        let trailers = trailers.map_err(|_| Uploaded::ClientEnded(Reason::ClientClosed))?;
        let mut end = chunked::LAST_CHUNK.to_vec();
        if let Some(trailers) = trailers {
            self.recording.note(|record| record.received_bytes += fields_bytes(&trailers));
            let written = write_trailers(&mut end, &trailers, self.trailers);
            written.map_err(Uploaded::Malformed)?;
        }
        end.extend_from_slice(chunked::SECTION_END);
        let mut out = Buf::take();
        out.extend_from_slice(&end);
        Ok(out)
    }

    /// The next content, within the idle timeout and at the pace that is asked for.
    async fn next(&mut self) -> Result<Option<Result<Bytes, h2::Error>>, Reason> {
        let content = pin!(content(&mut self.body, self.answered));
        let within = pin!(self.idle.within(content));
        let bytes = |came: &Option<Option<Result<Bytes, h2::Error>>>| match came {
            Some(Some(Ok(content))) => Some(content.len()),
            // It has brought all, or has gone.
            Some(Some(Err(_)) | None) | None => None,
        };
        let came = self.paced.wait(within, bytes).await.map_err(|TooSlow| Reason::SlowBody)?;
        came.ok_or(Reason::ClientTimeout)
    }
}

/// The next content that is not empty; `None` at its end, or once the answer is whole.
async fn content(body: &mut RecvStream, answered: &Cell<bool>) -> Option<Result<Bytes, h2::Error>> {
    loop {
        let next = poll_fn(|context| match answered.get() {
            true => Poll::Ready(None),
            false => body.poll_data(context),
        });
        match next.await {
            Some(Ok(content)) if content.is_empty() => {}
            next => return next,
        }
    }
}
