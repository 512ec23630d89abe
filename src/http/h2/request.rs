//! A request's head that came by HTTP/2, as [`head::Request`].
//!
//! Bounds: those of HTTP/1.1's heads; pseudo-headers count (`threats.md`, CVE-2026-73550).
#![deny(clippy::indexing_slicing)]
use crate::http::head::{self, Body, Connection, Header, Malformed, Request, Version};
use crate::http::{host, target};
use crate::limits::{
    HEADER_BYTES_MAX, HEADERS_MAX, REQUEST_HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX,
};
use http::request::Parts;

/// The fields of a head in their order.
///
/// # Errors
/// [`Malformed::TooManyHeaders`], and too long ones.
pub fn fields(parts: &Parts) -> Result<Vec<Header<'_>>, Malformed> {
    if parts.headers.len() > HEADERS_MAX {
        return Err(Malformed::TooManyHeaders);
    }
    let fields: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| Header { name: name.as_str(), value: value.as_bytes() })
        .collect();
    let longest = fields.iter().map(line_bytes).max();
    if longest.is_some_and(|bytes| bytes > HEADER_BYTES_MAX) {
        return Err(Malformed::HeaderTooLong);
    }
    Ok(fields)
}

/// The head, checked. `fields` are those of `parts`; `ended` says that no content follows.
///
/// # Errors
/// [`Malformed`], as of HTTP/1.1; the stream is answered with its status.
pub fn checked<'h, 'b>(
    parts: &'b Parts,
    fields: &'h [Header<'b>],
    ended: bool,
) -> Result<Request<'h, 'b>, Malformed> {
    let method = parts.method.as_str();
    let target = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    let line_length = method.len() + target.len() + authority.map_or(0, str::len);
    if line_length > REQUEST_LINE_BYTES_MAX {
        return Err(Malformed::RequestLineTooLong);
    }
    let length = line_length + fields.iter().map(line_bytes).sum::<usize>();
    if length > REQUEST_HEAD_BYTES_MAX {
        return Err(Malformed::HeadTooLong);
    }
    head::judge_method(method)?;
    let parsed = target::parse(method, target)?;
    // RFC 9113, section 8.3.1: ":path" is never in absolute form.
    if parsed.authority.is_some() {
        return Err(Malformed::BadUri);
    }
    let said = head::Said::by_request(fields)?;
    let host = match (authority, said.host) {
        (None, None) => return Err(Malformed::MissingHost),
        // RFC 9113, section 8.3.1: a Host field that "identifies an entity that differs from" it makes
        // a request malformed.
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            return Err(Malformed::MultipleHost);
        }
        (Some(authority), _) => host::valid(authority.as_bytes()).ok_or(Malformed::BadHost)?,
        (None, Some(host)) => host,
    };
    let body = match said.framing.body(Version::Http2)? {
        _ if ended => Body::Empty,
        Some(body) => body,
        None => Body::Chunked,
    };
    Ok(Request {
        method,
        target,
        path: parsed.path,
        query: parsed.query,
        version: Version::Http2,
        headers: fields,
        host: Some(host),
        trace_id: said.trace_id,
        takes_trailers: said.takes_trailers,
        connection: Connection::default(),
        body,
        keep_alive: true,
        // ALB ignores it here, and does not pass it on (`alb-contract.md`, section 6.1).
        expects_continue: false,
        length,
    })
}

/// What a field counts: as a line of HTTP/1.1 does.
fn line_bytes(field: &Header<'_>) -> usize {
    field.name.len() + field.value.len() + ": \r\n".len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(build: impl FnOnce(http::request::Builder) -> http::request::Builder) -> Parts {
        let request = build(http::Request::builder().version(http::Version::HTTP_2));
        request.body(()).unwrap().into_parts().0
    }

    fn read(parts: &Parts, ended: bool) -> Result<(String, String, Body), Malformed> {
        let fields = fields(parts)?;
        let request = checked(parts, &fields, ended)?;
        let whole = format!("{}{}", request.path, request.query);
        Ok((request.host.unwrap_or_default().to_owned(), whole, request.body))
    }

    #[test]
    fn a_request_is_what_it_is_by_http_1() {
        let parts = parts(|request| {
            request.method("POST").uri("https://api.example.com/a/b?c=d").header("x", "y")
        });
        let expected = ("api.example.com".to_owned(), "/a/b?c=d".to_owned(), Body::Chunked);
        assert_eq!(read(&parts, false), Ok(expected.clone()));
        assert_eq!(read(&parts, true), Ok((expected.0, expected.1, Body::Empty)));
    }

    #[test]
    fn a_length_is_kept_and_two_that_differ_are_refused() {
        let one = parts(|request| request.uri("https://a/").header("content-length", "5"));
        assert_eq!(read(&one, false).unwrap().2, Body::Length(5));
        let two = parts(|request| {
            request.uri("https://a/").header("content-length", "5").header("content-length", "6")
        });
        assert!(read(&two, false).is_err());
        let bad = parts(|request| request.uri("https://a/").header("content-length", "+5"));
        assert!(read(&bad, false).is_err());
    }

    #[test]
    fn the_authority_is_the_host_and_another_host_is_refused() {
        for (authority, host, expected) in [
            ("https://a.example/", Some("A.example"), Ok("a.example")),
            ("https://a.example/", Some("b.example"), Err(Malformed::MultipleHost)),
            ("https://user@a.example/", None, Err(Malformed::BadHost)),
            ("/", Some("b.example"), Ok("b.example")),
            ("/", None, Err(Malformed::MissingHost)),
        ] {
            let parts = parts(|request| {
                let request = request.uri(authority);
                match host {
                    Some(host) => request.header("host", host),
                    None => request,
                }
            });
            let read = read(&parts, true).map(|read| read.0);
            assert_eq!(read, expected.map(str::to_owned), "{authority} {host:?}");
        }
    }

    #[test]
    fn limits_are_those_of_http_1_and_count_pseudo_headers() {
        let long = |bytes: usize| "a".repeat(bytes);
        let path =
            parts(|request| request.uri(format!("https://a/{}", long(REQUEST_LINE_BYTES_MAX))));
        assert_eq!(read(&path, true), Err(Malformed::RequestLineTooLong));
        let header = parts(|request| request.uri("https://a/").header("x", long(HEADER_BYTES_MAX)));
        assert_eq!(read(&header, true), Err(Malformed::HeaderTooLong));
        let many = parts(|request| {
            (0..=HEADERS_MAX).fold(request.uri("https://a/"), |request, _| request.header("x", "y"))
        });
        assert_eq!(read(&many, true), Err(Malformed::TooManyHeaders));
        let much = parts(|request| {
            (0..8).fold(request.uri(format!("https://a/{}", long(8_000))), |request, _| {
                request.header("x", long(8_000))
            })
        });
        assert_eq!(read(&much, true), Err(Malformed::HeadTooLong));
    }

    #[test]
    fn methods_and_targets_are_judged_as_in_http_1() {
        let trace = parts(|request| request.method("TRACE").uri("https://a/"));
        assert_eq!(read(&trace, true), Err(Malformed::TraceMethod));
        let asterisk = parts(|request| request.method("OPTIONS").uri("*").header("host", "a"));
        assert_eq!(read(&asterisk, true).unwrap().1, "*");
        let asterisk = parts(|request| request.method("GET").uri("*").header("host", "a"));
        assert!(read(&asterisk, true).is_err());
    }
}
