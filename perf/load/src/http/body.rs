//! Where the content of an HTTP/1.1 answer ends.
//!
//! Pure. Source: RFC 9112, sections 6.3 and 7.1.
#![deny(clippy::indexing_slicing)]
use crate::failure::Failure;

/// Digits of a chunk's size.
const SIZE_DIGITS_MAX: u8 = 15;

/// What is still to come of a content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Body {
    /// So many bytes.
    Rest(u64),
    Chunked(Chunk),
    /// As long as the connection lasts.
    ToClose,
}

/// Where a chunked content is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Chunk {
    /// In a size, of which so much is known.
    Size {
        value: u64,
        digits: u8,
    },
    /// Behind a size, where extensions may stand.
    Extension(u64),
    /// At the LF after a size.
    SizeEnd(u64),
    /// In content, of which so much is left.
    Data(u64),
    DataCr,
    DataLf,
    /// In a line of trailers, of which so much was read.
    Trailer(u32),
    TrailerLf(u32),
    Over,
}

impl Chunk {
    pub(super) const FIRST: Self = Self::Size { value: 0, digits: 0 };
}

impl Body {
    /// Nothing more belongs to it.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Rest(0) | Self::Chunked(Chunk::Over))
    }

    /// Takes what belongs to it from the front of `bytes`. Answers how many bytes that are, and how many of
    /// them are content.
    ///
    /// # Errors
    /// Where chunks are none.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(usize, u64), Failure> {
        match self {
            Self::ToClose => Ok((bytes.len(), bytes.len() as u64)),
            Self::Rest(rest) => {
                let taken = fitting(bytes, *rest);
                *rest -= taken as u64;
                Ok((taken, taken as u64))
            }
            Self::Chunked(chunk) => chunk.take(bytes),
        }
    }
}

impl Chunk {
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, u64), Failure> {
        let (mut used, mut content) = (0, 0);
        while let Some(rest) = bytes.get(used..)
            && let Some(byte) = rest.first()
            && *self != Self::Over
        {
            if let Self::Data(left) = self {
                let taken = fitting(rest, *left);
                *left -= taken as u64;
                used += taken;
                content += taken as u64;
                if *left == 0 {
                    *self = Self::DataCr;
                }
            } else {
                *self = self.step(*byte)?;
                used += 1;
            }
        }
        Ok((used, content))
    }

    /// What one byte of framing leads to.
    fn step(self, byte: u8) -> Result<Self, Failure> {
        let next = match (self, byte) {
            (Self::Size { value, digits }, b'\r') if digits > 0 => Self::SizeEnd(value),
            (Self::Size { value, digits }, b';' | b' ' | b'\t') if digits > 0 => {
                Self::Extension(value)
            }
            (Self::Size { value, digits }, _) if digits < SIZE_DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).ok_or(Failure::Answer)?;
                Self::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }
            }
            (Self::Extension(value), b'\r') => Self::SizeEnd(value),
            (Self::Extension(value), _) if byte != b'\n' => Self::Extension(value),
            (Self::SizeEnd(0), b'\n') => Self::Trailer(0),
            (Self::SizeEnd(value), b'\n') => Self::Data(value),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::FIRST,
            (Self::Trailer(length), b'\r') => Self::TrailerLf(length),
            (Self::Trailer(length), _) if byte != b'\n' => Self::Trailer(length.saturating_add(1)),
            (Self::TrailerLf(0), b'\n') => Self::Over,
            (Self::TrailerLf(_), b'\n') => Self::Trailer(0),
            _ => return Err(Failure::Answer),
        };
        Ok(next)
    }
}

/// How much of `bytes` is within `limit`.
fn fitting(bytes: &[u8], limit: u64) -> usize {
    usize::try_from(limit).map_or(bytes.len(), |limit| limit.min(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] = b"5\r\nhello\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n";

    #[test]
    fn chunks_have_one_end_however_they_are_cut() {
        for cut in 0..CHUNKED.len() {
            let mut body = Body::Chunked(Chunk::FIRST);
            let (head, tail) = CHUNKED.split_at(cut);
            let (used, content) = body.take(head).unwrap();
            assert!(used == cut && !body.is_over());
            let (rest, more) = body.take(&[tail, b"HTTP"].concat()).unwrap();
            assert_eq!((rest, content + more), (tail.len(), 15));
            assert!(body.is_over());
        }
    }

    #[test]
    fn what_is_no_chunk_is_told() {
        for wrong in [
            "\r\n",
            "x\r\n",
            "5\n",
            "1\r\nab",
            "0\r\n\n",
            "1234567890abcdef0\r\n",
            "1;\n",
            "-1\r\n",
        ] {
            let mut body = Body::Chunked(Chunk::FIRST);
            assert_eq!(body.take(wrong.as_bytes()), Err(Failure::Answer), "{wrong:?}");
        }
    }

    #[test]
    fn a_length_takes_no_more_than_its_own() {
        let mut body = Body::Rest(3);
        assert_eq!(body.take(b"ab"), Ok((2, 2)));
        assert_eq!(body.take(b"cde"), Ok((1, 1)));
        assert!(body.is_over());
    }
}
