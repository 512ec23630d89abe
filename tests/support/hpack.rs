//! HPACK for the tests' HTTP/2 client: literals on the way out, everything on the way in.
//!
//! Source: RFC 7541. Its Huffman code is canonical, so that the lengths of its words say all of it.
use std::collections::VecDeque;
use std::sync::LazyLock;

/// A field: name and value.
pub type Field = (String, Vec<u8>);

/// Fields as literals that are never indexed and not compressed: any bytes, byte for byte.
pub fn encode<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        string(&mut out, name.as_ref());
        string(&mut out, value.as_ref());
    }
    out
}

/// A string without compression (section 5.2).
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    integer(out, 0, 7, bytes.len());
    out.extend_from_slice(bytes);
}

/// An integer whose first byte has room for `bits` bits behind `flags` (section 5.1).
pub fn integer(out: &mut Vec<u8>, flags: u8, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        out.push(flags | value as u8);
        return;
    }
    out.push(flags | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(rest as u8 | 128);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Reads header blocks.
#[derive(Debug)]
pub struct Decoder {
    dynamic: VecDeque<Field>,
    size_max: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { dynamic: VecDeque::new(), size_max: 4_096 }
    }
}

impl Decoder {
    /// The fields of a whole block.
    pub fn decode(&mut self, mut block: &[u8]) -> Vec<Field> {
        let mut fields = Vec::new();
        while let Some(&first) = block.first() {
            match first.leading_zeros() {
                0 => fields.push(self.indexed(take_integer(&mut block, 7))),
                1 => {
                    let field = self.literal(&mut block, 6);
                    self.dynamic.push_front(field.clone());
                    self.evict();
                    fields.push(field);
                }
                2 => {
                    self.size_max = take_integer(&mut block, 5);
                    self.evict();
                }
                _ => fields.push(self.literal(&mut block, 4)),
            }
        }
        fields
    }

    fn literal(&self, block: &mut &[u8], bits: u32) -> Field {
        let name = match take_integer(block, bits) {
            0 => String::from_utf8(take_string(block)).expect("a name is ASCII"),
            index => self.indexed(index).0,
        };
        (name, take_string(block))
    }

    fn indexed(&self, index: usize) -> Field {
        match STATIC.get(index - 1) {
            Some((name, value)) => ((*name).to_owned(), value.as_bytes().to_vec()),
            None => self.dynamic[index - 1 - STATIC.len()].clone(),
        }
    }

    /// Section 4.1: "its name's length in octets, its value's length in octets, and 32".
    fn evict(&mut self) {
        let size = |(name, value): &Field| name.len() + value.len() + 32;
        while self.dynamic.iter().map(size).sum::<usize>() > self.size_max {
            self.dynamic.pop_back();
        }
    }
}

fn take_byte(block: &mut &[u8]) -> u8 {
    let (first, rest) = block.split_first().expect("a block ends behind a field");
    *block = rest;
    *first
}

fn take_integer(block: &mut &[u8], bits: u32) -> usize {
    let most = (1 << bits) - 1;
    let mut value = usize::from(take_byte(block)) & most;
    if value < most {
        return value;
    }
    for shift in (0..28).step_by(7) {
        let byte = take_byte(block);
        value += usize::from(byte & 127) << shift;
        if byte < 128 {
            break;
        }
    }
    value
}

fn take_string(block: &mut &[u8]) -> Vec<u8> {
    let is_compressed = block[0] & 128 != 0;
    let length = take_integer(block, 7);
    let (string, rest) = block.split_at(length);
    *block = rest;
    if is_compressed { expand(string) } else { string.to_vec() }
}

/// Section 5.2: bits beyond the last word are padding.
fn expand(string: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bits = string.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    loop {
        // The first word of a length follows the last one of the length before it.
        let (mut word, mut first) = (0_u32, 0_u32);
        let symbol = BY_LENGTH.iter().find_map(|symbols| {
            word = word << 1 | u32::from(bits.next()?);
            first <<= 1;
            let found = word.checked_sub(first).and_then(|index| symbols.get(index as usize));
            first += symbols.len() as u32;
            found
        });
        match symbol {
            Some(symbol) => out.push(*symbol),
            None => return out,
        }
    }
}

/// The bytes whose words have one bit, two bits, and so on, each in the order of their words.
static BY_LENGTH: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let of = |length| move |byte: &u8| LENGTHS[usize::from(*byte)] == length;
    (1..=30).map(|length| (0..=255).filter(of(length)).collect()).collect()
});

/// Bits of each byte's word (appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// Appendix A.
#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""),
    ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""),
    ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""),
    ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""),
    ("retry-after", ""), ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""),
    ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
];
