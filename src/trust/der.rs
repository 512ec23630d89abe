//! A reader of DER: the one that certificates, revocation lists and names go through.
//!
//! It borrows, never allocates and never recurses, so nesting cannot exhaust anything. Lengths must be
//! definite and minimal, tags one byte; what else may stand inside a value is its caller's to say.
//! Source: ITU-T X.690, sections 8.1 and 10.1.
#![deny(clippy::indexing_slicing)]
use std::ops::Range;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// A context-specific tag around another value.
pub(super) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// A context-specific tag in the place of a primitive one.
pub(super) const fn primitive(number: u8) -> u8 {
    0x80 | number
}

/// Whether a file is DER and not PEM: certificates and lists are longer than 127 bytes, and text never
/// goes on like this.
pub(super) const fn is_long(file: &[u8]) -> bool {
    matches!(file, [SEQUENCE, 0x81..=0x84, ..])
}

/// What was expected, and at which byte it was not found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed at byte {offset}: {expected} expected")]
pub(super) struct Malformed {
    pub(super) offset: usize,
    pub(super) expected: &'static str,
}

/// One value: its tag, its content, and where both stand in the whole input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Where its tag stands.
    pub(super) offset: usize,
    /// Where its content stands.
    content_offset: usize,
}

impl<'a> Value<'a> {
    /// Reads what is inside.
    pub(super) fn reader(&self) -> Reader<'a> {
        Reader { rest: self.content, offset: self.content_offset }
    }

    /// Where its content stands in the whole input.
    pub(super) fn content_range(&self) -> Range<usize> {
        self.content_offset..self.content_offset + self.content.len()
    }

    /// Where it stands in the whole input, its tag and length included.
    pub(super) fn range(&self) -> Range<usize> {
        self.offset..self.content_offset + self.content.len()
    }

    /// A complaint about this value.
    pub(super) fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed { offset: self.offset, expected }
    }

    /// The bytes of a BIT STRING without unused bits: keys and signatures.
    pub(super) fn octets_of_bits(&self, expected: &'static str) -> Result<&'a [u8], Malformed> {
        match self.content.split_first() {
            Some((0, octets)) => Ok(octets),
            _ => Err(self.malformed(expected)),
        }
    }

    /// A BOOLEAN. DER knows one way to write TRUE; the others are taken for it, as every reader does.
    pub(super) fn boolean(&self) -> Result<bool, Malformed> {
        match self.content {
            [byte] => Ok(*byte != 0),
            _ => Err(self.malformed("a boolean")),
        }
    }
}

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { rest: input, offset: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value, whatever its tag.
    pub(super) fn read(&mut self, expected: &'static str) -> Result<Value<'a>, Malformed> {
        self.try_read().ok_or(Malformed { offset: self.offset, expected })
    }

    /// The next value, which must have this tag.
    pub(super) fn expect(
        &mut self,
        tag: u8,
        expected: &'static str,
    ) -> Result<Value<'a>, Malformed> {
        self.optional(tag, expected)?.ok_or(Malformed { offset: self.offset, expected })
    }

    /// The next value where it has this tag; otherwise nothing is read.
    pub(super) fn optional(
        &mut self,
        tag: u8,
        expected: &'static str,
    ) -> Result<Option<Value<'a>>, Malformed> {
        match self.rest.first() {
            Some(next) if *next == tag => self.read(expected).map(Some),
            _ => Ok(None),
        }
    }

    /// Nothing may follow.
    pub(super) fn finish(&self, expected: &'static str) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Malformed { offset: self.offset, expected })
    }

    fn try_read(&mut self) -> Option<Value<'a>> {
        let (&tag, rest) = self.rest.split_first()?;
        // A tag number of 31 announces further tag bytes; nothing in X.509 has one.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, rest) = read_length(rest)?;
        let (content, rest) = rest.split_at_checked(length)?;
        let offset = self.offset;
        let content_offset = offset + (self.rest.len() - rest.len() - length);
        self.rest = rest;
        self.offset = content_offset + length;
        Some(Value { tag, content, offset, content_offset })
    }
}

/// A length, at most four bytes of it, in its shortest form.
fn read_length(input: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = input.split_first()?;
    if first < 0x80 {
        return Some((usize::from(first), rest));
    }
    let digits = usize::from(first & 0x7f);
    if !(1..=4).contains(&digits) {
        return None;
    }
    let (bytes, rest) = rest.split_at_checked(digits)?;
    let length = bytes.iter().fold(0_usize, |length, &byte| (length << 8) | usize::from(byte));
    let shortest_is_longer = length >= 0x80 && bytes.first() != Some(&0);
    shortest_is_longer.then_some((length, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_where_they_stand() {
        let mut outer = Reader::new(&[SEQUENCE, 5, INTEGER, 1, 7, INTEGER, 0]);
        let sequence = outer.expect(SEQUENCE, "a sequence").unwrap();
        outer.finish("the end").unwrap();
        let mut inner = sequence.reader();
        assert_eq!(inner.read("x").unwrap().content_range(), 4..5);
        assert_eq!(inner.read("x").unwrap().range(), 5..7);
        assert!(inner.is_empty());
    }

    #[test]
    fn lengths_must_be_definite_minimal_and_within_the_input() {
        let mut long = vec![OCTET_STRING, 0x81, 0x80];
        long.extend([0; 128]);
        assert_eq!(Reader::new(&long).read("x").unwrap().content.len(), 128);
        for bad in [
            &[SEQUENCE][..],
            &[SEQUENCE, 1],
            &[SEQUENCE, 0x80, 0, 0],
            &[SEQUENCE, 0x81, 0x01, 0],
            &[SEQUENCE, 0x82, 0x00, 0x80],
            &[SEQUENCE, 0x85, 1, 1, 1, 1, 1],
            &[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x1f, 0x20, 0],
        ] {
            let expected = "a value";
            let refused = Reader::new(bad).read(expected).unwrap_err();
            assert_eq!(refused, Malformed { offset: 0, expected }, "{bad:02x?}");
        }
    }
}
