//! The chunked transfer coding (RFC 9112, section 7.1): decoded strictly, encoded anew.
//!
//! Pure. A shard shows what it has received to [`Decoder::step`] and sends the content on in chunks of
//! its own, so that no size or extension of one side is ever read by the other; `trailers` writes anew
//! what may go on of a trailer section.
//! Bounds: a chunk-size line is at most `limits::CHUNK_LINE_BYTES_MAX`, a trailer section
//! `limits::TRAILERS_BYTES_MAX`; the decoder holds a few numbers, never bytes.
#![deny(clippy::indexing_slicing)]
use super::fault::is_token;
use super::malformed::Malformed;
use crate::limits::{CHUNK_LINE_BYTES_MAX, TRAILERS_BYTES_MAX};
use std::io::Write;
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
    /// The body ended; consume `used`.
    End {
        /// Where the trailers lie: checked lines, each ended by CR LF, without the empty one.
        trailers: Range<usize>,
        /// Bytes to consume.
        used: usize,
    },
}

/// Where a decoder is.
///
/// ```text
/// Size --> [Blank] --> [Extension] --> SizeLf --> Content --> ContentCr --> ContentLf --> Size
///                                        |
///                                        `-(0)--> Trailer --> Name --> Value --> ValueLf --> Trailer
///                                                    `--> LastLf --> Ended
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// In the size, after so many digits.
    Size { digits: u8 },
    /// In blanks behind the size, which only an extension may follow.
    Blank,
    /// In the extensions.
    Extension,
    /// Before the LF of the size line.
    SizeLf,
    /// In the content.
    Content,
    /// Before the CR behind the content.
    ContentCr,
    /// Before the LF behind the content.
    ContentLf,
    /// At the start of a trailer line, or of the empty one.
    Trailer,
    /// In the name of a trailer, after its first byte.
    Name,
    /// In the value of a trailer.
    Value,
    /// Before the LF of a trailer.
    ValueLf,
    /// Before the last LF.
    LastLf,
    /// Behind the body.
    Ended,
}

impl State {
    const fn is_in_trailers(self) -> bool {
        match self {
            Self::Trailer | Self::Name | Self::Value | Self::ValueLf | Self::LastLf => true,
            Self::Size { .. }
            | Self::Blank
            | Self::Extension
            | Self::SizeLf
            | Self::Content
            | Self::ContentCr
            | Self::ContentLf
            | Self::Ended => false,
        }
    }
}

/// A decoder of one body.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// The size as read so far, then what is left of the chunk's content.
    size: u64,
    /// Bytes of this chunk-size line or of the trailer section, as far as they were seen.
    line_bytes: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { state: State::Size { digits: 0 }, size: 0, line_bytes: 0 }
    }
}

impl Decoder {
    /// Goes one step. A trailer section is consumed in one piece; until it is whole, what has come of it is
    /// shown again, and not looked at again.
    ///
    /// However the body is split into inputs, the content and the end are the same.
    ///
    /// # Errors
    /// [`Malformed`] for any doubt: bare LF, bad size, overflow, missing CRLF.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        let mut seen = self.section_bytes();
        for byte in input.iter().skip(seen) {
            if self.state == State::Content {
                return Ok(self.content(seen, input.len()));
            }
            if self.state == State::Ended {
                break;
            }
            self.framing_byte(*byte)?;
            seen += 1;
        }
        if self.state != State::Ended {
            return Ok(Step::NeedMore { used: seen - self.section_bytes() });
        }
        // The section with its empty line, where it has just ended.
        let section = std::mem::take(&mut self.line_bytes);
        let trailers = seen - section..seen - section.min(SECTION_END.len());
        Ok(Step::End { trailers, used: seen })
    }

    /// What has been seen of a trailer section that is not whole.
    const fn section_bytes(&self) -> usize {
        if self.state.is_in_trailers() { self.line_bytes } else { 0 }
    }

    /// Hands out what the input holds of the chunk's content, from `start`.
    fn content(&mut self, start: usize, input_bytes: usize) -> Step {
        let available = input_bytes - start;
        let taken = usize::try_from(self.size).map_or(available, |left| left.min(available));
        self.size -= taken as u64;
        if self.size == 0 {
            self.state = State::ContentCr;
        }
        Step::Data { data: start..start + taken, used: start + taken }
    }

    /// Takes one byte that is not content.
    fn framing_byte(&mut self, byte: u8) -> Result<(), Malformed> {
        self.line_bytes += 1;
        let (bytes_max, fault) = match self.state.is_in_trailers() {
            true => (TRAILERS_BYTES_MAX, Malformed::TrailersTooLong),
            false => (CHUNK_LINE_BYTES_MAX, Malformed::ChunkLineTooLong),
        };
        if self.line_bytes > bytes_max {
            return Err(fault);
        }
        self.state = match (self.state, byte) {
            (State::Size { digits }, _) if byte.is_ascii_hexdigit() => self.digit(digits, byte)?,
            (State::Size { digits: 1.. } | State::Extension, b'\r') => State::SizeLf,
            (State::Size { digits: 1.. } | State::Blank, b';') => State::Extension,
            (State::Size { digits: 1.. } | State::Blank, b' ' | b'\t') => State::Blank,
            (State::Extension, b'\t' | b' '..=b'~') => State::Extension,
            (State::Extension, _) => return Err(Malformed::BadChunkExtension),
            (State::SizeLf, b'\n') => self.content_or_trailers(),
            (State::Size { .. } | State::Blank | State::SizeLf, _) => {
                return Err(Malformed::BadChunkSize);
            }
            (State::ContentCr, b'\r') => State::ContentLf,
            (State::ContentLf, b'\n') => self.next_size(),
            (State::ContentCr | State::ContentLf, _) => return Err(Malformed::BadChunkEnd),
            (State::Trailer, b'\r') => State::LastLf,
            (State::Trailer | State::Name, _) if is_token(byte) => State::Name,
            (State::Name, b':') => State::Value,
            (State::Value, b'\t' | b' '..=b'~' | 0x80..) => State::Value,
            (State::Value, b'\r') => State::ValueLf,
            (State::ValueLf, b'\n') => State::Trailer,
            (State::LastLf, b'\n') => State::Ended,
            (State::Trailer | State::Name | State::Value | State::ValueLf | State::LastLf, _) => {
                return Err(Malformed::BadTrailer);
            }
            (State::Content | State::Ended, _) => self.state,
        };
        Ok(())
    }

    /// Adds a digit to the size. Sixteen fill 64 bits exactly, so that none is ever shifted out.
    fn digit(&mut self, digits: u8, byte: u8) -> Result<State, Malformed> {
        let digit = char::from(byte).to_digit(16).filter(|_| digits < 16);
        self.size = (self.size << 4) | u64::from(digit.ok_or(Malformed::BadChunkSize)?);
        Ok(State::Size { digits: digits + 1 })
    }

    /// Behind a size line: the last chunk has no content.
    const fn content_or_trailers(&mut self) -> State {
        self.line_bytes = 0;
        if self.size == 0 { State::Trailer } else { State::Content }
    }

    /// Behind a chunk, whose size is down to 0.
    const fn next_size(&mut self) -> State {
        self.line_bytes = 0;
        State::Size { digits: 0 }
    }
}

/// The line before a chunk: hexadecimal size and CRLF.
#[derive(Clone, Copy, Debug)]
pub struct SizeLine {
    bytes: [u8; SIZE_LINE_BYTES],
    length: usize,
}

impl SizeLine {
    /// That of a chunk of `length` bytes. A length of 0 would end the body, so its line is empty;
    /// [`BODY_END`] is for that.
    pub fn of(length: usize) -> Self {
        let mut line = Self { bytes: [0; SIZE_LINE_BYTES], length: 0 };
        if length > 0 {
            let mut room = &mut line.bytes[..];
            // The room holds the largest number.
            let _ = write!(room, "{length:x}\r\n");
            line.length = SIZE_LINE_BYTES - room.len();
        }
        line
    }

    /// The line.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Sixteen hexadecimal digits and CRLF.
const SIZE_LINE_BYTES: usize = 18;

/// What follows a chunk's content.
pub const CHUNK_END: &[u8] = b"\r\n";

/// What ends a body: the last chunk and an empty trailer section.
pub const BODY_END: &[u8] = b"0\r\n\r\n";

/// What ends a body with the trailers that `write` writes.
pub fn end(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut end = LAST_CHUNK.to_vec();
    write(&mut end);
    end.extend_from_slice(SECTION_END);
    end
}

/// The last chunk, behind which trailers may stand.
pub const LAST_CHUNK: &[u8] = b"0\r\n";

/// What ends a trailer section.
pub const SECTION_END: &[u8] = b"\r\n";

#[cfg(test)]
mod tests;
