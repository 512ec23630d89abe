//! The request target: its three forms, and the path and query that go on.
//!
//! Pure. Source: RFC 9112, section 3.2.
#![deny(clippy::indexing_slicing)]
use super::host;
use super::malformed::Malformed;

/// A request target, taken apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Target<'b> {
    /// The authority of an absolute form.
    pub(super) authority: Option<&'b str>,
    /// The path, never empty; `*` for the server as a whole.
    pub(super) path: &'b str,
    /// The query with its `?`, or nothing.
    pub(super) query: &'b str,
}

/// Takes a target apart. CONNECT, whose target has a form of its own, never gets here.
///
/// Any visible ASCII goes in path and query, as clients send more than the grammar allows, but `#`:
/// RFC 3986 ends the URI there, and a target that cuts it off would see another path than rules do.
pub(super) fn parse<'b>(method: &str, target: &'b str) -> Result<Target<'b>, Malformed> {
    if target.bytes().any(|byte| byte == b'#' || !byte.is_ascii_graphic()) {
        return Err(Malformed::BadUri);
    }
    if target.starts_with('/') {
        let (path, query) = split_query(target);
        return Ok(Target { authority: None, path, query });
    }
    if target == "*" && method == "OPTIONS" {
        return Ok(Target { authority: None, path: "*", query: "" });
    }
    let (authority, rest) = absolute(target).ok_or(Malformed::BadUri)?;
    host::valid(authority.as_bytes()).ok_or(Malformed::BadHost)?;
    let (path, query) = split_query(rest);
    let path = match path {
        // RFC 9112, section 3.2.4: OPTIONS for an absolute form without path and query is for the server
        // as a whole.
        "" if query.is_empty() && method == "OPTIONS" => "*",
        "" => "/",
        path => path,
    };
    Ok(Target { authority: Some(authority), path, query })
}

/// Whether a target has characters that mark the end of a URI in a text (RFC 3986, appendix C), or a
/// backtick; all of them must be percent-encoded.
pub(super) fn has_delimiters(target: &str) -> bool {
    target.bytes().any(|byte| matches!(byte, b'"' | b'<' | b'>' | b'`'))
}

/// Authority and rest of an absolute `http` or `https` URI.
fn absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    known.then(|| rest.split_at(end))
}

fn split_query(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(method: &str, target: &'static str) -> (Option<&'static str>, String) {
        let Target { authority, path, query } = parse(method, target).unwrap();
        (authority, format!("{path}{query}"))
    }

    #[test]
    fn an_origin_form_stays_as_it_is() {
        for target in ["/", "/a/b?c=d?e", "/?", "//a", "/a://b", "/%2e%2e/|{}\"", "/*"] {
            assert_eq!(parsed("GET", target), (None, target.to_owned()));
        }
    }

    /// RFC 9112, section 3.2.2: "a server MUST accept the absolute-form in requests".
    #[test]
    fn an_absolute_form_is_taken_apart() {
        for (method, target, authority, expected) in [
            ("GET", "http://a", "a", "/"),
            ("GET", "http://a/", "a", "/"),
            ("GET", "HTTPS://A:1/b?c", "A:1", "/b?c"),
            ("GET", "http://a?b/c", "a", "/?b/c"),
            ("OPTIONS", "http://a", "a", "*"),
            ("OPTIONS", "http://a/", "a", "/"),
            ("OPTIONS", "http://a?b", "a", "/?b"),
        ] {
            assert_eq!(parsed(method, target), (Some(authority), expected.to_owned()), "{target}");
        }
    }

    #[test]
    fn the_asterisk_is_for_options_alone() {
        assert_eq!(parsed("OPTIONS", "*"), (None, "*".to_owned()));
        assert_eq!(parse("GET", "*"), Err(Malformed::BadUri));
        assert_eq!(parse("OPTIONS", "*a"), Err(Malformed::BadUri));
    }

    #[test]
    fn anything_else_is_refused() {
        for (target, expected) in [
            ("a", Malformed::BadUri),
            ("a/b", Malformed::BadUri),
            ("a:80", Malformed::BadUri),
            ("ftp://a/", Malformed::BadUri),
            ("ws://a/", Malformed::BadUri),
            ("http:/a", Malformed::BadUri),
            ("://a", Malformed::BadUri),
            ("/a#b", Malformed::BadUri),
            ("http://a#b", Malformed::BadUri),
            ("/\u{e9}", Malformed::BadUri),
            ("http://", Malformed::BadHost),
            ("http:///a", Malformed::BadHost),
            ("http://u@a/", Malformed::BadHost),
            ("http://u:p@a/", Malformed::BadHost),
            ("http://a,b/", Malformed::BadHost),
            ("http://a\\b/", Malformed::BadHost),
            ("http://[::1/", Malformed::BadHost),
        ] {
            assert_eq!(parse("GET", target), Err(expected), "{target}");
        }
    }
}
