//! Header names: those that the node itself reads, writes or removes.
//!
//! Pure, no allocation; called for each header of each message.
//! Targets behind CGI, WSGI and their kin see `-` and `_` (some: any punctuation) as one character, so
//! a name that only *folds* to an important one is told apart from both it and all others.

/// What a header is to the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Known {
    /// `Host`
    Host,
    /// `Content-Length`
    ContentLength,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Connection`
    Connection,
    /// `Expect`
    Expect,
    /// `TE`
    Te,
    /// `Trailer`
    Trailer,
    /// Meant for this hop alone, whether Connection says so or not.
    HopByHop,
    /// `X-Forwarded-For`
    ForwardedFor,
    /// `X-Forwarded-Proto`, `X-Forwarded-Port`: written anew.
    Forwarded,
    /// `X-Amzn-Trace-Id`
    TraceId,
    /// Folds to Content-Length or Transfer-Encoding without being it.
    FramingLookalike,
    /// Folds to one of X-Forwarded-*, or to X-Amzn-Trace-Id, without being it.
    ForwardedLookalike,
    /// None of these.
    Other,
}

/// What a header of this name is. Most names differ from all others of their length in the first byte.
pub(super) fn known(name: &str) -> Known {
    let candidates = BY_LENGTH.get(name.len()).copied().unwrap_or_default();
    let begins_alike = |candidate: &str| match (name.as_bytes(), candidate.as_bytes()) {
        ([first, ..], [folded, ..]) => fold(*first) == *folded,
        _ => false,
    };
    for (candidate, known) in candidates.iter().filter(|(candidate, _)| begins_alike(candidate)) {
        if is_same(name, candidate) {
            return *known;
        }
        if folds_to(name, candidate) {
            return lookalike(*known);
        }
    }
    if is_long_lookalike(name.as_bytes()) { Known::FramingLookalike } else { Known::Other }
}

/// Whether a name is this one, of the same length, in any case. Words at a time: many a message has several such.
fn is_same(name: &str, lower: &str) -> bool {
    let mut room = [0; BY_LENGTH.len()];
    room[..name.len()].copy_from_slice(name.as_bytes());
    room.make_ascii_lowercase();
    room[..name.len()] == *lower.as_bytes()
}

/// Whether a name that is longer than those of framing could be taken for one of them. The first
/// character tells, but for very few.
fn is_long_lookalike(name: &[u8]) -> bool {
    match name {
        [b'c' | b'C' | b't' | b'T', ..] => {
            name.len() > CONTENT_LENGTH.len() && taken_for(name).is_some()
        }
        [first, ..] if !first.is_ascii_alphanumeric() => taken_for(name).is_some(),
        _ => false,
    }
}

/// The framing header that a name is, or could be taken for by a reader that looks at its letters and
/// digits alone, or makes capitals of letters outside ASCII.
///
/// Source: `alb-contract.md`, section 2.4 (`SuspiciousHeader`).
pub(super) fn taken_for(name: &[u8]) -> Option<&'static [u8]> {
    [CONTENT_LENGTH, TRANSFER_ENCODING].into_iter().find(|framing| {
        let letters_alone = framing.iter().copied().filter(u8::is_ascii_alphabetic);
        name.len() >= framing.len() && letters(name).eq(letters_alone)
    })
}

/// In lower case.
pub(super) const CONTENT_LENGTH: &[u8] = b"content-length";

/// In lower case.
pub(super) const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";

/// Letters and digits in lower case. The capitals of two letters outside ASCII are S and I.
fn letters(name: &[u8]) -> impl Iterator<Item = u8> {
    let mut bytes = name.iter().copied().peekable();
    std::iter::from_fn(move || {
        loop {
            match bytes.next()? {
                // U+017F and U+0131.
                0xc5 if bytes.next_if_eq(&0xbf).is_some() => return Some(b's'),
                0xc4 if bytes.next_if_eq(&0xb1).is_some() => return Some(b'i'),
                byte if byte.is_ascii_alphanumeric() => return Some(byte.to_ascii_lowercase()),
                _ => {}
            }
        }
    })
}

/// The names in lower case, by their length.
///
/// Source of the hop-by-hop ones: RFC 9110, section 7.6.1, and sections 11.7.1 and 11.7.2 for those of
/// a proxy that asks for credentials, which this node is not.
static BY_LENGTH: [&[(&str, Known)]; 20] = [
    &[],
    &[],
    &[("te", Known::Te)],
    &[],
    &[("host", Known::Host)],
    &[],
    &[("expect", Known::Expect)],
    &[("trailer", Known::Trailer), ("upgrade", Known::HopByHop)],
    &[],
    &[],
    &[("connection", Known::Connection), ("keep-alive", Known::HopByHop)],
    &[],
    &[],
    &[],
    &[("content-length", Known::ContentLength), ("http2-settings", Known::HopByHop)],
    &[("x-forwarded-for", Known::ForwardedFor), ("x-amzn-trace-id", Known::TraceId)],
    &[("x-forwarded-port", Known::Forwarded), ("proxy-connection", Known::HopByHop)],
    &[("transfer-encoding", Known::TransferEncoding), ("x-forwarded-proto", Known::Forwarded)],
    &[("proxy-authenticate", Known::HopByHop)],
    &[("proxy-authorization", Known::HopByHop)],
];

/// Whether ALB calls a name valid (`routing.http.drop_invalid_header_fields.enabled`): `[-A-Za-z0-9]+`.
pub(super) fn is_valid(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A letter in lower case, a digit as it is, anything else as `-`.
pub(super) fn fold(byte: u8) -> u8 {
    FOLDED[usize::from(byte)]
}

static FOLDED: [u8; 256] = {
    let mut folded = [b'-'; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            folded[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    folded
};

/// Whether `name` is `folded` to a reader that folds.
pub(super) fn folds_to(name: &str, folded: &str) -> bool {
    name.bytes().map(fold).eq(folded.bytes())
}

const fn lookalike(known: Known) -> Known {
    match known {
        Known::ContentLength | Known::TransferEncoding | Known::FramingLookalike => {
            Known::FramingLookalike
        }
        Known::ForwardedFor | Known::Forwarded | Known::TraceId | Known::ForwardedLookalike => {
            Known::ForwardedLookalike
        }
        Known::Host
        | Known::Connection
        | Known::Expect
        | Known::Te
        | Known::Trailer
        | Known::HopByHop
        | Known::Other => Known::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_at_its_length() {
        for (length, candidates) in BY_LENGTH.iter().enumerate() {
            assert!(candidates.iter().all(|(name, _)| name.len() == length), "{length}");
        }
    }

    #[test]
    fn letters_digits_and_hyphens_make_a_valid_name() {
        for valid in ["a", "X-Request-Id", "HTTP2-Settings", "-", "0"] {
            assert!(is_valid(valid), "{valid}");
        }
        for invalid in ["", "x_request_id", "X.Id", "a!", "a b", "$", "~a", "a:", "caf\u{e9}"] {
            assert!(!is_valid(invalid), "{invalid}");
        }
    }

    #[test]
    fn names_are_known_in_any_case_and_lookalikes_are_not_them() {
        for (name, expected) in [
            ("Host", Known::Host),
            ("hOST", Known::Host),
            ("Content-Length", Known::ContentLength),
            ("CONTENT-LENGTH", Known::ContentLength),
            ("Content_Length", Known::FramingLookalike),
            ("transfer_encoding", Known::FramingLookalike),
            ("Transfer.Encoding", Known::FramingLookalike),
            ("Transfer-Encoding", Known::TransferEncoding),
            ("Transfer-Encodin", Known::Other),
            ("Transfer-Encodings", Known::Other),
            ("Transfer--Encoding", Known::FramingLookalike),
            ("-Content-Length", Known::FramingLookalike),
            ("content-length.", Known::FramingLookalike),
            ("X-Content-Length", Known::Other),
            ("Content-Security-Policy", Known::Other),
            ("x_forwarded_for", Known::ForwardedLookalike),
            ("X-Forwarded_Proto", Known::ForwardedLookalike),
            ("X-Forwarded-For", Known::ForwardedFor),
            ("x-forwarded-proto", Known::Forwarded),
            ("X-FORWARDED-PORT", Known::Forwarded),
            ("X-Forwarded-Host", Known::Other),
            ("x-amzn-trace-id", Known::TraceId),
            ("X_Amzn_Trace_Id", Known::ForwardedLookalike),
            ("Keep-Alive", Known::HopByHop),
            ("Keep_Alive", Known::Other),
            ("TE", Known::Te),
            ("Trailer", Known::Trailer),
            ("Upgrade", Known::HopByHop),
            ("HTTP2-Settings", Known::HopByHop),
            ("Proxy-Connection", Known::HopByHop),
            ("Proxy-Authenticate", Known::HopByHop),
            ("Proxy-Authorization", Known::HopByHop),
            ("Expect", Known::Expect),
            ("Connection", Known::Connection),
            ("Accept", Known::Other),
            ("", Known::Other),
        ] {
            assert_eq!(known(name), expected, "{name}");
        }
    }
}
