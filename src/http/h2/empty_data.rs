//! Empty DATA of a target, before the `h2` crate sees it.
//!
//! Pure. DATA without content says nothing unless it ends its stream; servers flush by it. The crate ends a
//! connection at the hundredth of its life, and with it the streams of many clients. Here each costs a little of an
//! allowance, as with clients ([`super::guard`]), which time and whatever says something give back; what is
//! beyond that is a flood, and is left to the crate.
//! Bounds: a frame's header; `limits::{H2_ALLOWANCE_MAX,H2_ALLOWANCE_PER_SECOND}`.
#![deny(clippy::indexing_slicing)]
use super::flood::{Allowance, Flood};
use super::frame::{Cursor, Frame, HEADER_BYTES, disguise, flag, kind};
use std::time::Duration;

/// Reads what a target sends.
#[derive(Debug)]
pub struct EmptyData {
    cursor: Cursor,
    allowance: Allowance,
}

impl Default for EmptyData {
    fn default() -> Self {
        Self { cursor: Cursor::to_frame_behind(0), allowance: Allowance::default() }
    }
}

impl EmptyData {
    /// Reads on; `age` is the connection's. A frame whose header does not come in one piece goes on as it is.
    pub fn received(&mut self, bytes: &mut [u8], age: Duration) {
        self.allowance.give_back_by_time(age);
        let mut read = 0;
        while let (used, Some(part)) = self.cursor.take(bytes.get(read..).unwrap_or_default()) {
            read += used;
            let frame = Frame::of(part);
            self.cursor.expect(frame.length, HEADER_BYTES);
            let is_data = frame.kind == kind::DATA;
            if is_data && frame.length == 0 && frame.flags & SAYS_SOMETHING == 0 {
                if self.allowance.spend(Flood::EmptyData).is_ok() {
                    disguise(bytes, read.checked_sub(HEADER_BYTES));
                }
            } else if is_data || frame.kind == kind::HEADERS {
                self.allowance.served();
            }
        }
    }
}

/// Flags for which the crate must see even DATA of no bytes: its stream's end, and padding that is not there.
const SAYS_SOMETHING: u8 = flag::END_STREAM | flag::PADDED;

#[cfg(test)]
mod tests {
    use super::super::sent::tests::frame;
    use super::*;
    use crate::limits;

    const NOW: Duration = Duration::ZERO;

    /// What the crate gets of this.
    fn shown(empty_data: &mut EmptyData, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        empty_data.received(&mut bytes, NOW);
        bytes
    }

    fn empty() -> Vec<u8> {
        frame(kind::DATA, 0, 1, b"")
    }

    #[test]
    fn data_that_says_nothing_is_no_data_to_the_crate() {
        let mut disguised = empty();
        disguise(&mut disguised, Some(0));
        assert_ne!(disguised, empty());
        assert_eq!(shown(&mut EmptyData::default(), &empty()), disguised);
        let others = [
            frame(kind::SETTINGS, 0, 0, &[0; 6]),
            frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x88]),
            frame(kind::DATA, 0, 1, b"content"),
            frame(kind::DATA, flag::PADDED, 1, b"\0"),
            frame(kind::DATA, flag::PADDED, 1, b""),
            frame(kind::DATA, flag::END_STREAM, 1, b""),
        ]
        .concat();
        assert_eq!(shown(&mut EmptyData::default(), &others), others);
        let both = shown(&mut EmptyData::default(), &[&others[..], &empty(), &others].concat());
        assert_eq!(both, [&others[..], &disguised, &others].concat());
    }

    #[test]
    fn a_flood_of_it_is_left_to_the_crate() {
        let mut empty_data = EmptyData::default();
        for _ in 0..limits::H2_ALLOWANCE_MAX {
            assert_ne!(shown(&mut empty_data, &empty()), empty());
        }
        assert_eq!(shown(&mut empty_data, &empty()), empty());
        empty_data.received(&mut [], Duration::from_secs(1));
        assert_ne!(shown(&mut empty_data, &empty()), empty(), "time gives back");
    }

    #[test]
    fn whoever_says_something_between_may_flush_for_ever() {
        let mut empty_data = EmptyData::default();
        for _ in 0..10 * limits::H2_ALLOWANCE_MAX {
            assert_ne!(shown(&mut empty_data, &empty()), empty());
            shown(&mut empty_data, &frame(kind::DATA, 0, 1, b"x"));
        }
    }
}
