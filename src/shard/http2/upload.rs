//! A request's content on its way from a stream to an HTTP/1.1 target.
//!
//! The client's windows open again only for what the target has taken, so that a slow target holds its
//! client and not this node's memory.
use crate::close::Reason;
use crate::http::body;
use crate::http::chunked;
use crate::http::head::Body;
use crate::net::Buf;
use crate::shard::recording::Recording;
use crate::shard::target::Target;
use h2::RecvStream;
use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

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
    /// Set once the whole content has been sent.
    pub(super) whole: &'a Cell<bool>,
    /// Set once the answer is whole.
    pub(super) answered: &'a Cell<bool>,
    pub(super) recording: &'a Recording,
}

impl Upload<'_> {
    pub(super) async fn run(mut self) -> Uploaded {
        loop {
            let content = match tokio::time::timeout(self.target.idle, self.content()).await {
                Ok(Some(Ok(content))) => content,
                Ok(Some(Err(_))) => return Uploaded::ClientEnded(Reason::ClientClosed),
                Ok(None) if self.answered.get() => return Uploaded::Abandoned,
                Ok(None) => break,
                Err(_) => return Uploaded::ClientEnded(Reason::ClientTimeout),
            };
            self.recording.note(|record| record.received_bytes += content.len() as u64);
            let mut out = Buf::take();
            body::append(&content, self.framing == Body::Chunked, &mut out);
            if self.target.send(out).await.is_err() {
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
