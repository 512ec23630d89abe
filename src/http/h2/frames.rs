//! Frames of an HTTP/2 client, counted before the `h2` crate reads them.
//!
//! Pure: bytes and `now` in. The crate bounds what a client makes it *keep* (header lists, CONTINUATION,
//! streams, streams that are reset before anybody took them, small DATA) and how often it makes the crate
//! reset a stream; it has no measure for frames that are cheap to send and cost the node its time:
//! SETTINGS, PING, PRIORITY, WINDOW_UPDATE of single bytes, RST_STREAM, requests that come to nothing. Each
//! of them takes from an allowance, which time and useful work give back, so that an honest client of any
//! speed never meets its end and a flood does within a few thousand frames.
//! Bounds: `limits::{H2_ALLOWANCE_MAX,H2_ALLOWANCE_PER_SECOND}`. Source: RFC 9113, sections 4.1 and 10.5;
//! `threats.md`, section 4.
#![deny(clippy::indexing_slicing)]
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
    const fn cost(self) -> u32 {
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

/// Reads frame headers and keeps the account.
#[derive(Debug)]
pub struct Meter {
    /// Bytes to come that are no frame header: the client's preface, a payload.
    skip: usize,
    /// The part of a frame header that has come, and behind it the length of the padding.
    header: [u8; HEADER_BYTES + 1],
    header_bytes: usize,
    allowance: u32,
    /// When time gave something back last, since the connection began.
    given_back: Duration,
    /// Bytes sent that have not been counted as work yet.
    sent_bytes: usize,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            skip: PREFACE_BYTES,
            header: [0; HEADER_BYTES + 1],
            header_bytes: 0,
            allowance: limits::H2_ALLOWANCE_MAX,
            given_back: Duration::ZERO,
            sent_bytes: 0,
        }
    }
}

impl Meter {
    /// Counts what the client sent; `age` is the connection's.
    ///
    /// # Errors
    /// The kind of frame that went beyond the allowance; the connection ends.
    pub fn received(&mut self, mut bytes: &[u8], age: Duration) -> Result<(), Flood> {
        self.give_back_by_time(age);
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let missing = self.header_bytes_wanted() - self.header_bytes;
            let Some((here, rest)) = bytes.split_at_checked(missing) else {
                for byte in bytes {
                    self.put(*byte);
                }
                return Ok(());
            };
            for byte in here {
                self.put(*byte);
            }
            bytes = rest;
            if self.header_bytes == self.header_bytes_wanted() {
                self.count()?;
                self.header_bytes = 0;
            }
        }
    }

    /// Bytes went to the client: work that it asked for.
    pub fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes;
        let points = self.sent_bytes / SENT_BYTES_PER_POINT;
        self.sent_bytes %= SENT_BYTES_PER_POINT;
        self.give_back(u32::try_from(points).unwrap_or(u32::MAX));
    }

    /// A request was served: answered to its end, or taken back after a good while.
    pub fn served(&mut self) {
        self.give_back(SERVED_POINTS);
    }

    /// RFC 9113, section 6.1: the payload of DATA with the flag PADDED begins with the length of the
    /// padding.
    fn header_bytes_wanted(&self) -> usize {
        let [high, middle, low, kind, flags, ..] = self.header;
        let is_whole = self.header_bytes >= HEADER_BYTES;
        let has_padding = kind == 0x0 && flags & 0x8 != 0 && (high | middle | low) != 0;
        HEADER_BYTES + usize::from(is_whole && has_padding)
    }

    fn put(&mut self, byte: u8) {
        if let Some(place) = self.header.get_mut(self.header_bytes) {
            *place = byte;
            self.header_bytes += 1;
        }
    }

    /// Counts the frame whose header is whole.
    fn count(&mut self) -> Result<(), Flood> {
        // RFC 9113, section 4.1: Length (24), Type (8), Flags (8), Reserved (1), Stream Identifier (31).
        let [high, middle, low, kind, flags, .., padding] = self.header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let padding_length_bytes = self.header_bytes - HEADER_BYTES;
        self.skip = length - padding_length_bytes;
        let padding_bytes = usize::from(padding) * padding_length_bytes;
        let ends_stream = flags & 0x1 != 0;
        let flood = match kind {
            0x0 if self.skip <= padding_bytes && !ends_stream => Flood::EmptyData,
            // DATA with content is bounded by windows; PUSH_PROMISE is an error.
            0x0 | 0x5 => return Ok(()),
            0x1 => Flood::Headers,
            0x2 | 0x10 => Flood::Priority,
            0x3 => Flood::Reset,
            0x4 => Flood::Settings,
            0x6 => Flood::Ping,
            0x7 => Flood::GoAway,
            0x8 => Flood::WindowUpdate,
            0x9 => Flood::Continuation,
            _ => Flood::Unknown,
        };
        self.allowance = self.allowance.checked_sub(flood.cost()).ok_or(flood)?;
        Ok(())
    }

    fn give_back_by_time(&mut self, age: Duration) {
        let passed = age.saturating_sub(self.given_back);
        let points = passed.as_millis() * u128::from(limits::H2_ALLOWANCE_PER_SECOND) / 1_000;
        if points > 0 {
            self.given_back = age;
            self.give_back(u32::try_from(points).unwrap_or(u32::MAX));
        }
    }

    fn give_back(&mut self, points: u32) {
        self.allowance = self.allowance.saturating_add(points).min(limits::H2_ALLOWANCE_MAX);
    }
}

/// Bytes of a frame's header.
const HEADER_BYTES: usize = 9;
/// Bytes of the client's preface (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;
/// Bytes sent that give one point back: a client that opens its window by single bytes gets nothing back.
const SENT_BYTES_PER_POINT: usize = 16;
/// What a served request gives back: what it cost, and as much as it costs to take another one back, so that
/// a client may cancel every other request for ever.
const SERVED_POINTS: u32 = 2 * Flood::Headers.cost() + Flood::Reset.cost();

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn frame(kind: u8, flags: u8, payload_bytes: usize) -> Vec<u8> {
        let length = u32::try_from(payload_bytes).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.resize(HEADER_BYTES + payload_bytes, 0xab);
        frame
    }

    fn begun() -> Meter {
        let mut meter = Meter::default();
        meter.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NOW).unwrap();
        meter
    }

    /// How many of `bytes` a meter takes before it refuses.
    fn taken(meter: &mut Meter, bytes: &[u8]) -> (usize, Flood) {
        for count in 0..20_000 {
            if let Err(flood) = meter.received(bytes, NOW) {
                return (count, flood);
            }
        }
        panic!("20,000 frames were taken");
    }

    #[test]
    fn every_kind_of_flood_ends_within_a_few_thousand_frames() {
        for (kind, payload_bytes, expected) in [
            (0x0, 0, Flood::EmptyData),
            (0x1, 30, Flood::Headers),
            (0x2, 5, Flood::Priority),
            (0x3, 4, Flood::Reset),
            (0x4, 0, Flood::Settings),
            (0x6, 8, Flood::Ping),
            (0x7, 8, Flood::GoAway),
            (0x8, 4, Flood::WindowUpdate),
            (0x9, 16_384, Flood::Continuation),
            (0x10, 6, Flood::Priority),
            (0xfe, 100, Flood::Unknown),
        ] {
            let (count, flood) = taken(&mut begun(), &frame(kind, 0, payload_bytes));
            assert_eq!(flood, expected);
            assert_eq!(count, (limits::H2_ALLOWANCE_MAX / expected.cost()) as usize, "{flood:?}");
        }
    }

    #[test]
    fn served_requests_and_content_cost_nothing() {
        let mut meter = begun();
        for _ in 0..100_000 {
            meter.received(&frame(0x1, 4, 30), NOW).unwrap();
            meter.received(&frame(0x0, 0, 1), NOW).unwrap();
            meter.received(&padded(&[1], 255), NOW).unwrap();
            meter.received(&frame(0x0, 1, 0), NOW).unwrap();
            meter.served();
        }
    }

    fn padded(content: &[u8], padding_bytes: u8) -> Vec<u8> {
        let payload_bytes = 1 + content.len() + usize::from(padding_bytes);
        let mut frame = frame(0x0, 0x8, payload_bytes);
        frame[HEADER_BYTES] = padding_bytes;
        frame
    }

    #[test]
    fn padding_is_no_content() {
        for padding_bytes in [0, 1, 255] {
            let (count, flood) = taken(&mut begun(), &padded(b"", padding_bytes));
            assert_eq!((count, flood), (limits::H2_ALLOWANCE_MAX as usize, Flood::EmptyData));
        }
        // More padding than payload, which the crate refuses.
        let mut lie = padded(b"", 9);
        lie[HEADER_BYTES] = 200;
        assert_eq!(taken(&mut begun(), &lie).1, Flood::EmptyData);
        // The flag on a frame that has not even a length of its padding.
        assert_eq!(taken(&mut begun(), &frame(0x0, 0x8, 0)).1, Flood::EmptyData);
    }

    /// Goal: what is counted does not depend on how bytes arrive. Method: a mixed stream, cut at every byte.
    #[test]
    fn the_account_is_the_same_however_the_bytes_are_cut() {
        let stream: Vec<u8> = [
            frame(0x4, 0, 12),
            padded(b"", 7),
            frame(0x1, 4, 300),
            padded(b"ab", 7),
            frame(0x3, 0, 4),
        ]
        .concat();
        let mut whole = begun();
        whole.received(&stream, NOW).unwrap();
        for cut in 0..=stream.len() {
            let mut meter = begun();
            meter.received(&stream[..cut], NOW).unwrap();
            meter.received(&stream[cut..], NOW).unwrap();
            assert_eq!(meter.allowance, whole.allowance, "cut at {cut}");
        }
        let mut meter = begun();
        stream.iter().for_each(|byte| meter.received(&[*byte], NOW).unwrap());
        assert_eq!(meter.allowance, whole.allowance);
    }

    #[test]
    fn a_client_that_takes_back_every_other_request_is_served_for_ever() {
        let mut meter = begun();
        for _ in 0..100_000 {
            meter.received(&frame(0x1, 5, 30), NOW).unwrap();
            meter.received(&frame(0x1, 5, 30), NOW).unwrap();
            meter.received(&frame(0x3, 0, 4), NOW).unwrap();
            meter.served();
        }
    }

    #[test]
    fn window_updates_for_what_was_sent_cost_nothing_in_the_end() {
        let mut meter = begun();
        for _ in 0..100_000 {
            meter.sent(100);
            meter.received(&frame(0x8, 0, 4), NOW).unwrap();
            meter.received(&frame(0x8, 0, 4), NOW).unwrap();
        }
        let dribble = |meter: &mut Meter| {
            meter.sent(10);
            meter.received(&frame(0x8, 0, 4), NOW)
        };
        assert!((0..10_000).any(|_| dribble(&mut meter).is_err()), "a window opened byte by byte");
    }

    #[test]
    fn kinds_have_their_places_and_words() {
        for (index, flood) in Flood::ALL.iter().enumerate() {
            assert_eq!(flood.index(), index, "{flood:?}");
            assert!(Flood::ALL[..index].iter().all(|other| other.word() != flood.word()));
        }
    }

    #[test]
    fn time_gives_the_allowance_back() {
        let mut meter = begun();
        for _ in 0..limits::H2_ALLOWANCE_MAX / Flood::Ping.cost() {
            meter.received(&frame(0x6, 0, 8), NOW).unwrap();
        }
        let later = Duration::from_secs(1);
        for _ in 0..limits::H2_ALLOWANCE_PER_SECOND / Flood::Ping.cost() {
            meter.received(&frame(0x6, 0, 8), later).unwrap();
        }
        assert_eq!(meter.received(&frame(0x6, 0, 8), later), Err(Flood::Ping));
    }
}
