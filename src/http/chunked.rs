//! The chunked transfer coding (RFC 9112, section 7.1): decoded strictly, encoded anew.
#![expect(clippy::todo, reason = "interface only")]
use super::head::Malformed;
use std::ops::Range;

/// What the decoder made of the bytes it was shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// `used` bytes were understood and more are needed; the rest is shown again with more behind it.
    NeedMore {
        /// Bytes to consume.
        used: usize,
    },
    /// Content at `data` of the input; consume `used`.
    Data {
        /// Where the content lies.
        data: Range<usize>,
        /// Bytes to consume.
        used: usize,
    },
    /// The body ended (trailers read and dropped); consume `used`.
    End {
        /// Bytes to consume.
        used: usize,
    },
}

/// Where the decoder is.
#[derive(Clone, Debug, Default)]
pub struct Decoder(());

impl Decoder {
    /// Goes one step. Extensions and trailers are bounded by `limits::CHUNK_LINE_BYTES_MAX`.
    ///
    /// # Errors
    /// [`Malformed`] for any doubt: bare LF, bad size, overflow, missing CRLF.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let _ = input;
        todo!()
    }
}

/// The line before a chunk of `length` (> 0) bytes, appended to `out`: hexadecimal size and CRLF.
pub fn size_line(length: usize, out: &mut Vec<u8>) {
    let _ = (length, out);
    todo!()
}

/// What follows a chunk's content.
pub const CHUNK_END: &[u8] = b"\r\n";

/// What ends a body: the last chunk and an empty trailer section.
pub const BODY_END: &[u8] = b"0\r\n\r\n";
