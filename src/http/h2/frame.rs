//! A frame's header, and how frames are found in bytes that come in pieces.
//!
//! Pure. [`super::guard`] reads by it what a client sends, [`super::untaken`] what the node sends.
//! Bounds: a header's bytes. Source: RFC 9113, sections 4.1 and 6.
#![deny(clippy::indexing_slicing)]

/// A frame's header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Frame {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

/// A part that a [`Cursor`] has gathered: its first bytes, as many as were asked for.
pub(super) type Part = [u8; HEADER_BYTES];

/// Bytes of a frame's header.
pub(super) const HEADER_BYTES: usize = 9;

/// Types of frames.
pub(super) mod kind {
    pub(in crate::http::h2) const DATA: u8 = 0x0;
    pub(in crate::http::h2) const HEADERS: u8 = 0x1;
    pub(in crate::http::h2) const PRIORITY: u8 = 0x2;
    pub(in crate::http::h2) const RST_STREAM: u8 = 0x3;
    pub(in crate::http::h2) const SETTINGS: u8 = 0x4;
    pub(in crate::http::h2) const PUSH_PROMISE: u8 = 0x5;
    pub(in crate::http::h2) const PING: u8 = 0x6;
    pub(in crate::http::h2) const GOAWAY: u8 = 0x7;
    pub(in crate::http::h2) const WINDOW_UPDATE: u8 = 0x8;
    pub(in crate::http::h2) const CONTINUATION: u8 = 0x9;
    /// RFC 9218, section 7.1.
    pub(in crate::http::h2) const PRIORITY_UPDATE: u8 = 0x10;
    /// RFC 7540, section 11.2: types from 0xf0 are for experiments. RFC 9113, section 4.1: "Implementations MUST
    /// ignore and discard frames of unknown types."
    pub(in crate::http::h2) const EXPERIMENT: u8 = 0xff;
}

/// Flags of frames.
pub(super) mod flag {
    pub(in crate::http::h2) const END_STREAM: u8 = 0x1;
    pub(in crate::http::h2) const ACK: u8 = 0x1;
    pub(in crate::http::h2) const END_HEADERS: u8 = 0x4;
    pub(in crate::http::h2) const PADDED: u8 = 0x8;
    pub(in crate::http::h2) const PRIORITY: u8 = 0x20;
}

impl Frame {
    /// Length (24), Type (8), Flags (8), Reserved (1), Stream Identifier (31).
    pub(super) const fn of([high, middle, low, kind, flags, stream @ ..]: Part) -> Self {
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        Self { length, kind, flags, stream }
    }

    pub(super) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Makes the frame whose header stands here one of no known type, which the `h2` crate passes over.
pub(super) fn disguise(bytes: &mut [u8], header: Option<usize>) {
    const KIND: usize = 3;
    if let Some(kind) = header.and_then(|header| bytes.get_mut(header + KIND)) {
        *kind = kind::EXPERIMENT;
    }
}

/// Gathers parts of a few bytes each, and passes over what lies between them.
#[derive(Debug)]
pub(super) struct Cursor {
    skip: usize,
    wanted: usize,
    part: Part,
    part_bytes: usize,
}

impl Cursor {
    /// One that looks for a frame's header behind so many bytes.
    pub(super) const fn to_frame_behind(skip: usize) -> Self {
        Self { skip, wanted: HEADER_BYTES, part: [0; HEADER_BYTES], part_bytes: 0 }
    }

    /// What is gathered next: `wanted` bytes, 1 to [`HEADER_BYTES`], behind `skip` others.
    pub(super) const fn expect(&mut self, skip: usize, wanted: usize) {
        debug_assert!(self.part_bytes == 0 && wanted > 0 && wanted <= HEADER_BYTES);
        (self.skip, self.wanted) = (skip, wanted);
    }

    /// Reads on: how many of `bytes` were used, and the part where it is whole. Then [`Cursor::expect`] says
    /// what is next.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (usize, Option<Part>) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let missing = self.wanted - self.part_bytes;
        let places = self.part.iter_mut().skip(self.part_bytes).take(missing);
        let mut gathered = 0;
        for (place, byte) in places.zip(bytes.iter().skip(skipped)) {
            *place = *byte;
            gathered += 1;
        }
        self.part_bytes += gathered;
        let part = (self.part_bytes == self.wanted).then_some(self.part);
        if part.is_some() {
            self.part_bytes = 0;
        }
        (skipped + gathered, part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_field_by_field() {
        let frame = Frame::of([0x01, 0x02, 0x03, 0x09, 0x04, 0x80, 0x00, 0x01, 0x05]);
        assert_eq!(frame, Frame { length: 0x01_0203, kind: 9, flags: 4, stream: 0x105 });
        assert!(frame.has(flag::END_HEADERS) && !frame.has(flag::END_STREAM));
    }

    /// Goal: parts do not depend on how bytes arrive. Method: 3 bytes behind 2, then 1 behind 4, in pieces of each
    /// size.
    #[test]
    fn parts_are_the_same_in_pieces_of_any_size() {
        let bytes = b"--abc----d";
        for size in 1..=bytes.len() {
            let mut cursor = Cursor::to_frame_behind(2);
            cursor.expect(2, 3);
            let mut parts = Vec::new();
            for mut piece in bytes.chunks(size) {
                while !piece.is_empty() {
                    let (used, part) = cursor.take(piece);
                    piece = &piece[used..];
                    if let Some([first, second, third, ..]) = part {
                        parts.push([first, second, third]);
                        cursor.expect(4, 1);
                    }
                }
            }
            assert_eq!(parts[0], *b"abc", "in pieces of {size}");
            assert_eq!((parts.len(), parts[1][0]), (2, b'd'), "in pieces of {size}");
        }
    }
}
