//! The Host value: which are accepted, which host one means, and what a target gets for one.
//!
//! Pure. Source: RFC 9110, sections 4.2 and 7.2; `alb-contract.md`, section 6.1.
#![deny(clippy::indexing_slicing)]
use std::net::{Ipv4Addr, Ipv6Addr};

/// The value as text when it is `host[:port]`.
///
/// Stricter than the grammar of RFC 3986: a host is a non-empty run of unreserved characters or an IPv6
/// address in brackets. Percent-encoding and the sub-delimiters (the comma among them) are in no name
/// or address, and are where two readers could disagree on which host is meant.
pub(super) fn valid(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok()?;
    let (host, port) = split(value);
    let host_is_valid = match host.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_unreserved),
    };
    let digits = port.unwrap_or_default();
    let port_is_valid = digits.is_empty()
        || (digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok());
    (host_is_valid && port_is_valid).then_some(value)
}

/// What a valid value means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Host<'a> {
    /// An IP address.
    Address,
    /// Anything else, without its port: whether it is a DNS name is for whoever compares it with some.
    Name(&'a str),
}

/// Reads a value that a checked request head has.
pub fn of(value: &str) -> Host<'_> {
    let (host, _) = split(value);
    match host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() {
        true => Host::Address,
        false => Host::Name(host),
    }
}

/// Host and port, the port without its colon.
pub(crate) fn split(value: &str) -> (&str, Option<&str>) {
    let last = value.bytes().rposition(|byte| matches!(byte, b':' | b']'));
    match last.and_then(|at| value.split_at_checked(at)) {
        Some((host, port)) if port.starts_with(':') => (host, port.get(1..)),
        _ => (value, None),
    }
}

/// Whether two valid values name the same host and port. RFC 3986, section 6.2.3: "the port component and its ":"
/// delimiter" may be left out where the port is the default of its scheme, or empty.
pub(super) fn are_same(one: &str, other: &str, default_port: Option<u16>) -> bool {
    let port = |port: Option<&str>| match port {
        None | Some("") => default_port,
        Some(digits) => digits.parse().ok(),
    };
    let ((one, one_port), (other, other_port)) = (split(one), split(other));
    one.eq_ignore_ascii_case(other) && port(one_port) == port(other_port)
}

/// Appends the Host that a target gets: in lower case, without a port on the well-known ports, with one
/// on all others.
pub(super) fn write(out: &mut Vec<u8>, value: &str, listener_port: u16) {
    let (host, port) = split(value);
    out.extend(host.bytes().map(|byte| byte.to_ascii_lowercase()));
    if matches!(listener_port, 80 | 443) {
        return;
    }
    out.push(b':');
    match port.filter(|port| !port.is_empty()) {
        Some(port) => out.extend_from_slice(port.as_bytes()),
        None => super::write_number(out, listener_port),
    }
}

/// RFC 3986, section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for good in [
            "example.com",
            "EXAMPLE.com.",
            "a_b-c~d",
            "example.com:8080",
            "example.com:",
            "192.0.2.1:80",
            "[::1]",
            "[2001:db8::1]:65535",
        ] {
            assert_eq!(valid(good.as_bytes()), Some(good));
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a\tb",
            "a,b",
            "a:b",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:1:2",
            "u@a",
            "u:p@a",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a%20b",
            "a;b",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]x:80",
            "[::1%25lo]",
            "[v1.a]",
            "[]",
            "a]",
            "a[::1]",
            "[1.2.3.4]",
            "\u{e9}.com",
            "a\0b",
            "a'b",
            "*",
            "http://a",
        ] {
            assert_eq!(valid(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(valid(b"\xff.com"), None);
    }

    #[test]
    fn a_host_means_an_address_or_a_name_without_its_port() {
        for address in ["192.0.2.1", "192.0.2.1:80", "[::1]", "[2001:db8::1]:443"] {
            assert_eq!(of(address), Host::Address, "{address}");
        }
        for (value, name) in
            [("a.b", "a.b"), ("A.b.:443", "A.b."), ("a:", "a"), ("127.1", "127.1"), ("a..", "a..")]
        {
            assert_eq!(of(value), Host::Name(name), "{value}");
        }
    }

    #[test]
    fn a_default_port_may_be_said_or_not() {
        for (one, other, https, unknown) in [
            ("a.b", "A.B", true, true),
            ("a.b", "a.b:443", true, false),
            ("a.b:", "a.b", true, true),
            ("a.b:", "a.b:443", true, false),
            ("a.b:0443", "a.b:443", true, true),
            ("[::1]", "[::1]:443", true, false),
            ("a.b:8443", "a.b:8443", true, true),
            ("a.b", "a.b:80", false, false),
            ("a.b:8443", "a.b:443", false, false),
            ("a.b", "a.c", false, false),
            ("a.b", "a.b.", false, false),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                assert_eq!(are_same(one, other, Some(443)), https, "{one} {other}");
                assert_eq!(are_same(one, other, None), unknown, "{one} {other}");
            }
        }
    }

    /// `alb-contract.md`, section 6.1: port 80/443 listeners drop any port, other listeners append
    /// theirs if it is missing; lower-cased.
    #[test]
    fn targets_get_lower_case_and_the_port_by_the_listener() {
        for (value, listener_port, expected) in [
            ("Example.COM", 443, "example.com"),
            ("example.com:443", 443, "example.com"),
            ("example.com:8080", 443, "example.com"),
            ("example.com:8080", 80, "example.com"),
            ("example.com:", 80, "example.com"),
            ("example.com", 8443, "example.com:8443"),
            ("example.com:", 8443, "example.com:8443"),
            ("example.com:1", 8443, "example.com:1"),
            ("[2001:DB8::1]", 8443, "[2001:db8::1]:8443"),
            ("[2001:DB8::1]:1", 8443, "[2001:db8::1]:1"),
            ("[::1]:1", 443, "[::1]"),
        ] {
            let mut out = Vec::new();
            write(&mut out, value, listener_port);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{value} at {listener_port}");
        }
    }
}
