//! Frames that are cheap to send and cost the node its time, and the allowance for them.
//!
//! Pure. The `h2` crate bounds what a client makes it *keep* (header lists, CONTINUATION, streams, streams that
//! are reset before anybody took them, small DATA) and how often it makes the crate reset a stream; it has no
//! measure for SETTINGS, PING, PRIORITY, WINDOW_UPDATE of single bytes, RST_STREAM, requests that come to
//! nothing. Each of them takes from an allowance, which time and useful work give back, so that an honest client
//! of any speed never meets its end and a flood does within a few thousand frames.
//! Bounds: `limits::{H2_ALLOWANCE_MAX,H2_ALLOWANCE_PER_SECOND}`. Source: RFC 9113, section 10.5; `threats.md`,
//! section 4.
use crate::limits;
use std::time::Duration;

/// The kind of frame that used the allowance up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flood {
    /// DATA without content, with or without padding.
    EmptyData,
    /// HEADERS of requests that came to nothing.
    Headers,
    /// PRIORITY and PRIORITY_UPDATE.
    Priority,
    /// RST_STREAM: requests that are taken back.
    Reset,
    /// SETTINGS.
    Settings,
    /// PING.
    Ping,
    /// GOAWAY.
    GoAway,
    /// WINDOW_UPDATE.
    WindowUpdate,
    /// CONTINUATION.
    Continuation,
    /// A frame of no known type.
    Unknown,
    /// What the `h2` crate counts itself: errors that make it reset streams, streams that are reset before
    /// they are taken, streams too many, CONTINUATION, small DATA that waits.
    Crate,
}

impl Flood {
    /// All kinds, in the order of [`Flood::index`].
    pub const ALL: [Self; 11] = [
        Self::EmptyData,
        Self::Headers,
        Self::Priority,
        Self::Reset,
        Self::Settings,
        Self::Ping,
        Self::GoAway,
        Self::WindowUpdate,
        Self::Continuation,
        Self::Unknown,
        Self::Crate,
    ];

    /// Position in [`Flood::ALL`], for arrays of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word in the log, and the value of the `frames` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::EmptyData => "empty_data",
            Self::Headers => "headers",
            Self::Priority => "priority",
            Self::Reset => "reset",
            Self::Settings => "settings",
            Self::Ping => "ping",
            Self::GoAway => "goaway",
            Self::WindowUpdate => "window_update",
            Self::Continuation => "continuation",
            Self::Unknown => "unknown",
            Self::Crate => "other",
        }
    }

    /// What such a frame takes from the allowance. What a client does often and for good reasons costs
    /// least; a served request gives back what it cost, and what it costs to take one back.
    pub(super) const fn cost(self) -> u32 {
        match self {
            Self::Crate => 0,
            Self::Headers
            | Self::Priority
            | Self::WindowUpdate
            | Self::EmptyData
            | Self::Unknown => 1,
            Self::Ping | Self::Continuation => 2,
            Self::Reset | Self::Settings | Self::GoAway => 10,
        }
    }
}

/// What a connection may still spend.
#[derive(Debug)]
pub(super) struct Allowance {
    points: u32,
    /// The part of the connection's age that has been given back for.
    given_back: Duration,
    /// Bytes sent that have not been counted as work yet.
    sent_bytes: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { points: limits::H2_ALLOWANCE_MAX, given_back: Duration::ZERO, sent_bytes: 0 }
    }
}

impl Allowance {
    /// A frame of this kind came.
    ///
    /// # Errors
    /// It went beyond the allowance.
    pub(super) fn spend(&mut self, on: Flood) -> Result<(), Flood> {
        self.points = self.points.checked_sub(on.cost()).ok_or(on)?;
        Ok(())
    }

    /// Time has passed; `age` is the connection's. What has passed of the next point counts the next time.
    pub(super) fn give_back_by_time(&mut self, age: Duration) {
        let passed = age.saturating_sub(self.given_back);
        let points = passed.as_nanos() / POINT_EVERY.as_nanos();
        let points = u32::try_from(points).unwrap_or(u32::MAX);
        self.given_back = self.given_back.saturating_add(POINT_EVERY.saturating_mul(points));
        self.give_back(points);
    }

    /// Bytes went to the client: work that it asked for.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes;
        let points = self.sent_bytes / SENT_BYTES_PER_POINT;
        self.sent_bytes %= SENT_BYTES_PER_POINT;
        self.give_back(u32::try_from(points).unwrap_or(u32::MAX));
    }

    /// A request was served.
    pub(super) fn served(&mut self) {
        self.give_back(SERVED_POINTS);
    }

    fn give_back(&mut self, points: u32) {
        self.points = self.points.saturating_add(points).min(limits::H2_ALLOWANCE_MAX);
    }
}

/// How long it takes time to give one point back.
const POINT_EVERY: Duration =
    Duration::from_nanos(1_000_000_000 / limits::H2_ALLOWANCE_PER_SECOND as u64);
/// Bytes sent that give one point back: a client that opens its window by single bytes gets nothing back.
const SENT_BYTES_PER_POINT: usize = 16;
/// What a served request gives back: what it cost, and as much as it costs to take another one back, so that
/// a client may cancel every other request for ever.
const SERVED_POINTS: u32 = 2 * Flood::Headers.cost() + Flood::Reset.cost();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_places_and_words() {
        for (index, flood) in Flood::ALL.iter().enumerate() {
            assert_eq!(flood.index(), index, "{flood:?}");
            assert!(Flood::ALL[..index].iter().all(|other| other.word() != flood.word()));
        }
    }

    #[test]
    fn every_kind_ends_the_allowance_within_a_few_thousand_frames() {
        for flood in Flood::ALL.into_iter().filter(|flood| *flood != Flood::Crate) {
            let mut allowance = Allowance::default();
            let count = (0..).find(|_| allowance.spend(flood).is_err());
            assert_eq!(count, Some(limits::H2_ALLOWANCE_MAX / flood.cost()), "{flood:?}");
        }
    }

    #[test]
    fn a_client_that_takes_back_every_other_request_is_served_for_ever() {
        let mut allowance = Allowance::default();
        for _ in 0..100_000 {
            for frame in [Flood::Headers, Flood::Headers, Flood::Reset] {
                allowance.spend(frame).unwrap();
            }
            allowance.served();
        }
    }

    #[test]
    fn window_updates_for_what_was_sent_cost_nothing_in_the_end() {
        let mut allowance = Allowance::default();
        for _ in 0..100_000 {
            allowance.sent(100);
            allowance.spend(Flood::WindowUpdate).unwrap();
            allowance.spend(Flood::WindowUpdate).unwrap();
        }
        let mut dribble = || {
            allowance.sent(10);
            allowance.spend(Flood::WindowUpdate)
        };
        assert!((0..10_000).any(|_| dribble().is_err()), "a window opened byte by byte");
    }

    #[test]
    fn time_gives_the_allowance_back() {
        let mut allowance = Allowance::default();
        for _ in 0..limits::H2_ALLOWANCE_MAX / Flood::Ping.cost() {
            allowance.spend(Flood::Ping).unwrap();
        }
        assert_eq!(allowance.spend(Flood::Ping), Err(Flood::Ping));
        allowance.give_back_by_time(Duration::from_secs(1));
        for _ in 0..limits::H2_ALLOWANCE_PER_SECOND / Flood::Ping.cost() {
            allowance.spend(Flood::Ping).unwrap();
        }
        assert_eq!(allowance.spend(Flood::Ping), Err(Flood::Ping));
    }

    /// Goal: no fraction is lost. Method: an allowance that is used up, and a second in steps of a third of a point.
    #[test]
    fn time_that_passes_in_small_steps_gives_as_much() {
        let mut allowance = Allowance { points: 0, ..Allowance::default() };
        let step = POINT_EVERY / 3;
        for count in 1..=3 * limits::H2_ALLOWANCE_PER_SECOND {
            allowance.give_back_by_time(step * count);
        }
        let points = allowance.points;
        assert!(points.abs_diff(limits::H2_ALLOWANCE_PER_SECOND) <= 1, "{points}");
    }
}
