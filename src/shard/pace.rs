//! Whether a client is too slow: its bytes against the time for which this node waited for it.
//!
//! Time in which the node itself was busy, or waited for a target, is not counted, and nothing is done for
//! each byte: a read or a write that has to wait notes how long it did.
//! [`Pace`] is pure.
use crate::close::Reason;
use crate::config::snapshot::Floor;
use crate::net::Sock;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// What a client has done in the present window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Pace {
    waited: Duration,
    bytes: u64,
}

/// The client is below the floor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TooSlow;

impl Pace {
    /// For how long from now on the client may be waited for: then it is too slow, unless it brings more.
    pub(super) fn patience(&self, floor: Floor) -> Duration {
        let rate = u64::from(floor.bytes_per_second);
        // Rounded up, so that nobody is cut off who is fast enough.
        let paid_for = Duration::from_millis(self.bytes.saturating_mul(1_000) / rate + 1);
        floor.window.max(paid_for).saturating_sub(self.waited)
    }

    /// The client was waited for and gave so many bytes. At the end of a window it is judged, and the next
    /// one begins.
    pub(super) fn note(
        &mut self,
        floor: Floor,
        waited: Duration,
        bytes: u64,
    ) -> Result<(), TooSlow> {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited < floor.window {
            return Ok(());
        }
        let asked = self.waited.as_millis() * u128::from(floor.bytes_per_second) / 1_000;
        let given = u128::from(self.bytes);
        *self = Self::default();
        if given < asked { Err(TooSlow) } else { Ok(()) }
    }
}

/// How a client takes what it is sent. What counts is what it has acknowledged: the kernel keeps megabytes
/// for a client that reads slowly, takes nothing more meanwhile, and then a lot at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taking {
    waited: Duration,
    /// At the end of the last window.
    acknowledged_bytes: Option<u64>,
}

impl Taking {
    /// Waits for a send to `socket` that did not end at once. Silence for `idle` ends it, too.
    ///
    /// # Errors
    /// Why the client is not waited for any longer; the send is still pending.
    pub(super) async fn wait<F: Future>(
        &mut self,
        socket: &Sock,
        idle: Duration,
        floor: Option<Floor>,
        mut sending: Pin<&mut F>,
    ) -> Result<F::Output, Reason> {
        let mut silent = Duration::ZERO;
        loop {
            let of_window = floor.map(|floor| floor.window.saturating_sub(self.waited));
            let step = of_window.unwrap_or(Duration::MAX).min(idle.saturating_sub(silent));
            let began = Instant::now();
            let sent = timeout(step, sending.as_mut()).await;
            let took = began.elapsed();
            self.waited += took;
            if let Ok(sent) = sent {
                return Ok(sent);
            }
            silent += took;
            if let Some(floor) = floor.filter(|floor| self.waited >= floor.window)
                && self.has_taken(socket.acknowledged_bytes(), floor)?
            {
                silent = Duration::ZERO;
            }
            if silent >= idle {
                return Err(Reason::ClientTimeout);
            }
        }
    }

    /// Judges a window; the first one only begins the measurement. Whether something is known to have been
    /// taken.
    fn has_taken(&mut self, now: Option<u64>, floor: Floor) -> Result<bool, Reason> {
        let waited = std::mem::take(&mut self.waited);
        let before = std::mem::replace(&mut self.acknowledged_bytes, now);
        let Some(taken) = now.zip(before).map(|(now, before)| now.wrapping_sub(before)) else {
            return Ok(false);
        };
        Pace::default().note(floor, waited, taken).map_err(|TooSlow| Reason::SlowReader)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Floor = Floor { bytes_per_second: 100, window: Duration::from_secs(10) };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nobody_is_judged_before_a_window_has_passed() {
        let mut pace = Pace::default();
        for second in 0..9 {
            assert_eq!(pace.patience(FLOOR), seconds(10 - second), "after {second} s");
            assert_eq!(pace.note(FLOOR, seconds(1), 0), Ok(()));
        }
        assert_eq!(pace.note(FLOOR, seconds(1), 0), Err(TooSlow));
    }

    #[test]
    fn at_the_floor_is_fast_enough_and_a_byte_below_it_is_not() {
        let mut pace = Pace::default();
        assert_eq!(pace.note(FLOOR, seconds(10), 1_000), Ok(()));
        assert_eq!(pace.note(FLOOR, seconds(10), 999), Err(TooSlow));
    }

    #[test]
    fn bytes_of_an_earlier_window_do_not_count() {
        let mut pace = Pace::default();
        assert_eq!(pace.note(FLOOR, seconds(10), 1_000_000), Ok(()));
        assert_eq!(pace.note(FLOOR, seconds(10), 500), Err(TooSlow));
    }

    /// Goal: the deadline of a read fires when the client has become too slow, and never before.
    #[test]
    fn patience_ends_when_the_average_falls_below_the_floor() {
        for bytes in [0, 1, 999, 1_000, 1_001, 5_000] {
            let mut pace = Pace::default();
            pace.note(FLOOR, seconds(3), bytes).unwrap();
            let patience = pace.patience(FLOOR);
            let after = |waited| { pace }.note(FLOOR, waited, 0);
            let moment = Duration::from_millis(20);
            assert_eq!(after(patience + moment), Err(TooSlow), "{bytes} bytes");
            assert_eq!(after(patience - moment), Ok(()), "{bytes} bytes");
        }
    }

    #[test]
    fn a_reader_is_judged_from_its_second_window_on() {
        let mut taking = Taking { waited: seconds(10), ..Taking::default() };
        assert_eq!(taking.has_taken(Some(5_000), FLOOR), Ok(false));
        taking.waited = seconds(10);
        assert_eq!(taking.has_taken(Some(6_000), FLOOR), Ok(true));
        taking.waited = seconds(10);
        assert_eq!(taking.has_taken(Some(6_999), FLOOR), Err(Reason::SlowReader));
    }

    #[test]
    fn where_the_kernel_does_not_tell_nobody_is_too_slow() {
        let mut taking = Taking { waited: seconds(10), acknowledged_bytes: Some(7) };
        assert_eq!(taking.has_taken(None, FLOOR), Ok(false));
    }
}
