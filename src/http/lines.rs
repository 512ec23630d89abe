//! Lines of a head: where they end, how long they may be, when to look at them again.
//!
//! Pure. For `head`, which leaves to httparse what is in them.
#![deny(clippy::indexing_slicing)]
use super::malformed::Malformed;
use crate::limits::{HEADER_BYTES_MAX, REQUEST_HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX};

/// Whether a head that was not whole with its first `seen` bytes is worth another `request` or
/// `response`: an empty line has arrived, a CR that ends no line, or another 4 KiB.
///
/// Heads are parsed from their start, so that a client which sends single bytes would have its head of
/// up to 64 KiB read as many times; with this it is read 16 times at most.
pub fn worth_parsing(bytes: &[u8], seen: usize) -> bool {
    const STEP_BYTES: usize = 4 * 1024;
    let (_, fresh) = bytes.split_at(seen.saturating_sub(2).min(bytes.len()));
    seen == 0
        || seen / STEP_BYTES != bytes.len() / STEP_BYTES
        || fresh.windows(2).any(|pair| pair == b"\n\n")
        || fresh.windows(3).any(|triple| triple == b"\n\r\n")
        || has_bare_cr(fresh)
}

/// Whether a CR is followed by anything but LF: no head is good then, whatever is still to come. RFC 9112,
/// section 2.2: "A recipient of such a bare CR MUST consider that element to be invalid".
pub(super) fn has_bare_cr(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| matches!(pair, [b'\r', behind] if *behind != b'\n'))
}

/// Skips the one empty line that may stand before a request line (RFC 9112, section 2.2), and says how
/// many bytes that were. `None` needs more bytes.
pub(super) fn skip_empty_line(bytes: &[u8]) -> Result<Option<(usize, &[u8])>, Malformed> {
    let (skipped, rest) = match bytes {
        [] | [b'\r'] => return Ok(None),
        [b'\r', b'\n', rest @ ..] => (2, rest),
        [b'\r', ..] => return Err(Malformed::BareCr),
        rest => (0, rest),
    };
    match rest {
        [] => Ok(None),
        [b'\n', ..] => Err(Malformed::BareLf),
        [b'\r', ..] => Err(Malformed::LeadingEmptyLines),
        rest => Ok(Some((skipped, rest))),
    }
}

/// Whether a line, or what there is of it, is over its limit, or the head that has no end yet.
#[cold]
pub(super) fn over_limit(bytes: &[u8]) -> Option<Malformed> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let bare = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).len();
    let request_line = lines.next().map_or(0, bare);
    if request_line > REQUEST_LINE_BYTES_MAX {
        return Some(Malformed::RequestLineTooLong);
    }
    if lines.any(|line| bare(line) > HEADER_BYTES_MAX) {
        return Some(Malformed::HeaderTooLong);
    }
    let whole = bytes.ends_with(b"\n\r\n") || bytes.ends_with(b"\n\n");
    (bytes.len() >= REQUEST_HEAD_BYTES_MAX && !whole).then_some(Malformed::HeadTooLong)
}

/// httparse lets a CR stand only before LF, but takes an LF without one. So all lines end in CR LF when
/// there are as many CRs as lines: the first one, the headers and the empty one.
pub(super) fn lines_end_in_cr_lf(head: &[u8], headers: usize) -> Result<(), Malformed> {
    // Parts of 255 bytes, so that the count of each fits in a byte: the loop runs over whole vectors.
    let in_part = |part: &[u8]| part.iter().map(|byte| u8::from(*byte == b'\r')).sum::<u8>();
    let returns = head.chunks(255).map(|part| usize::from(in_part(part))).sum::<usize>();
    if returns == headers + 2 { Ok(()) } else { Err(Malformed::BareLf) }
}

/// At most the first `bytes_max` bytes.
pub(super) fn within(bytes: &[u8], bytes_max: usize) -> &[u8] {
    bytes.get(..bytes_max).unwrap_or(bytes)
}
