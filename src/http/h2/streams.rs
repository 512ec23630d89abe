//! Which streams a client may still send on.
//!
//! Pure. The `h2` crate forgets streams that have ended, and then takes what comes on them for the start of a
//! stream with a wrong number. Here are the numbers of those that the client has not ended.
//! Bounds: `limits::H2_SENDING_STREAMS_MAX`, beyond which the crate is left to judge.
//! Source: RFC 9113, sections 5.1 and 5.1.1.
#![deny(clippy::indexing_slicing)]
use crate::limits;

/// The streams of a connection, as the client has opened and ended them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    highest: u32,
    /// Those that it has not ended, in order.
    sending: Vec<u32>,
    /// Whether a number up to `highest` may be that of a stream which was never opened, or still goes on.
    is_vague: bool,
}

/// The client had ended the stream before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Closed;

/// HEADERS are in order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Headers {
    /// Whether a request begins by them.
    pub(super) begins: bool,
}

/// DATA is in order, as far as is known here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Content {
    /// Whether its stream is certain to be one that the client has opened and not ended before.
    pub(super) is_open: bool,
}

impl Streams {
    /// HEADERS came: of a request, or trailers.
    ///
    /// # Errors
    /// On a stream that the client had ended.
    pub(super) fn headers(&mut self, stream: u32, ends: bool) -> Result<Headers, Closed> {
        if stream <= self.highest {
            return self.content(stream, ends).map(|_| Headers { begins: false });
        }
        self.is_vague |= stream != if self.highest == 0 { 1 } else { self.highest + 2 };
        self.highest = stream;
        if !ends {
            if self.sending.len() >= limits::H2_SENDING_STREAMS_MAX {
                self.sending.remove(0);
                self.is_vague = true;
            }
            self.sending.push(stream);
        }
        Ok(Headers { begins: true })
    }

    /// DATA came.
    ///
    /// # Errors
    /// On a stream that the client had ended.
    pub(super) fn content(&mut self, stream: u32, ends: bool) -> Result<Content, Closed> {
        match self.sending.binary_search(&stream) {
            Ok(index) => {
                if ends {
                    self.sending.remove(index);
                }
                Ok(Content { is_open: true })
            }
            Err(_) if self.is_vague || stream > self.highest || stream.is_multiple_of(2) => {
                Ok(Content { is_open: false })
            }
            Err(_) => Err(Closed),
        }
    }

    /// RST_STREAM came.
    pub(super) fn reset(&mut self, stream: u32) {
        if let Ok(index) = self.sending.binary_search(&stream) {
            self.sending.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: Result<Headers, Closed> = Ok(Headers { begins: true });
    const OPEN: Result<Content, Closed> = Ok(Content { is_open: true });
    const UNKNOWN: Result<Content, Closed> = Ok(Content { is_open: false });

    #[test]
    fn nothing_comes_behind_the_end_of_a_stream() {
        let mut streams = Streams::default();
        assert_eq!(streams.headers(1, true), BEGUN);
        assert_eq!(streams.content(1, false), Err(Closed));
        assert_eq!(streams.headers(1, true), Err(Closed));
        assert_eq!(streams.headers(3, false), BEGUN);
        assert_eq!(streams.content(3, false), OPEN);
        assert_eq!(streams.content(3, true), OPEN);
        assert_eq!(streams.content(3, true), Err(Closed));
        assert_eq!(streams.headers(5, false), BEGUN);
        assert_eq!(streams.headers(5, true), Ok(Headers { begins: false }), "trailers");
        assert_eq!(streams.headers(5, true), Err(Closed));
        assert_eq!(streams.headers(7, false), BEGUN);
        streams.reset(7);
        assert_eq!(streams.content(7, false), Err(Closed));
    }

    #[test]
    fn what_was_never_opened_is_for_the_crate_to_judge() {
        let mut streams = Streams::default();
        for stream in [0, 1, 2, 9] {
            assert_eq!(streams.content(stream, false), UNKNOWN, "{stream}");
        }
        assert_eq!(streams.headers(2, true), BEGUN);
        let mut streams = Streams::default();
        assert_eq!(streams.headers(5, true), BEGUN);
        // RFC 9113, section 5.1.1: PROTOCOL_ERROR, which is what the crate says.
        assert_eq!(streams.headers(3, true), Ok(Headers { begins: false }));
    }

    #[test]
    fn streams_that_a_client_never_ends_are_forgotten_in_the_end() {
        let mut streams = Streams::default();
        let count = 2 * u32::try_from(limits::H2_SENDING_STREAMS_MAX).unwrap();
        for index in 0..count {
            assert_eq!(streams.headers(2 * index + 1, false), BEGUN);
        }
        assert_eq!(streams.sending.len(), limits::H2_SENDING_STREAMS_MAX);
        assert_eq!(streams.content(1, false), UNKNOWN, "it may go on");
    }
}
