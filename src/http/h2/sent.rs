//! What the node sends on streams, found in the bytes that the `h2` crate writes.
//!
//! Pure. [`super::guard`] has [`super::untaken`] and [`super::answers`] look at it.
//! Bounds: a frame's header, what is left of its payload, and a code. Source: RFC 9113, section 6.
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
    /// A whole field block: that of an interim answer, of an answer, or trailers.
    Head { ends: bool },
    /// So many bytes of DATA, as they pass; the crate never pads. The last of them `ends` the stream.
    Content { bytes: usize, ends: bool },
    /// RST_STREAM.
    Reset { code: Reason },
}

/// Reads it as it comes.
#[derive(Debug)]
pub(super) struct Reader {
    cursor: Cursor,
    next: Next,
    /// Whether the stream ends with the field block that was begun last.
    block_ends: bool,
}

/// What is read next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Header,
    /// The payload of this frame, of which so many bytes are to come.
    Payload {
        frame: Frame,
        left: usize,
    },
    /// The code of an RST_STREAM.
    Code {
        stream: u32,
    },
}

impl Default for Reader {
    fn default() -> Self {
        Self { cursor: Cursor::to_frame_behind(0), next: Next::Header, block_ends: false }
    }
}

impl Reader {
    /// Has `each` look at what passes whole in `bytes`, and at content in part, in order.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut each: impl FnMut(Sent)) {
        loop {
            if let Next::Payload { frame, left } = self.next {
                let passed = left.min(bytes.len());
                let left = left - passed;
                bytes = bytes.get(passed..).unwrap_or_default();
                if let Some(what) = self.passed(frame, passed, left == 0) {
                    each(Sent { stream: frame.stream, what });
                }
                if left > 0 {
                    self.next = Next::Payload { frame, left };
                    return;
                }
                self.expect_header();
            }
            let (used, Some(part)) = self.cursor.take(bytes) else { return };
            bytes = bytes.get(used..).unwrap_or_default();
            if let Next::Code { stream } = self.next {
                let [first, second, third, fourth, ..] = part;
                let code = Reason::from(u32::from_be_bytes([first, second, third, fourth]));
                each(Sent { stream, what: What::Reset { code } });
                self.expect_header();
            } else {
                self.begin(Frame::of(part));
            }
        }
    }

    /// A frame's header has passed.
    fn begin(&mut self, frame: Frame) {
        if frame.kind == kind::RST_STREAM {
            self.next = Next::Code { stream: frame.stream };
            return self.cursor.expect(0, CODE_BYTES);
        }
        if frame.kind == kind::HEADERS {
            self.block_ends = frame.has(flag::END_STREAM);
        }
        self.next = Next::Payload { frame, left: frame.length };
    }

    /// What it says that so many bytes of this frame's payload have passed.
    fn passed(&self, frame: Frame, bytes: usize, is_whole: bool) -> Option<What> {
        match frame.kind {
            kind::DATA if bytes > 0 || is_whole => {
                let ends = is_whole && frame.has(flag::END_STREAM);
                Some(What::Content { bytes, ends })
            }
            kind::HEADERS | kind::CONTINUATION if is_whole && frame.has(flag::END_HEADERS) => {
                Some(What::Head { ends: self.block_ends })
            }
            _ => None,
        }
    }

    fn expect_header(&mut self) {
        self.next = Next::Header;
        self.cursor.expect(0, HEADER_BYTES);
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

    /// What a reader finds in these pieces.
    fn read<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> Vec<Sent> {
        let (mut reader, mut seen) = (Reader::default(), Vec::new());
        pieces.for_each(|piece| reader.read(piece, |sent| seen.push(sent)));
        seen
    }

    const fn sent(stream: u32, what: What) -> Sent {
        Sent { stream, what }
    }

    const fn content(bytes: usize, ends: bool) -> Sent {
        sent(1, What::Content { bytes, ends })
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
            frame(kind::CONTINUATION, flag::END_HEADERS, 5, &[0x88]),
        ]
        .concat();
        let expected = [
            sent(1, What::Head { ends: false }),
            content(200, false),
            sent(3, What::Reset { code: Reason::REFUSED_STREAM }),
            content(0, true),
            sent(5, What::Head { ends: true }),
        ];
        for size in 1..=bytes.len() {
            let mut seen = read(bytes.chunks(size));
            // Parts of the same content, taken together.
            seen.dedup_by(|next, before| match (next.what, &mut before.what) {
                (
                    What::Content { bytes, ends: false },
                    What::Content { bytes: all, ends: false },
                ) => {
                    *all += bytes;
                    true
                }
                _ => false,
            });
            assert_eq!(seen, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn nothing_has_passed_before_its_bytes_have() {
        let whole = frame(kind::DATA, flag::END_STREAM, 1, b"hello");
        for (count, expected) in [
            (9, &[][..]),
            (10, &[content(1, false)]),
            (13, &[content(4, false)]),
            (14, &[content(5, true)]),
        ] {
            assert_eq!(read([&whole[..count]].into_iter()), expected, "{count} bytes");
        }
        let parts = [content(4, false), content(1, true)];
        assert_eq!(read([&whole[..13], b"", &whole[13..]].into_iter()), parts);
        let head = [
            frame(kind::HEADERS, flag::END_STREAM, 1, &[0x88]),
            frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[0x88]),
        ]
        .concat();
        assert!(read([&head[..head.len() - 1]].into_iter()).is_empty());
    }
}
