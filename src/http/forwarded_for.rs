//! X-Forwarded-For: the client behind all that it says itself.
//!
//! Pure. `head` counts what a client sends, `forward` writes what its target gets.
//! Source: `alb-contract.md`, sections 5.1 and 6.1.
#![deny(clippy::indexing_slicing)]
use super::attributes::ForwardedFor;
use super::lines_out::Lines;
use super::message::{Header, Version};
use super::name::{Known, known};
use super::{write_address, write_display};
use std::net::SocketAddr;

/// The addresses in one X-Forwarded-For line. RFC 9110, section 5.6.1: "A recipient MUST parse and ignore a
/// reasonable number of empty list elements".
pub(super) fn addresses(value: &[u8]) -> usize {
    value.split(|byte| *byte == b',').filter(|element| !element.trim_ascii().is_empty()).count()
}

/// The name of a line that passes as it comes: as it is spelled, but not in lower case only because HTTP/2
/// has no other.
pub(super) const fn name(sent: &str, version: Version) -> &str {
    match version {
        Version::Http10 | Version::Http11 => sent,
        Version::Http2 => NAME,
    }
}

/// Writes the one line that a target gets; none unless the client is appended (`preserve` lets lines pass as
/// they come).
pub(super) fn line(
    out: &mut impl Lines,
    headers: &[Header<'_>],
    client: SocketAddr,
    rule: ForwardedFor,
) {
    let with_port = match rule {
        ForwardedFor::Append => false,
        ForwardedFor::AppendWithPort => true,
        ForwardedFor::Preserve | ForwardedFor::Remove => return,
    };
    out.line_of(NAME, |value| {
        let sent = headers.iter().filter(|header| known(header.name) == Known::ForwardedFor);
        for header in sent.filter(|header| !header.value.is_empty()) {
            value.extend_from_slice(header.value);
            value.extend_from_slice(b", ");
        }
        write_client(value, client, with_port);
    });
}

/// Appends the client's address: `192.0.2.7`, `2001:db8::1`; with its port `192.0.2.7:8080`,
/// `[2001:db8::1]:8080`.
///
/// ALB's guide shows an IPv6 address bare where it stands alone, and says that one which is appended to
/// others is bracketed. Here it is bare in both places: whoever reads the list reads its elements alike.
fn write_client(value: &mut Vec<u8>, client: SocketAddr, with_port: bool) {
    // An IPv4 client of a listener for both families is known by its IPv4 address.
    let address = client.ip().to_canonical();
    if with_port {
        write_display(value, SocketAddr::new(address, client.port()));
    } else {
        write_address(value, address);
    }
}

const NAME: &str = "X-Forwarded-For";

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sent: &[&str], client: &str, rule: ForwardedFor) -> String {
        let header = |value| Header { name: "x-forwarded-for", value };
        let headers: Vec<_> = sent.iter().map(|value| header(value.as_bytes())).collect();
        let mut out = Vec::new();
        line(&mut out, &headers, client.parse().unwrap(), rule);
        String::from_utf8(out).unwrap()
    }

    /// `alb-contract.md`, section 6.1: append: `client` or `existing, client`; with the port
    /// `1.2.3.4:8080`, `[2001:db8::1]:8080`.
    #[test]
    fn the_client_stands_behind_what_it_sent() {
        use ForwardedFor::{Append, AppendWithPort};
        for (sent, client, rule, expected) in [
            (&[][..], "192.0.2.7:5", Append, "192.0.2.7"),
            (&[], "192.0.2.7:5", AppendWithPort, "192.0.2.7:5"),
            (&[], "[2001:db8::1]:5", Append, "2001:db8::1"),
            (&[], "[2001:db8::1]:5", AppendWithPort, "[2001:db8::1]:5"),
            (&[], "[::ffff:192.0.2.7]:5", Append, "192.0.2.7"),
            (&[], "[::ffff:192.0.2.7]:5", AppendWithPort, "192.0.2.7:5"),
            (&["a"], "192.0.2.7:5", Append, "a, 192.0.2.7"),
            (&["a"], "[2001:db8::1]:5", Append, "a, 2001:db8::1"),
            (&["a:1, b"], "[2001:db8::1]:5", AppendWithPort, "a:1, b, [2001:db8::1]:5"),
            (&["a,b", "", "c"], "192.0.2.7:5", Append, "a,b, c, 192.0.2.7"),
        ] {
            let expected = format!("X-Forwarded-For: {expected}\r\n");
            assert_eq!(written(sent, client, rule), expected, "{sent:?}");
        }
    }

    #[test]
    fn nothing_is_appended_under_preserve_and_remove() {
        for rule in [ForwardedFor::Preserve, ForwardedFor::Remove] {
            assert_eq!(written(&["a"], "192.0.2.7:5", rule), "", "{rule:?}");
        }
    }

    #[test]
    fn addresses_are_the_elements_that_are_not_empty() {
        for (value, expected) in [
            ("", 0),
            (" ", 0),
            ("a", 1),
            ("a,b", 2),
            ("a, b ,c", 3),
            (",,a,,\t,b,", 2),
            ("[2001:db8::1]:5, 192.0.2.1:6", 2),
        ] {
            assert_eq!(addresses(value.as_bytes()), expected, "{value:?}");
        }
    }
}
