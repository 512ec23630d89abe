//! A request's head as raw bytes: its lines, whatever is in them.
//!
//! Pure. For heads that are not as the standard says; nothing here is ever taken for a request.
#![deny(clippy::indexing_slicing)]

/// A line of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'b> {
    /// What it says, without its end.
    pub(super) content: &'b [u8],
    /// CR LF, LF, or nothing where it is cut off.
    pub(super) ending: &'b [u8],
}

impl<'b> Line<'b> {
    fn of(bytes: &'b [u8]) -> Self {
        let content = bytes.strip_suffix(b"\n").map_or(bytes, |line| {
            // The CR of a line that is cut off may be anything.
            line.strip_suffix(b"\r").unwrap_or(line)
        });
        let ending = bytes.get(content.len()..).unwrap_or_default();
        Self { content, ending }
    }

    /// Name and value, where there is a colon.
    pub(super) fn field(&self) -> Option<(&'b [u8], &'b [u8])> {
        let colon = self.content.iter().position(|byte| *byte == b':')?;
        let (name, rest) = self.content.split_at(colon);
        Some((name, rest.get(1..).unwrap_or_default()))
    }

    /// Whether it begins with a blank (obs-fold).
    pub(super) fn is_folded(&self) -> bool {
        self.content.first().is_some_and(is_blank)
    }
}

/// The lines of a head up to the empty one: the request line, then those of headers.
pub(super) fn lines(head: &[u8]) -> impl Iterator<Item = Line<'_>> + Clone {
    let lines = head.split_inclusive(|byte| *byte == b'\n').map(Line::of);
    lines
        .enumerate()
        .take_while(|(index, line)| *index == 0 || !line.content.is_empty())
        .map(|(_, line)| line)
}

/// Bytes of the head with its empty line, once that has come; lines may end in LF alone.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        length += line.len();
        if length > line.len() && matches!(line, b"\r\n" | b"\n") {
            return Some(length);
        }
    }
    None
}

/// The words of a request line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLine<'b> {
    /// What stands before the first space.
    pub(crate) method: &'b [u8],
    /// All that stands behind it.
    pub(crate) rest: &'b [u8],
    /// What stands between the first space and the last, spaces and all.
    pub(crate) target: &'b [u8],
    /// What stands behind the last space, without the blanks behind it. None where there is but one
    /// space: HTTP/0.9.
    pub(crate) version: Option<&'b [u8]>,
    /// The blanks behind the version.
    pub(super) padding: &'b [u8],
}

impl<'b> RequestLine<'b> {
    /// Words are told apart at spaces.
    pub(crate) fn of(line: &'b [u8]) -> Self {
        let (method, rest) = split_at_space(line, line.iter().position(is_space));
        let end = rest.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1);
        let (words, padding) = rest.split_at(end);
        match words.iter().rposition(is_space) {
            None => Self { method, rest, target: rest, version: None, padding: &[] },
            last => {
                let (target, version) = split_at_space(words, last);
                Self { method, rest, target, version: Some(version), padding }
            }
        }
    }
}

/// What stands before and behind the space at `at`; all and nothing where there is none.
fn split_at_space(bytes: &[u8], at: Option<usize>) -> (&[u8], &[u8]) {
    let (before, rest) = bytes.split_at(at.unwrap_or(bytes.len()));
    (before, rest.get(1..).unwrap_or_default())
}

/// `HTTP/1.2` to `HTTP/1.9`: to be read as HTTP/1.1 (RFC 9110, section 2.5).
pub(super) const fn is_later_minor(version: &[u8]) -> bool {
    matches!(version, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'])
}

pub(super) const fn is_space(byte: &u8) -> bool {
    *byte == b' '
}

/// Space or tab.
pub(super) const fn is_blank(byte: &u8) -> bool {
    matches!(*byte, b' ' | b'\t')
}

/// A control character that no header value may have: all but the tab.
pub(super) const fn is_control(byte: &u8) -> bool {
    byte.is_ascii_control() && *byte != b'\t'
}

/// `value` without the blanks around it.
pub(super) fn trimmed(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}
