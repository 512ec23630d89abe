//! What is asked for: the same request each time, written once.
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};

/// A request, in the forms in which it is sent.
#[derive(Debug)]
pub(crate) struct Asked {
    method: Method,
    body: Bytes,
    /// The statuses that are right; none for every 2xx.
    expected: Vec<u16>,
    http1: Bytes,
    http1_last: Bytes,
    http2: Request<()>,
}

/// How it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Method {
    #[value(name = "GET")]
    Get,
    #[value(name = "HEAD")]
    Head,
    #[value(name = "POST")]
    Post,
    #[value(name = "PUT")]
    Put,
    #[value(name = "PATCH")]
    Patch,
    #[value(name = "DELETE")]
    Delete,
    #[value(name = "OPTIONS")]
    Options,
}

impl Asked {
    /// * `host`: the Host, unless `headers` has one.
    /// * `path`: begins with `/`.
    /// * `body`: the content; empty for a method that has none.
    /// * `expected`: the statuses that are right; none for every 2xx.
    ///
    /// # Errors
    /// When host and path are none.
    pub(crate) fn new(
        method: Method,
        host: &str,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
        expected: Vec<u16>,
    ) -> Result<Self, String> {
        let mut all = HeaderMap::new();
        let host = HeaderValue::from_str(host).map_err(|_| format!("{host}: no Host"))?;
        all.insert(header::HOST, host);
        for (name, value) in headers {
            if name == header::HOST {
                all.insert(name, value.clone());
            } else {
                all.append(name, value.clone());
            }
        }
        // RFC 9110, section 8.6: a method that means its content says so of none, too.
        if !body.is_empty() || matches!(method, Method::Post | Method::Put | Method::Patch) {
            all.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let write = |more| Bytes::from(http1(method, path, &all, more, &body));
        let (http1, http1_last) = (write(""), write("connection: close\r\n"));
        let http2 =
            http2(method, path, all).map_err(|error| format!("Host and --path: {error}"))?;
        Ok(Self { method, body, expected, http1, http1_last, http2 })
    }

    /// The whole request by HTTP/1.1; `is_last` tells the server that no other follows.
    pub(super) fn http1(&self, is_last: bool) -> &[u8] {
        if is_last { &self.http1_last } else { &self.http1 }
    }

    /// The head of the request by HTTP/2.
    pub(super) fn http2(&self) -> Request<()> {
        self.http2.clone()
    }

    pub(crate) fn content_bytes(&self) -> usize {
        self.body.len()
    }

    /// What follows the head by HTTP/2.
    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether an answer has no content, whatever its head says (RFC 9110, section 9.3.2).
    pub(super) fn is_head(&self) -> bool {
        self.method == Method::Head
    }

    /// Whether this is a status that is right.
    pub(super) fn expects(&self, status: u16) -> bool {
        if self.expected.is_empty() {
            (200..300).contains(&status)
        } else {
            self.expected.contains(&status)
        }
    }
}

impl Method {
    /// Whether a request has content. That of a GET or a HEAD has no meaning (RFC 9110, section 9.3.1).
    pub(crate) fn has_content(self) -> bool {
        !matches!(self, Self::Get | Self::Head)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

fn http1(method: Method, path: &str, headers: &HeaderMap, more: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!("{} {path} HTTP/1.1\r\n", method.name()).into_bytes();
    for (name, value) in headers {
        request.extend_from_slice(name.as_str().as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(more.as_bytes());
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    request
}

fn http2(method: Method, path: &str, headers: HeaderMap) -> Result<Request<()>, http::Error> {
    let host = headers.get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let uri = http::Uri::builder().scheme("https").authority(host).path_and_query(path).build()?;
    let mut request = Request::builder().method(method.name()).uri(uri).body(())?;
    *request.headers_mut() = headers;
    // RFC 9113, section 8.3.1: the authority says it.
    request.headers_mut().remove(header::HOST);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, headers: &[(&'static str, &'static str)]) -> Asked {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let body = Bytes::from_static(if method.has_content() { b"abc" } else { b"" });
        Asked::new(method, "a.example", "/p?q", &headers.collect::<Vec<_>>(), body, vec![]).unwrap()
    }

    #[test]
    fn a_get_has_no_body_and_the_last_one_says_so() {
        let asked = asked(Method::Get, &[("x-a", "1"), ("x-a", "2")]);
        let whole = "GET /p?q HTTP/1.1\r\nhost: a.example\r\nx-a: 1\r\nx-a: 2\r\n";
        assert_eq!(asked.http1(false), format!("{whole}\r\n").as_bytes());
        assert_eq!(asked.http1(true), format!("{whole}connection: close\r\n\r\n").as_bytes());
        assert!(asked.body().is_empty());
    }

    #[test]
    fn a_post_has_as_many_bytes_as_it_says() {
        let asked = asked(Method::Post, &[]);
        assert!(asked.http1(false).ends_with(b"content-length: 3\r\n\r\nabc"));
        assert_eq!(asked.http2().headers()["content-length"], "3");
    }

    #[test]
    fn a_host_that_is_given_counts_by_either_protocol() {
        let asked = asked(Method::Get, &[("host", "b.example")]);
        assert!(asked.http1(false).starts_with(b"GET /p?q HTTP/1.1\r\nhost: b.example\r\n\r\n"));
        let request = asked.http2();
        assert_eq!(request.uri(), "https://b.example/p?q");
        assert!(!request.headers().contains_key("host"));
    }

    #[test]
    fn a_status_is_right_when_it_was_asked_for() {
        assert!(asked(Method::Get, &[]).expects(204) && !asked(Method::Get, &[]).expects(301));
        let moved = Asked::new(Method::Get, "a", "/", &[], Bytes::new(), vec![301]).unwrap();
        assert!(moved.expects(301) && !moved.expects(200));
    }
}
