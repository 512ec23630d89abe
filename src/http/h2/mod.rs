//! HTTP/2: a request's head checked as one of HTTP/1.1 is, answers as the `h2` crate takes them, and the
//! count of frames.
//!
//! Pure. `shard::http2` drives the crate, which has judged what makes a message malformed in HTTP/2
//! itself (RFC 9113, section 8.1.1): pseudo-headers, connection-specific fields, upper case, a length that
//! is not that of the content. Everything else is judged here, by the rules of [`super::head`].
//! Source: RFC 9113, section 8.
pub mod answer;
pub mod frames;
pub mod request;

use super::lines_out::Lines;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields of an HTTP/2 message; names become lower case.
impl Lines for HeaderMap {
    fn line(&mut self, name: &str, value: &[u8]) {
        let field = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value));
        let (Ok(name), Ok(value)) = field else {
            debug_assert!(false, "a line was checked before it is written");
            return;
        };
        self.append(name, value);
    }
}
