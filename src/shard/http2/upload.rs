//! A request's content on its way from a stream to an HTTP/1.1 target.
//!
//! The client's windows open again only for what the target has taken, so that a slow target holds its
//! client and not this node's memory.
use crate::close::Reason;
use crate::config::snapshot::Floor;
use crate::http::body;
use crate::http::chunked;
use crate::http::head::Body;
use crate::net::Buf;
use crate::shard::pace::{Pace, TooSlow};
use crate::shard::recording::Recording;
use crate::shard::target::Target;
use h2::RecvStream;
use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;
use tokio::time::timeout;

/// How the content went to the target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Uploaded {
    /// All of it.
    Whole,
    /// The target takes no more; its answer says why.
    TargetStopped,
    /// The answer was there first; the rest is not waited for.
    Abandoned,
    /// The client took its request back, or was silent for too long.
    ClientEnded(Reason),
}

/// The content, from the client to the target.
pub(super) struct Upload<'a> {
    pub(super) body: RecvStream,
    pub(super) target: Target<'a>,
    pub(super) framing: Body,
    /// What the client must bring.
    pub(super) floor: Option<Floor>,
    pub(super) pace: Pace,
    /// Streams of the connection whose targets are slow to take content: that holds the windows of all, and
    /// then no client is too slow.
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
            self.recording.note(|record| record.received_bytes += content.len() as u64);
            let mut out = Buf::take();
            body::append(&content, self.framing == Body::Chunked, &mut out);
            self.stalled.set(self.stalled.get() + 1);
            let sent = self.target.send(out).await;
            self.stalled.set(self.stalled.get() - 1);
            if sent.is_err() {
                return Uploaded::TargetStopped;
            }
            // It fails only on a stream that is gone, which the next read says.
            let _ = self.body.flow_control().release_capacity(content.len());
        }
        if self.framing == Body::Chunked {
            let mut out = Buf::take();
            out.extend_from_slice(chunked::BODY_END);
            if self.target.send(out).await.is_err() {
                return Uploaded::TargetStopped;
            }
        }
        self.whole.set(true);
        // From now on the target is waited for.
        self.target.socket.arm_reading(self.target.idle, Reason::TargetTimeout);
        Uploaded::Whole
    }

    /// The same, within the idle timeout and at the pace that is asked for.
    async fn next(&mut self) -> Result<Option<Result<bytes::Bytes, h2::Error>>, Reason> {
        let (idle, floor) = (self.target.idle, self.floor.filter(|_| self.stalled.get() == 0));
        let patience = floor.map_or(idle, |floor| self.pace.patience(floor));
        let began = Instant::now();
        let next = timeout(idle.min(patience), self.content()).await;
        if let Some(floor) = floor.filter(|_| self.stalled.get() == 0) {
            let bytes = match &next {
                Ok(Some(Ok(content))) => content.len() as u64,
                // It has brought all.
                Ok(Some(Err(_)) | None) => return next.map_err(|_| Reason::ClientTimeout),
                Err(_) => 0,
            };
            let noted = self.pace.note(floor, began.elapsed(), bytes);
            noted.map_err(|TooSlow| Reason::SlowBody)?;
        }
        next.map_err(|_| Reason::ClientTimeout)
    }

    /// The next content that is not empty; `None` at its end, or once the answer is whole.
    async fn content(&mut self) -> Option<Result<bytes::Bytes, h2::Error>> {
        loop {
            let next = poll_fn(|context| match self.answered.get() {
                true => Poll::Ready(None),
                false => self.body.poll_data(context),
            });
            match next.await {
                Some(Ok(content)) if content.is_empty() => {}
                next => return next,
            }
        }
    }
}
