//! PEM: blocks of base64 between `-----BEGIN` and `-----END` lines, with text around them allowed.
//!
//! The reader of bundles and revocation files. It names the line of what is wrong, hands out blocks of
//! every label (so that a private key in a bundle is a fault and not skipped), and decodes straight into
//! memory of the right size, since a revocation file may have 128 MiB.
//! Source: RFC 7468, section 2; text outside of blocks as OpenSSL takes it.
#![deny(clippy::indexing_slicing)]

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// One block, not yet decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Block<'a> {
    /// What stands after BEGIN, such as `CERTIFICATE`.
    pub(super) label: &'a [u8],
    /// The line of its BEGIN, counted from 1.
    pub(super) line: usize,
    body: &'a [u8],
}

/// What is wrong with a block, and its line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct Broken {
    pub(super) line: usize,
    pub(super) what: &'static str,
}

/// The blocks of `text`, in order. After a broken one, the next is looked for.
pub(super) fn blocks(text: &[u8]) -> Blocks<'_> {
    Blocks { rest: text, line: 0 }
}

/// See [`blocks`].
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Blocks<'a> {
    fn next_line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let end = self.rest.iter().position(|&byte| byte == b'\n').unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..).unwrap_or_default();
        Some(line.trim_ascii_end())
    }

    /// Everything up to the END line; another BEGIN before it breaks the block and is left unread.
    fn finish(&mut self, label: &'a [u8], line: usize) -> Result<Block<'a>, Broken> {
        let start = self.rest;
        loop {
            let before = (self.rest, self.line);
            let body_bytes = start.len() - self.rest.len();
            let Some(next) = self.next_line() else {
                return Err(Broken { line, what: "the block has no END line" });
            };
            if next.starts_with(BEGIN) {
                (self.rest, self.line) = before;
                return Err(Broken { line, what: "another block begins before this one ends" });
            }
            if let Some(end) = next.strip_prefix(END) {
                if end.strip_suffix(DASHES) != Some(label) {
                    return Err(Broken { line, what: "BEGIN and END differ" });
                }
                let body = start.get(..body_bytes).unwrap_or_default();
                return Ok(Block { label, line, body });
            }
        }
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(line) = self.next_line() {
            if let Some(begin) = line.strip_prefix(BEGIN) {
                let at = self.line;
                return Some(match begin.strip_suffix(DASHES) {
                    Some(label) => self.finish(label, at),
                    None => Err(Broken { line: at, what: "the BEGIN line does not end in dashes" }),
                });
            }
        }
        None
    }
}

impl Block<'_> {
    /// Writes it as it stands, without what is around it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let label = |word: &[u8]| [word, self.label, DASHES, b"\n"].concat();
        out.extend([&label(BEGIN), self.body, &label(END)].concat());
    }

    /// The bytes that the block holds.
    ///
    /// # Errors
    /// Anything but base64 with right padding, such as the headers of an encrypted block.
    pub(super) fn decode(&self) -> Result<Vec<u8>, Broken> {
        let broken = Broken { line: self.line, what: "the block is not base64" };
        let mut decoded = Vec::with_capacity(self.body.len() / 4 * 3 + 3);
        let (mut bits, mut digits, mut padding) = (0_u32, 0_usize, 0_usize);
        for &byte in self.body {
            if byte.is_ascii_whitespace() {
                continue;
            }
            match base64_digit(byte) {
                Some(value) if padding == 0 => bits = (bits << 6) | value,
                None if byte == b'=' => {
                    bits <<= 6;
                    padding += 1;
                }
                _ => return Err(broken),
            }
            digits += 1;
            if digits.is_multiple_of(4) {
                let [_, whole @ ..] = bits.to_be_bytes();
                let count =
                    3_usize.checked_sub(padding).filter(|&count| count > 0).ok_or(broken)?;
                decoded.extend_from_slice(whole.get(..count).unwrap_or_default());
                bits = 0;
            }
        }
        if digits == 0 {
            return Err(Broken { line: self.line, what: "the block is empty" });
        }
        if !digits.is_multiple_of(4) {
            return Err(broken);
        }
        Ok(decoded)
    }
}

fn base64_digit(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = Result<(String, usize, Vec<u8>), (usize, &'static str)>;

    fn read(text: &str) -> Vec<Read> {
        let decoded = |block: Block<'_>| {
            let label = String::from_utf8_lossy(block.label).into_owned();
            block.decode().map(|der| (label, block.line, der))
        };
        blocks(text.as_bytes())
            .map(|block| block.and_then(decoded).map_err(|broken| (broken.line, broken.what)))
            .collect()
    }

    #[test]
    fn text_around_blocks_and_foreign_line_ends_are_fine() {
        let text = "a comment\n\n-----BEGIN A B-----\r\nAAEC\r\nAw==\r\n-----END A B-----\r\n# more\n\
                    -----BEGIN C-----\n/+8=\n-----END C-----";
        let expected =
            vec![Ok(("A B".into(), 3, vec![0, 1, 2, 3])), Ok(("C".into(), 8, vec![0xff, 0xef]))];
        assert_eq!(read(text), expected);
        assert_eq!(read("no block here\n"), vec![]);
    }

    #[test]
    fn broken_blocks_are_named_by_their_line_and_do_not_hide_the_next() {
        let good = "-----BEGIN C-----\nAAAA\n-----END C-----\n";
        for (text, what) in [
            ("-----BEGIN C-----\nAAAA\n", "another block begins before this one ends"),
            ("-----BEGIN C-----\nAAAA\n-----END D-----\n", "BEGIN and END differ"),
            ("-----BEGIN C----\n", "the BEGIN line does not end in dashes"),
            ("-----BEGIN C-----\nAAA\n-----END C-----\n", "the block is not base64"),
            ("-----BEGIN C-----\nA===\n-----END C-----\n", "the block is not base64"),
            ("-----BEGIN C-----\nAA==AAAA\n-----END C-----\n", "the block is not base64"),
            ("-----BEGIN C-----\nKey: v\n-----END C-----\n", "the block is not base64"),
            ("-----BEGIN C-----\n-----END C-----\n", "the block is empty"),
        ] {
            let read = read(&format!("{text}{good}"));
            assert_eq!(read.first(), Some(&Err((1, what))), "{text}");
            assert_eq!(read.last().unwrap().as_ref().unwrap().2, vec![0, 0, 0], "{text}");
        }
        let cut = read("-----BEGIN C-----\nAAAA\n");
        assert_eq!(cut, vec![Err((1, "the block has no END line"))]);
    }
}
