//! What a client's bytes are to a connection: counted, and its frames weighed.
use crate::http::h2::frames::{Flood, Meter};
use crate::net::polled::{self, Stop, Watch};
use crate::observe::count;
use crate::shard::wire::Wire;
use std::sync::Arc;
use std::time::Instant;

/// A client's byte stream as the crate sees it.
pub(super) type Transport = polled::Polled<Wire, Metered>;

/// Counts what passes, and stops a flood.
#[derive(Debug)]
pub(super) struct Metered {
    listener: Arc<count::Listener>,
    began: Instant,
    meter: Meter,
    flood: Option<Flood>,
}

impl Metered {
    pub(super) fn new(listener: Arc<count::Listener>) -> Self {
        Self { listener, began: Instant::now(), meter: Meter::default(), flood: None }
    }

    /// The kind of frame that the client sends too many of.
    pub(super) const fn flood(&self) -> Option<Flood> {
        self.flood
    }

    /// A request was served.
    pub(super) fn served(&mut self) {
        self.meter.served();
    }
}

impl Watch for Metered {
    fn received(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.listener.received_bytes.add(bytes.len() as u64);
        self.meter.received(bytes, self.began.elapsed()).map_err(|flood| {
            self.flood = Some(flood);
            Stop
        })
    }

    fn sent(&mut self, bytes: usize) {
        self.listener.sent_bytes.add(bytes as u64);
        self.meter.sent(bytes);
    }
}
