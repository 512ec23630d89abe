//! A response's head that came by HTTP/2, as [`head::Response`].
//!
//! Bounds: those of HTTP/1.1's heads.
#![deny(clippy::indexing_slicing)]
use super::line_bytes;
use crate::http::head::{self, Body, Connection, Header, Malformed, Response};
use crate::limits::RESPONSE_HEAD_BYTES_MAX;
use http::StatusCode;

/// The head, checked.
///
/// * `fields`: its fields.
/// * `ended`: whether no content follows.
///
/// # Errors
/// [`Malformed`]; the client gets 502.
pub fn checked<'h, 'b>(
    status: StatusCode,
    fields: &'h [Header<'b>],
    ended: bool,
) -> Result<Response<'h, 'b>, Malformed> {
    let length = fields.iter().map(line_bytes).sum();
    if length > RESPONSE_HEAD_BYTES_MAX {
        return Err(Malformed::HeadTooLong);
    }
    // RFC 9113, section 8.6: "HTTP/2 removes support for the 101 (Switching Protocols) informational
    // status code".
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Malformed::UnexpectedUpgrade);
    }
    let body = match head::length_of_response(fields)? {
        _ if ended || status.is_informational() => Body::Empty,
        Some(length) => Body::Length(length),
        None => Body::Chunked,
    };
    Ok(Response {
        status: status.as_u16(),
        phrase: "",
        headers: fields,
        connection: Connection::default(),
        body,
        keep_alive: true,
        length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h2::fields;
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn read(status: u16, lines: &[(&'static str, &str)], ended: bool) -> Result<Body, Malformed> {
        let lines = lines.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        let headers: HeaderMap = lines.collect();
        let fields = fields(&headers)?;
        checked(StatusCode::from_u16(status).unwrap(), &fields, ended).map(|read| read.body)
    }

    #[test]
    fn a_length_is_kept_where_content_follows() {
        let length = ("content-length", "5");
        assert_eq!(read(200, &[length], false), Ok(Body::Length(5)));
        assert_eq!(read(200, &[length], true), Ok(Body::Empty));
        assert_eq!(read(200, &[], false), Ok(Body::Chunked));
        assert_eq!(read(103, &[], false), Ok(Body::Empty));
        assert!(read(200, &[("content-length", "5, 6")], false).is_err());
    }

    #[test]
    fn what_is_over_a_limit_or_no_http_2_is_refused() {
        let long = "a".repeat(RESPONSE_HEAD_BYTES_MAX);
        assert_eq!(read(200, &[("x", &long)], false), Err(Malformed::HeadTooLong));
        assert_eq!(read(101, &[], false), Err(Malformed::UnexpectedUpgrade));
    }
}
