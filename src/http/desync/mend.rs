//! A head written anew without what is doubtful in it.
//!
//! Pure. [`super::request`] calls it for a head whose class is let in, and shows what comes out to
//! `head`, which alone says what a request is. So nothing is mended here that is refused in every mode:
//! such lines are copied, and refused there.
//! Bound: what comes out is at most three times what goes in, and `head` holds it to its own bounds.
#![deny(clippy::indexing_slicing)]
use super::raw::{self, Line, RequestLine, is_blank, is_control, is_space, trimmed};
use crate::http::fault::is_token;
use crate::http::framing::decimal;
use crate::http::name::{CONTENT_LENGTH, Known, TRANSFER_ENCODING, known, taken_for};

/// Writes a whole head anew:
///
/// * the target between one space on each side; spaces in it, and UTF-8, percent-encoded;
/// * HTTP/1.2 to 1.9 as HTTP/1.1 (RFC 9110, section 2.5), without the spaces behind it;
/// * without headers that have no name, or one that is no token, or a control character in their value;
/// * without names that could be taken for Content-Length or Transfer-Encoding;
/// * equal lengths as one, and none beside a coding (RFC 9112, section 6.3).
pub(super) fn mend(head: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len());
    let mut headers = raw::lines(head);
    headers.by_ref().take(1).for_each(|first| request_line(&first, &mut out));
    let mut lengths_left = lengths_that_stay(headers.clone());
    for header in headers {
        let is_length = is_named(&header, CONTENT_LENGTH);
        let is_needless = is_length && lengths_left == 0;
        // A line that does not end as it should is refused, whatever it says.
        if (is_needless || is_left_out(&header)) && header.ending == b"\r\n" {
            continue;
        }
        lengths_left -= usize::from(is_length && lengths_left > 0);
        out.extend_from_slice(header.content);
        out.extend_from_slice(header.ending);
    }
    out.extend_from_slice(if head.ends_with(b"\r\n") { b"\r\n" } else { b"\n" });
    out
}

/// How many of the Content-Lengths go on: all, to be refused, where they differ or one is no number.
fn lengths_that_stay<'b>(headers: impl Iterator<Item = Line<'b>> + Clone) -> usize {
    let has_coding = headers.clone().any(|header| is_named(&header, TRANSFER_ENCODING));
    let lengths = headers.filter(|header| is_named(header, CONTENT_LENGTH));
    let mut lengths =
        lengths.filter_map(|header| header.field()).map(|(_, value)| decimal(trimmed(value)));
    let first = lengths.next().flatten();
    match (first.is_some() && lengths.all(|length| length == first), has_coding) {
        (false, _) => usize::MAX,
        (true, true) => 0,
        (true, false) => 1,
    }
}

fn request_line(first: &Line<'_>, out: &mut Vec<u8>) {
    let line = RequestLine::of(first.content);
    match line.version.filter(|_| line.padding.iter().all(is_space)) {
        None => out.extend_from_slice(first.content),
        Some(version) => {
            out.extend_from_slice(line.method);
            out.push(b' ');
            target(line.target, out);
            let version = if raw::is_later_minor(version) { b"HTTP/1.1" } else { version };
            out.push(b' ');
            out.extend_from_slice(version);
        }
    }
    out.extend_from_slice(first.ending);
}

/// Percent-encodes what RFC 3986 does not let stand for itself. Other bytes than those of UTF-8 have no
/// meaning that is certain.
fn target(target: &[u8], out: &mut Vec<u8>) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    let target = without_spaces_around(target);
    let is_text = std::str::from_utf8(target).is_ok();
    for byte in target {
        if is_space(byte) || (is_text && !byte.is_ascii()) {
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        } else {
            out.push(*byte);
        }
    }
}

fn without_spaces_around(mut bytes: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether a header does not go on. Those that are refused in every mode are not left out: folded lines,
/// lines without a colon, blanks in a name, NUL and CR.
fn is_left_out(header: &Line<'_>) -> bool {
    let Some((name, value)) = header.field() else { return false };
    let is_refused = header.content.iter().any(|byte| matches!(byte, b'\0' | b'\r'));
    if is_refused || name.iter().any(is_blank) {
        return false;
    }
    let is_lookalike = taken_for(name).is_some_and(|framing| !name.eq_ignore_ascii_case(framing));
    is_lookalike
        || !name.iter().all(|byte| is_token(*byte))
        || name.is_empty()
        || (value.iter().any(is_control) && !is_read_here(name))
}

/// Whether the node itself goes by this header: then it is good, or the request is refused.
fn is_read_here(name: &[u8]) -> bool {
    match std::str::from_utf8(name).map_or(Known::Other, known) {
        Known::Host
        | Known::ContentLength
        | Known::TransferEncoding
        | Known::Connection
        | Known::Expect => true,
        Known::HopByHop
        | Known::Te
        | Known::Trailer
        | Known::ForwardedFor
        | Known::Forwarded
        | Known::TraceId
        | Known::FramingLookalike
        | Known::ForwardedLookalike
        | Known::Other => false,
    }
}

fn is_named(header: &Line<'_>, name: &[u8]) -> bool {
    header.field().is_some_and(|(field, _)| field.eq_ignore_ascii_case(name))
}
