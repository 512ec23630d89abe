//! A request's head that came by HTTP/2, as [`head::Request`], and the one that an HTTP/2 target gets.
//!
//! Bounds: those of HTTP/1.1's heads; pseudo-headers count (`threats.md`, CVE-2026-73550).
#![deny(clippy::indexing_slicing)]
use super::{fields_bytes, keep_secrets, line_bytes};
use crate::http::attributes::Attributes;
use crate::http::forward::InvalidNames;
use crate::http::head::{self, Body, Connection, Header, Malformed, Request, Version};
use crate::http::identity::Forbidden;
use crate::http::{forward, host, target};
use crate::limits::{HEADER_BYTES_MAX, REQUEST_HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Uri};

/// The head, checked. `fields` are those of `parts`; `ended` says that no content follows.
///
/// # Errors
/// [`Malformed`], as of HTTP/1.1; the stream is answered with its status.
pub fn checked<'h, 'b>(
    parts: &'b Parts,
    fields: &'h [Header<'b>],
    ended: bool,
) -> Result<Request<'h, 'b>, Malformed> {
    let longest = fields.iter().map(line_bytes).max().unwrap_or_default();
    // Crumbs of a cookie are one line for a target (RFC 9113, section 8.2.3).
    let cookie = fields.iter().filter(|field| field.name == "cookie").map(line_bytes).sum();
    if longest.max(cookie) > HEADER_BYTES_MAX {
        return Err(Malformed::HeaderTooLong);
    }
    let method = parts.method.as_str();
    let target = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    let line_length = line_length(parts);
    if line_length > REQUEST_LINE_BYTES_MAX {
        return Err(Malformed::RequestLineTooLong);
    }
    let length = line_length + fields.iter().map(line_bytes).sum::<usize>();
    if length > REQUEST_HEAD_BYTES_MAX {
        return Err(Malformed::HeadTooLong);
    }
    judge_by_http2(method, authority, fields)?;
    head::judge_method(method)?;
    let parsed = target::parse(method, target)?;
    // RFC 9113, section 8.3.1: ":path" is never in absolute form.
    if parsed.authority.is_some() {
        return Err(Malformed::BadUri);
    }
    let said = head::Said::by_request(fields)?;
    let host = match (authority, said.host) {
        (None, None) => return Err(Malformed::MissingHost),
        (None, Some(host)) => host,
        (Some(authority), said) => {
            let authority = host::valid(authority.as_bytes()).ok_or(Malformed::BadHost)?;
            // RFC 9113, section 8.3.1: a Host field that "identifies an entity that differs from" it makes
            // a request malformed; "The values of fields need to be normalized to compare them".
            let port = default_port(&parts.uri);
            if said.is_some_and(|host| !host::are_same(authority, host, port)) {
                return Err(Malformed::BreaksHttp2);
            }
            authority
        }
    };
    let announced = said.framing.body(Version::Http2)?;
    let body = match announced {
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
        // Frames say how long a message is: what is left of ALB's classes is content of GET and HEAD, which
        // is about the message that a target gets.
        class_reason: head::class_reason(method, announced.unwrap_or(body)),
        sent: None,
        // A target may leave the content of these unread (RFC 9110, section 9.3.1): on a kept connection
        // it would be the beginning of another client's request.
        closes: matches!(method, "GET" | "HEAD") && !matches!(body, Body::Empty | Body::Length(0)),
        length,
    })
}

/// What a head counts in the access log, be it good or not: fields as lines of HTTP/1.1 do, pseudo-headers by
/// their values.
pub fn length(parts: &Parts) -> u64 {
    line_length(parts) as u64 + fields_bytes(&parts.headers)
}

fn line_length(parts: &Parts) -> usize {
    let target = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
    parts.method.as_str().len() + target.len() + authority.len()
}

/// The port of those schemes that have one (RFC 9110, section 4.2).
fn default_port(uri: &Uri) -> Option<u16> {
    match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        Some(_) | None => None,
    }
}

/// What makes a request malformed in HTTP/2 alone and passes the crate.
fn judge_by_http2(
    method: &str,
    authority: Option<&str>,
    fields: &[Header<'_>],
) -> Result<(), Malformed> {
    // RFC 9113, section 8.2.1: "A field value MUST NOT start or end with an ASCII whitespace character".
    let is_bare = |field: &Header<'_>| field.value.trim_ascii().len() == field.value.len();
    // Section 8.5: a CONNECT without ":authority" is malformed; any other is merely not offered.
    let has_target = method != "CONNECT" || authority.is_some();
    let is_well = has_target && fields.iter().all(is_bare);
    if is_well { Ok(()) } else { Err(Malformed::BreaksHttp2) }
}

/// The head that an HTTP/2 target gets: pseudo-headers anew, then what the rules write; and what became of
/// headers with invalid names. None where HTTP/2 has no way to say it.
///
/// * `parts`: what `request` was read from.
pub fn onward(
    parts: &Parts,
    request: &Request<'_, '_>,
    client: &forward::Client<'_>,
    attributes: &Attributes,
    forbidden: &Forbidden,
) -> Option<(http::Request<()>, Option<InvalidNames>)> {
    let mut authority = Vec::new();
    forward::host(&mut authority, request, client, attributes);
    let uri = Uri::builder()
        .scheme("http")
        .authority(authority.as_slice())
        .path_and_query([request.path, request.query].concat());
    let mut fields = HeaderMap::with_capacity(request.headers.len() + ADDED_FIELDS);
    let invalid_names = forward::request_lines(&mut fields, request, client, attributes, forbidden);
    if let Body::Length(length) = request.body {
        fields.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if request.takes_trailers {
        // RFC 9113, section 8.2.2: TE "MUST NOT contain any value other than "trailers"".
        fields.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    keep_secrets(&parts.headers, &mut fields);
    let mut onward = http::Request::new(());
    *onward.method_mut() = parts.method.clone();
    *onward.uri_mut() = uri.build().ok()?;
    *onward.version_mut() = http::Version::HTTP_2;
    *onward.headers_mut() = fields;
    Some((onward, invalid_names))
}

/// Room for what the rules add.
const ADDED_FIELDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h2::fields;
    use crate::limits::HEADERS_MAX;

    fn parts(build: impl FnOnce(http::request::Builder) -> http::request::Builder) -> Parts {
        let request = build(http::Request::builder().version(http::Version::HTTP_2));
        request.body(()).unwrap().into_parts().0
    }

    fn read(parts: &Parts, ended: bool) -> Result<(String, String, Body), Malformed> {
        let fields = fields(&parts.headers)?;
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
            ("https://a.example/", Some("b.example"), Err(Malformed::BreaksHttp2)),
            ("https://a.example/", Some("a.example:443"), Ok("a.example")),
            ("https://a.example:443/", Some("a.example"), Ok("a.example:443")),
            ("http://a.example/", Some("a.example:80"), Ok("a.example")),
            ("https://a.example/", Some("a.example:80"), Err(Malformed::BreaksHttp2)),
            ("https://a.example/", Some("a.example:8443"), Err(Malformed::BreaksHttp2)),
            ("https://user@a.example/", None, Err(Malformed::BadHost)),
            ("https://user@a.example/", Some("a.example"), Err(Malformed::BadHost)),
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
    fn a_value_has_no_blanks_around_it() {
        for value in [" a", "a ", "\ta", "a\t", " "] {
            let parts = parts(|request| request.uri("https://a/").header("x", value));
            assert_eq!(read(&parts, true), Err(Malformed::BreaksHttp2), "{value:?}");
        }
        let parts = parts(|request| request.uri("https://a/").header("x", "a b").header("y", ""));
        assert!(read(&parts, true).is_ok());
    }

    #[test]
    fn limits_are_those_of_http_1_and_count_pseudo_headers() {
        let long = |bytes: usize| "a".repeat(bytes);
        let path =
            parts(|request| request.uri(format!("https://a/{}", long(REQUEST_LINE_BYTES_MAX))));
        assert_eq!(read(&path, true), Err(Malformed::RequestLineTooLong));
        let header = parts(|request| request.uri("https://a/").header("x", long(HEADER_BYTES_MAX)));
        assert_eq!(read(&header, true), Err(Malformed::HeaderTooLong));
        let crumbs = parts(|request| {
            let half = long(HEADER_BYTES_MAX / 2);
            request.uri("https://a/").header("cookie", &half).header("cookie", &half)
        });
        assert_eq!(read(&crumbs, true), Err(Malformed::HeaderTooLong));
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
        let connect = parts(|request| request.method("CONNECT").uri("a:443"));
        assert_eq!(read(&connect, true), Err(Malformed::ConnectMethod));
        let connect = parts(|request| request.method("CONNECT").uri("/"));
        assert_eq!(read(&connect, true), Err(Malformed::BreaksHttp2));
        let asterisk = parts(|request| request.method("OPTIONS").uri("*").header("host", "a"));
        assert_eq!(read(&asterisk, true).unwrap().1, "*");
        let asterisk = parts(|request| request.method("GET").uri("*").header("host", "a"));
        assert!(read(&asterisk, true).is_err());
    }
}
