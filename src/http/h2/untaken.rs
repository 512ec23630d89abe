//! Requests that the `h2` crate refuses before anybody sees them, found in what it sends.
//!
//! Pure. The crate says nothing of a request whose head is malformed (it resets the stream by PROTOCOL_ERROR) or too
//! large (it answers 431); but what it sends passes here, and a stream that ends without its request having come out
//! of the crate was one of these.
//! Bounds: `limits::H2_UNTAKEN_STREAMS_MAX` numbers; of older streams nothing is said.
//! Source: RFC 9113, section 8.1.1.
#![deny(clippy::indexing_slicing)]
use super::sent::{Sent, What};
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

/// A request that the crate has refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Why.
    pub unseen: Unseen,
    /// Bytes of its head as they came, compressed.
    pub head_bytes: u64,
}

/// The streams that a client has begun and whose requests have not come out of the crate.
#[derive(Debug, Default)]
pub(super) struct Untaken {
    /// In order.
    streams: VecDeque<Stream>,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    number: u32,
    head_bytes: u64,
    /// How the crate has ended it, where it has.
    refused: Option<Unseen>,
}

impl Untaken {
    /// The client has begun a stream; their numbers go up.
    pub(super) fn begun(&mut self, stream: u32) {
        if self.streams.len() >= limits::H2_UNTAKEN_STREAMS_MAX {
            self.streams.pop_front();
        }
        self.streams.push_back(Stream { number: stream, head_bytes: 0, refused: None });
    }

    /// So much of a head has come.
    pub(super) fn head(&mut self, stream: u32, bytes: usize) {
        if let Some(stream) = self.get_mut(stream) {
            stream.head_bytes += bytes as u64;
        }
    }

    /// A request has come out of the crate.
    pub(super) fn taken(&mut self, stream: u32) {
        if let Some(index) = self.place(stream) {
            self.streams.remove(index);
        }
    }

    /// The next that the crate has refused.
    pub(super) fn refused(&mut self) -> Option<Refused> {
        let index = self.streams.iter().position(|stream| stream.refused.is_some())?;
        let Stream { head_bytes, refused, .. } = self.streams.remove(index)?;
        Some(Refused { unseen: refused?, head_bytes })
    }

    /// This was sent to the client.
    pub(super) fn sent(&mut self, Sent { stream, what }: Sent) {
        match what {
            // The crate answers nothing else itself.
            What::Head { .. } => self.ended(stream, Unseen::TooLarge),
            What::Content { .. } => {}
            What::Reset { code } => self.was_reset(stream, code),
        }
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
        if let Some(stream) = self.get_mut(stream) {
            stream.refused.get_or_insert(how);
        }
    }

    fn get_mut(&mut self, stream: u32) -> Option<&mut Stream> {
        self.place(stream).and_then(|index| self.streams.get_mut(index))
    }

    fn place(&self, stream: u32) -> Option<usize> {
        self.streams.binary_search_by_key(&stream, |stream| stream.number).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: What = What::Head { ends: true };

    fn reset(code: Reason) -> What {
        What::Reset { code }
    }

    fn begun(streams: impl IntoIterator<Item = u32>) -> Untaken {
        let mut untaken = Untaken::default();
        streams.into_iter().for_each(|stream| untaken.begun(stream));
        untaken
    }

    fn refused(untaken: &mut Untaken) -> Vec<Unseen> {
        std::iter::from_fn(|| untaken.refused()).map(|refused| refused.unseen).collect()
    }

    #[test]
    fn what_was_refused_is_as_long_as_the_frames_of_its_head() {
        let mut untaken = begun([1, 3]);
        for (stream, bytes) in [(1, 100), (3, 20), (3, 7), (5, 1_000)] {
            untaken.head(stream, bytes);
        }
        untaken.sent(Sent { stream: 3, what: reset(Reason::PROTOCOL_ERROR) });
        let expected = Refused { unseen: Unseen::Malformed, head_bytes: 27 };
        assert_eq!(untaken.refused(), Some(expected));
    }

    #[test]
    fn a_stream_that_is_reset_before_it_is_taken_was_malformed() {
        let mut untaken = begun([1, 3, 5]);
        untaken.taken(1);
        untaken.sent(Sent { stream: 3, what: reset(Reason::PROTOCOL_ERROR) });
        assert_eq!(refused(&mut untaken), [Unseen::Malformed]);
    }

    #[test]
    fn an_answer_to_what_was_not_taken_is_that_it_is_too_large() {
        let mut untaken = begun([1]);
        for what in [HEAD, reset(Reason::PROTOCOL_ERROR)] {
            untaken.sent(Sent { stream: 1, what });
        }
        assert_eq!(refused(&mut untaken), [Unseen::TooLarge]);
    }

    #[test]
    fn what_was_taken_is_the_nodes_own_to_tell() {
        let mut untaken = begun([1, 3]);
        untaken.sent(Sent { stream: 1, what: reset(Reason::PROTOCOL_ERROR) });
        untaken.sent(Sent { stream: 3, what: reset(Reason::CANCEL) });
        // The crate may send before it lets go of the request.
        untaken.taken(1);
        assert_eq!(untaken.refused(), None);
    }

    #[test]
    fn of_streams_that_nothing_becomes_of_the_last_are_kept() {
        let count = 2 * u32::try_from(limits::H2_UNTAKEN_STREAMS_MAX).unwrap();
        let mut untaken = begun((0..count).map(|index| 2 * index + 1));
        assert_eq!(untaken.streams.len(), limits::H2_UNTAKEN_STREAMS_MAX);
        untaken.sent(Sent { stream: 1, what: reset(Reason::PROTOCOL_ERROR) });
        assert_eq!(untaken.refused(), None);
    }
}
