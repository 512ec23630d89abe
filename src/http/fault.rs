//! What is wrong with a head that httparse refused: its error, made precise.
//!
//! Pure. `head` calls it once for a refused message, never for a good one. That the message is refused
//! is settled; only the status and the word depend on what is found here.
#![deny(clippy::indexing_slicing)]
use super::lines::has_bare_cr;
use super::malformed::Malformed;
use httparse::Error;

/// The fault of a refused request head. `None` when its first line has no end yet, and what is still to
/// come decides which fault it is: unless a CR in it ends no line.
#[cold]
pub(super) fn of_request(head: &[u8], error: Error) -> Option<Malformed> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let first_is_whole = first.len() < head.len();
    match error {
        Error::TooManyHeaders => Some(Malformed::TooManyHeaders),
        Error::Token => Some(of_method_or_target(first)),
        Error::Version | Error::NewLine | Error::Status if first_is_whole => {
            Some(of_version(first))
        }
        Error::Version | Error::NewLine | Error::Status => {
            has_bare_cr(first).then_some(Malformed::BareCr)
        }
        Error::HeaderName | Error::HeaderValue => Some(of_headers(lines)),
    }
}

/// The fault of a refused response head.
#[cold]
pub(super) fn of_response(head: &[u8], error: Error) -> Malformed {
    match error {
        Error::TooManyHeaders => Malformed::TooManyHeaders,
        Error::HeaderName | Error::HeaderValue => {
            of_headers(head.split(|byte| *byte == b'\n').skip(1))
        }
        Error::NewLine => Malformed::BareCr,
        Error::Token | Error::Version | Error::Status => Malformed::BadStatus,
    }
}

/// The first byte that can stand neither in a method nor in a target tells.
fn of_method_or_target(line: &[u8]) -> Malformed {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let method_end = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
    let target = match line.split_at(method_end) {
        ([_, ..], [b' ', target @ ..]) => target,
        _ => return Malformed::BadMethod,
    };
    match target.iter().find(|byte| !byte.is_ascii_graphic()) {
        Some(b' ') => Malformed::SpaceInUri,
        Some(b'\0' | b'\r' | 0x80..) => Malformed::BadUri,
        Some(_) => Malformed::AmbiguousUri,
        None if target.is_empty() => Malformed::BadUri,
        // HTTP/0.9: a method, a target, and no more.
        None => Malformed::BadVersion,
    }
}

/// The first line has a method and a target; the version, or what follows it, is wrong.
fn of_version(line: &[u8]) -> Malformed {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    let version = words.next().unwrap_or_default();
    let more_words = words.next().is_some();
    match version {
        _ if version.contains(&b'\r') => Malformed::BareCr,
        _ if more_words => Malformed::SpaceInUri,
        // This line is good: it is the CR of the empty line that stands alone.
        b"HTTP/1.0" | b"HTTP/1.1" => Malformed::BareCr,
        // RFC 9112, section 2.3: HTTP-version = HTTP-name "/" DIGIT "." DIGIT
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Malformed::UnsupportedVersion
        }
        _ => Malformed::BadVersion,
    }
}

/// The fault of the first header line that has one.
fn of_headers<'b>(mut lines: impl Iterator<Item = &'b [u8]>) -> Malformed {
    lines.find_map(of_header).unwrap_or(Malformed::BadHeaderValue)
}

fn of_header(line: &[u8]) -> Option<Malformed> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let name_end = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
    match line.split_at(name_end) {
        ([], []) => None,
        ([], [b' ' | b'\t', ..]) => Some(Malformed::MultilineHeader),
        ([], [b':', ..]) => Some(Malformed::EmptyHeaderName),
        (_, [b':', value @ ..]) => of_value(value),
        (_, []) => Some(Malformed::MissingHeaderColon),
        (_, [b' ' | b'\t', ..]) => Some(Malformed::SpaceBeforeColon),
        (_, [b'\0', ..]) => Some(Malformed::Nul),
        (_, [b'\r', ..]) => Some(Malformed::BareCr),
        (_, [_, ..]) => Some(Malformed::BadHeaderName),
    }
}

fn of_value(value: &[u8]) -> Option<Malformed> {
    let control = value.iter().find(|byte| byte.is_ascii_control() && **byte != b'\t');
    control.map(|byte| match byte {
        b'\0' => Malformed::Nul,
        b'\r' => Malformed::BareCr,
        _ => Malformed::BadHeaderValue,
    })
}

/// RFC 9110, section 5.6.2: tchar.
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
