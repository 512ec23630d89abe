//! How long a body is: Content-Length and Transfer-Encoding, and nothing between them.
//!
//! Pure. `head` shows each framing header of a message as it meets it, then asks for the verdict.
//! Source: RFC 9112, sections 6.1 to 6.3; where those let a recipient choose, the message is refused.
#![deny(clippy::indexing_slicing)]
use super::malformed::Malformed;
use super::message::{Body, Version};

/// The framing headers of one message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Framing {
    content_length: Option<u64>,
    chunked: bool,
}

impl Framing {
    /// Adds a Content-Length. RFC 9110, section 8.6: `1*DIGIT`; no list, no sign.
    pub(super) fn content_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let length = decimal(value).ok_or(Malformed::BadContentLength)?;
        match self.content_length.replace(length) {
            None => Ok(()),
            Some(earlier) if earlier == length => Err(Malformed::DuplicateContentLength),
            Some(_) => Err(Malformed::MultipleContentLength),
        }
    }

    /// Adds a Transfer-Encoding, which is `chunked` and nothing else.
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.chunked {
            return Err(Malformed::MultipleTransferEncoding);
        }
        self.chunked = value.eq_ignore_ascii_case(b"chunked");
        if self.chunked { Ok(()) } else { Err(Malformed::BadTransferEncoding) }
    }

    /// The body that the headers announce; none when there are none.
    pub(super) fn body(self, version: Version) -> Result<Option<Body>, Malformed> {
        match (self.chunked, self.content_length, version) {
            (true, Some(_), _) => Err(Malformed::BothTeClPresent),
            // RFC 9112, section 6.1: "A server or client that receives an HTTP/1.0 message containing a
            // Transfer-Encoding header field MUST treat the message as if the framing is faulty".
            (true, None, Version::Http10) => Err(Malformed::TransferEncodingInHttp10),
            (true, None, Version::Http11 | Version::Http2) => Ok(Some(Body::Chunked)),
            (false, length, _) => Ok(length.map(Body::Length)),
        }
    }
}

/// A number of digits alone, within 63 bits: targets whose lengths are signed would read another one.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    number.filter(|number| i64::try_from(*number).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9110, section 8.6; hyper's RUSTSEC-2021-0078 (`+`) and CVE-2023-40225 (empty).
    #[test]
    fn a_length_is_digits_alone_within_63_bits() {
        for (value, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("007", Some(7)),
            ("9223372036854775807", Some((1 << 63) - 1)),
            ("9223372036854775808", None),
            ("18446744073709551615", None),
            ("18446744073709551617", None),
            ("99999999999999999999", None),
            ("", None),
            ("+7", None),
            ("-7", None),
            ("7 ", None),
            ("7,7", None),
            ("7, 7", None),
            ("0x7", None),
            ("7e1", None),
            ("7.0", None),
            ("\u{0667}", None),
        ] {
            assert_eq!(decimal(value.as_bytes()), expected, "{value:?}");
        }
    }
}
