//! The clock: the only place that reads the time of day.
//!
//! Pure code takes `now` as a value; shards and the control thread ask here.
use rustls_pki_types::UnixTime;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall-clock time since 1970-01-01 UTC. A clock before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Wall-clock time as certificate checks take it, in whole seconds.
pub fn now() -> UnixTime {
    UnixTime::since_unix_epoch(since_epoch())
}
