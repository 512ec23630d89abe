//! What the node sends on streams, found in the bytes that the `h2` crate writes.
//!
//! Pure. [`super::guard`] has [`super::untaken`] and [`super::answers`] look at it.
//! Bounds: a frame's header and a code. Source: RFC 9113, section 6.
#![deny(clippy::indexing_slicing)]
use super::frame::{Cursor, Frame, HEADER_BYTES, flag, kind};
use h2::Reason;

/// What was sent on a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Sent {
    pub(super) stream: u32,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    /// HEADERS: those of an answer, or trailers.
    Head { ends: bool },
    /// DATA of so many bytes; the crate never pads.
    Content { bytes: usize, ends: bool },
    /// RST_STREAM.
    Reset { code: Reason },
}

/// Reads it as it comes.
#[derive(Debug)]
pub(super) struct Reader {
    cursor: Cursor,
    /// The stream of an RST_STREAM whose code comes next.
    reset: Option<u32>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { cursor: Cursor::to_frame_behind(0), reset: None }
    }
}

impl Reader {
    /// Has `each` look at what begins in `bytes`, in order.
    pub(super) fn read(&mut self, bytes: &[u8], mut each: impl FnMut(Sent)) {
        let mut read = 0;
        while let (used, Some(part)) = self.cursor.take(bytes.get(read..).unwrap_or_default()) {
            read += used;
            if let Some(stream) = self.reset.take() {
                self.cursor.expect(0, HEADER_BYTES);
                let [first, second, third, fourth, ..] = part;
                let code = Reason::from(u32::from_be_bytes([first, second, third, fourth]));
                each(Sent { stream, what: What::Reset { code } });
                continue;
            }
            let frame = Frame::of(part);
            let (stream, ends) = (frame.stream, frame.has(flag::END_STREAM));
            if frame.kind == kind::RST_STREAM {
                self.reset = Some(stream);
                self.cursor.expect(0, CODE_BYTES);
                continue;
            }
            self.cursor.expect(frame.length, HEADER_BYTES);
            match frame.kind {
                kind::HEADERS => each(Sent { stream, what: What::Head { ends } }),
                kind::DATA => {
                    each(Sent { stream, what: What::Content { bytes: frame.length, ends } });
                }
                _ => {}
            }
        }
    }
}

/// Bytes of an RST_STREAM's code.
const CODE_BYTES: usize = 4;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::http::h2) fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    pub(in crate::http::h2) fn reset(stream: u8, code: Reason) -> Vec<u8> {
        frame(kind::RST_STREAM, 0, stream, &u32::from(code).to_be_bytes())
    }

    #[test]
    fn what_is_sent_is_found_however_the_bytes_are_cut() {
        let bytes = [
            frame(kind::SETTINGS, 0, 0, &[0; 6]),
            frame(kind::HEADERS, flag::END_HEADERS, 1, &[0x88; 30]),
            frame(kind::DATA, 0, 1, &[3; 200]),
            reset(3, Reason::REFUSED_STREAM),
            frame(kind::DATA, flag::END_STREAM, 1, b""),
            frame(kind::HEADERS, flag::END_STREAM, 5, &[0x88]),
        ]
        .concat();
        let sent = |stream, what| Sent { stream, what };
        let expected = [
            sent(1, What::Head { ends: false }),
            sent(1, What::Content { bytes: 200, ends: false }),
            sent(3, What::Reset { code: Reason::REFUSED_STREAM }),
            sent(1, What::Content { bytes: 0, ends: true }),
            sent(5, What::Head { ends: true }),
        ];
        for size in 1..=bytes.len() {
            let (mut reader, mut seen) = (Reader::default(), Vec::new());
            bytes.chunks(size).for_each(|piece| reader.read(piece, |sent| seen.push(sent)));
            assert_eq!(seen, expected, "in pieces of {size}");
        }
    }
}
