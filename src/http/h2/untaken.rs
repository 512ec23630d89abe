//! Requests that the `h2` crate refuses before anybody sees them, found in what it sends.
//!
//! Pure. The crate says nothing of a request whose head is malformed (it resets the stream by PROTOCOL_ERROR) or too
//! large (it answers 431); but what it sends passes here, and a stream that ends without its request having come out
//! of the crate was one of these.
//! Bounds: `limits::H2_UNTAKEN_STREAMS_MAX` numbers; of older streams nothing is said.
//! Source: RFC 9113, section 8.1.1.
#![deny(clippy::indexing_slicing)]
use super::frame::{Cursor, Frame, HEADER_BYTES, kind};
use crate::limits;
use h2::Reason;
use std::collections::VecDeque;

/// Why the crate refused a request that nobody has seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unseen {
    /// Its head breaks a rule of HTTP/2's own; the stream was reset.
    Malformed,
    /// Its head is over `limits::H2_HEADER_LIST_BYTES_MAX`; the answer was 431.
    TooLarge,
}

/// The streams that a client has begun and whose requests have not come out of the crate.
#[derive(Debug)]
pub(super) struct Untaken {
    /// In order, and how the crate has ended them, where it has.
    streams: VecDeque<(u32, Option<Unseen>)>,
    cursor: Cursor,
    /// The stream of an RST_STREAM whose code comes next.
    reset: Option<u32>,
}

impl Default for Untaken {
    fn default() -> Self {
        Self { streams: VecDeque::new(), cursor: Cursor::to_frame_behind(0), reset: None }
    }
}

impl Untaken {
    /// The client has begun a stream; their numbers go up.
    pub(super) fn begun(&mut self, stream: u32) {
        if self.streams.len() >= limits::H2_UNTAKEN_STREAMS_MAX {
            self.streams.pop_front();
        }
        self.streams.push_back((stream, None));
    }

    /// A request has come out of the crate.
    pub(super) fn taken(&mut self, stream: u32) {
        if let Some(index) = self.place(stream) {
            self.streams.remove(index);
        }
    }

    /// The next that the crate has refused.
    pub(super) fn refused(&mut self) -> Option<Unseen> {
        let index = self.streams.iter().position(|(_, refused)| refused.is_some())?;
        self.streams.remove(index)?.1
    }

    /// Reads what is sent to the client. How many streams it refuses, whoever does, to be tried again.
    pub(super) fn sent(&mut self, bytes: &[u8]) -> u64 {
        let (mut read, mut refused_streams) = (0, 0);
        while let (used, Some(part)) = self.cursor.take(bytes.get(read..).unwrap_or_default()) {
            read += used;
            if let Some(stream) = self.reset.take() {
                self.cursor.expect(0, HEADER_BYTES);
                let [first, second, third, fourth, ..] = part;
                let code = Reason::from(u32::from_be_bytes([first, second, third, fourth]));
                refused_streams += u64::from(code == Reason::REFUSED_STREAM);
                self.was_reset(stream, code);
                continue;
            }
            let frame = Frame::of(part);
            if frame.kind == kind::RST_STREAM {
                self.reset = Some(frame.stream);
                self.cursor.expect(0, CODE_BYTES);
                continue;
            }
            self.cursor.expect(frame.length, HEADER_BYTES);
            if frame.kind == kind::HEADERS {
                // The crate answers nothing else itself.
                self.ended(frame.stream, Unseen::TooLarge);
            }
        }
        refused_streams
    }

    fn was_reset(&mut self, stream: u32, code: Reason) {
        if code == Reason::PROTOCOL_ERROR {
            // That of an answer that went before says no more.
            self.ended(stream, Unseen::Malformed);
        } else {
            self.taken(stream);
        }
    }

    fn ended(&mut self, stream: u32, how: Unseen) {
        if let Some((_, refused)) = self.place(stream).and_then(|index| self.streams.get_mut(index))
        {
            refused.get_or_insert(how);
        }
    }

    fn place(&self, stream: u32) -> Option<usize> {
        self.streams.binary_search_by_key(&stream, |(number, _)| *number).ok()
    }
}

/// Bytes of an RST_STREAM's code.
const CODE_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, 0, 0, 0, 0, stream], payload].concat()
    }

    fn reset(stream: u8, code: Reason) -> Vec<u8> {
        frame(kind::RST_STREAM, stream, &u32::from(code).to_be_bytes())
    }

    fn begun(streams: impl IntoIterator<Item = u32>) -> Untaken {
        let mut untaken = Untaken::default();
        streams.into_iter().for_each(|stream| untaken.begun(stream));
        untaken
    }

    #[test]
    fn a_stream_that_is_reset_before_it_is_taken_was_malformed() {
        let mut untaken = begun([1, 3, 5]);
        untaken.taken(1);
        let sent = [frame(kind::SETTINGS, 0, &[0; 6]), reset(3, Reason::PROTOCOL_ERROR)].concat();
        assert_eq!(untaken.sent(&sent), 0);
        assert_eq!((untaken.refused(), untaken.refused()), (Some(Unseen::Malformed), None));
    }

    #[test]
    fn an_answer_to_what_was_not_taken_is_that_it_is_too_large() {
        let mut untaken = begun([1]);
        let answer = frame(kind::HEADERS, 1, &[0x88]);
        untaken.sent(&[answer, reset(1, Reason::PROTOCOL_ERROR)].concat());
        assert_eq!((untaken.refused(), untaken.refused()), (Some(Unseen::TooLarge), None));
    }

    #[test]
    fn what_was_taken_is_the_nodes_own_to_tell() {
        let mut untaken = begun([1, 3]);
        untaken.sent(&[reset(1, Reason::PROTOCOL_ERROR), reset(3, Reason::CANCEL)].concat());
        // The crate may send before it lets go of the request.
        untaken.taken(1);
        assert_eq!(untaken.refused(), None);
    }

    #[test]
    fn streams_that_may_be_tried_again_are_counted_however_the_bytes_are_cut() {
        let sent = [
            reset(1, Reason::REFUSED_STREAM),
            frame(kind::DATA, 1, &[3; 200]),
            reset(3, Reason::REFUSED_STREAM),
        ]
        .concat();
        for size in 1..=sent.len() {
            let mut untaken = begun([1, 3]);
            let counted: u64 = sent.chunks(size).map(|piece| untaken.sent(piece)).sum();
            assert_eq!((counted, untaken.refused()), (2, None), "in pieces of {size}");
            assert!(untaken.streams.is_empty());
        }
    }

    #[test]
    fn of_streams_that_nothing_becomes_of_the_last_are_kept() {
        let count = 2 * u32::try_from(limits::H2_UNTAKEN_STREAMS_MAX).unwrap();
        let mut untaken = begun((0..count).map(|index| 2 * index + 1));
        assert_eq!(untaken.streams.len(), limits::H2_UNTAKEN_STREAMS_MAX);
        untaken.sent(&reset(1, Reason::PROTOCOL_ERROR));
        assert_eq!(untaken.refused(), None);
    }
}
