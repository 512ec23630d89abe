//! What a client's bytes are to a connection: counted, and its frames guarded against.
use crate::http::h2::answers::Gone;
use crate::http::h2::guard::{Guard, Halt, Offence};
use crate::http::h2::untaken::Refused;
use crate::net::polled::{self, Stop, Watch};
use crate::observe::count;
use crate::shard::wire::Wire;
use std::sync::Arc;
use std::time::Instant;

/// A client's byte stream as the crate sees it.
pub(super) type Transport = polled::Polled<Wire, Metered>;

/// Counts what passes, and stops what must not.
#[derive(Debug)]
pub(super) struct Metered {
    listener: Arc<count::Listener>,
    began: Instant,
    guard: Guard,
    offence: Option<Offence>,
}

impl Metered {
    pub(super) fn new(listener: Arc<count::Listener>) -> Self {
        Self { listener, began: Instant::now(), guard: Guard::default(), offence: None }
    }

    /// Why the connection ends because of its client's frames.
    pub(super) const fn offence(&self) -> Option<Offence> {
        self.offence
    }

    /// The request of this stream has come out of the crate.
    pub(super) fn taken(&mut self, stream: u32) {
        self.guard.taken(stream);
    }

    /// A request that the crate has refused itself.
    pub(super) fn refused(&mut self) -> Option<Refused> {
        self.guard.refused()
    }

    /// The head of an answer was given to the crate; from now on it is known what has gone of it.
    pub(super) fn follow(&mut self, stream: u32) {
        self.guard.follow(stream);
    }

    /// Whether an answer that is followed has come to its end since this was asked last.
    pub(super) fn take_ended(&mut self) -> bool {
        self.guard.take_ended()
    }

    /// Whether more of an answer that is followed is still to go.
    pub(super) fn is_going(&self, stream: u32) -> bool {
        self.guard.gone(stream).is_some_and(|gone| !gone.over)
    }

    /// What has gone of an answer that was followed until now: when its head went, if it did, and bytes of its
    /// content.
    pub(super) fn gone(&mut self, stream: u32) -> Option<(Option<Instant>, u64)> {
        let Gone { head, content_bytes, .. } = self.guard.forget(stream)?;
        Some((head.map(|age| self.began + age), content_bytes))
    }

    /// A request was served.
    pub(super) fn served(&mut self) {
        self.guard.served();
    }
}

impl Watch for Metered {
    fn received(&mut self, bytes: &mut [u8]) -> Result<(), Stop> {
        self.listener.received_bytes.add(bytes.len() as u64);
        self.guard.received(bytes, self.began.elapsed()).map_err(|Halt { passed, offence }| {
            self.offence = Some(offence);
            Stop { shown: passed }
        })
    }

    fn sent(&mut self, bytes: &[u8]) {
        self.listener.sent_bytes.add(bytes.len() as u64);
        let refused_streams = self.guard.sent(bytes);
        if refused_streams > 0 {
            self.listener.http2_streams_refused.add(refused_streams);
        }
    }

    fn leaves(&mut self) {
        self.guard.leaves();
    }

    fn left(&mut self) {
        self.guard.left(|| self.began.elapsed());
    }
}
