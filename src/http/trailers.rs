//! Trailers: the fields behind a body. Which of them go on, and how they are announced.
//!
//! Pure. `chunked` finds and checks them, `body` and `forward` ask here; nothing of a trailer section is
//! copied as it came. The same holds for both directions and for HTTP/2, whose trailers are fields already.
//! They go on whether or not their receiver said `TE: trailers`: that goes on to the sender, who decides.
//! Bounds: a section is at most `limits::TRAILERS_BYTES_MAX`.
//! Source: RFC 9110, sections 6.5 and 6.6.2; RFC 9112, section 7.1.2.
#![deny(clippy::indexing_slicing)]
use super::attributes::Attributes;
use super::connection::Connection;
use super::fault::is_token;
use super::head::Header;
use super::identity::Forbidden;
use super::lines_out::{Lines, fields};
use super::name::{self, Known, folds_to, known};

/// Which trailers of a message go on.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    forbidden: &'a Forbidden,
    attributes: &'a Attributes,
    of: Of,
}

/// Whose trailers they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Of {
    Requests,
    Responses,
    /// A message whose trailers all end here.
    Nobody,
}

impl<'a> Filter<'a> {
    /// For a request; `may_pass` is what [`may_pass`] said of it.
    pub const fn of_request(
        may_pass: bool,
        forbidden: &'a Forbidden,
        attributes: &'a Attributes,
    ) -> Self {
        Self { forbidden, attributes, of: if may_pass { Of::Requests } else { Of::Nobody } }
    }

    /// The same for a response.
    pub const fn of_response(
        may_pass: bool,
        forbidden: &'a Forbidden,
        attributes: &'a Attributes,
    ) -> Self {
        Self { forbidden, attributes, of: if may_pass { Of::Responses } else { Of::Nobody } }
    }

    /// Whether a trailer of this name goes on.
    pub fn passes(self, name: &str) -> bool {
        let by_direction = match self.of {
            Of::Requests => !self.attributes.drop_invalid_names || name::is_valid(name),
            Of::Responses => !self.attributes.inserted.replaces(name),
            Of::Nobody => false,
        };
        by_direction && !ends_here(name) && !self.forbidden.contains(name)
    }

    /// Writes those of a section that go on. The section was checked by `chunked`.
    pub fn write_section(self, out: &mut impl Lines, section: &[u8]) {
        self.write(out, fields(section));
    }

    /// Writes those that go on.
    pub fn write<'f>(
        self,
        out: &mut impl Lines,
        fields: impl Iterator<Item = (&'f str, &'f [u8])>,
    ) {
        fields
            .filter(|(name, _)| self.passes(name))
            .for_each(|(name, value)| out.line(name, value));
    }

    /// Writes a Trailer header with those of its names that go on, if there are any.
    pub(super) fn announce(self, out: &mut impl Lines, header: &Header<'_>) {
        let names = header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let names = names.filter_map(|name| std::str::from_utf8(name).ok());
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_token);
        let mut names = names.filter(|name| is_name(name) && self.passes(name)).peekable();
        if names.peek().is_none() {
            return;
        }
        out.line_of(header.name, |value| {
            for (index, name) in names.enumerate() {
                value.extend_from_slice(if index > 0 { b", " } else { b"" });
                value.extend_from_slice(name.as_bytes());
            }
        });
    }
}

/// Whether trailers of a message with this Connection may go on.
///
/// Not where it names fields for this hop: they end here even behind the body (RFC 9110, section 7.6.1), and
/// by then the names are gone with the head. Names of fields that never pass, as in `Connection: TE`, change
/// nothing.
pub fn may_pass(connection: &Connection<'_>) -> bool {
    connection.nominated().all(|name| std::str::from_utf8(name).is_ok_and(ends_here))
}

/// Whether a field of this name can be no trailer, however `-` is written: what this node makes or removes in
/// heads, and what RFC 9110, section 6.5.1, keeps to them, as it has to be known before the content comes:
/// "message framing, routing, authentication, request modifiers, response controls, or content format".
fn ends_here(name: &str) -> bool {
    let begins = |prefix: &&str| name.bytes().map(name::fold).take(prefix.len()).eq(prefix.bytes());
    known(name) != Known::Other
        || HEAD_ALONE.iter().any(|own| folds_to(name, own))
        || HEAD_ALONE_PREFIXES.iter().any(begins)
}

/// Beside those that `name` knows, and the identity headers.
const HEAD_ALONE: &[&str] = &[
    // Framing and this hop.
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    // Routing.
    "host",
    "forwarded",
    "max-forwards",
    "via",
    // Authentication.
    "authentication-info",
    "authorization",
    "cookie",
    "set-cookie",
    "www-authenticate",
    // Request modifiers.
    "expect",
    "pragma",
    "range",
    // Response controls.
    "age",
    "cache-control",
    "date",
    "expires",
    "location",
    "retry-after",
    "vary",
    "warning",
    // Content format.
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "content-type",
];

/// Conditions, credentials for proxies, and what load balancers tell targets.
const HEAD_ALONE_PREFIXES: &[&str] = &["if-", "proxy-", "x-amzn-", "x-forwarded-"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::identity::Names;

    fn written(section: &str, attributes: &Attributes, response: bool) -> String {
        let forbidden = Forbidden::new([&attributes.names]);
        let filter = if response {
            Filter::of_response(true, &forbidden, attributes)
        } else {
            Filter::of_request(true, &forbidden, attributes)
        };
        let mut out = Vec::new();
        filter.write_section(&mut out, section.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn trailers_that_may_stand_there_go_on_in_order_and_in_one_form() {
        let section = "Server-Timing:db;dur=5\r\nX_Checksum:\t a:b \r\ngrpc-status: 0\r\n\
                       Content-Digest: x\r\nEmpty:\r\n";
        for response in [false, true] {
            assert_eq!(
                written(section, &Attributes::default(), response),
                "Server-Timing: db;dur=5\r\nX_Checksum: a:b\r\ngrpc-status: 0\r\n\
                 Content-Digest: x\r\nEmpty: \r\n"
            );
            assert_eq!(written("", &Attributes::default(), response), "");
        }
    }

    /// RFC 9110, section 6.5.1; `threats.md`, section 2: trailers are another way to forge headers.
    #[test]
    fn what_belongs_to_heads_is_no_trailer_in_any_disguise() {
        let names = Names { leaf: "X-Client-Leaf".into(), ..Names::default() };
        let attributes = Attributes { names: names.clone(), ..Attributes::default() };
        let prefixed = ["If-Match", "Proxy-Authenticate", "X-Forwarded-Host", "X-Amzn-Trace-Id"];
        let of_name = ["Content-Length", "Transfer-Encoding", "X-Forwarded-For", "Expect", "Host"];
        let own = Names::default();
        let all = HEAD_ALONE.iter().copied().chain(prefixed).chain(of_name);
        let all = all.chain(names.all()).chain(own.all());
        for name in all {
            for disguise in [
                name.to_owned(),
                name.to_lowercase(),
                name.to_uppercase(),
                name.replace('-', "_"),
                name.replacen('-', "_", 1).to_uppercase(),
                name.replace('-', "."),
            ] {
                for response in [false, true] {
                    let section = format!("{disguise}: forged\r\n");
                    assert_eq!(written(&section, &attributes, response), "", "{disguise}");
                }
            }
        }
    }

    #[test]
    fn the_listeners_attributes_hold_for_trailers_too() {
        let mut attributes = Attributes { drop_invalid_names: true, ..Attributes::default() };
        attributes.inserted.add("X-Frame-Options", "DENY");
        let section = "a_b: c\r\nx-frame-options: d\r\n";
        assert_eq!(written(section, &attributes, false), "x-frame-options: d\r\n");
        assert_eq!(written(section, &attributes, true), "a_b: c\r\n");
    }

    #[test]
    fn only_what_goes_on_is_announced() {
        let (forbidden, attributes) = (Forbidden::default(), Attributes::default());
        for (value, may_pass, expected) in [
            ("Server-Timing", true, "Trailer: Server-Timing\r\n"),
            (" a ,B,, Content-Length,Host ,c", true, "Trailer: a, B, c\r\n"),
            ("X-Amzn-Mtls-Clientcert, authorization", true, ""),
            ("a b, c\u{e9}, d:, \"e\"", true, ""),
            ("", true, ""),
            ("a", false, ""),
        ] {
            let mut out = Vec::new();
            let filter = Filter::of_request(may_pass, &forbidden, &attributes);
            filter.announce(&mut out, &Header { name: "Trailer", value: value.as_bytes() });
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{value:?}");
        }
    }

    /// RFC 9110, section 7.6.1: "remove any header or trailer field(s) from the message with the same name
    /// as the connection-option".
    #[test]
    fn a_connection_with_names_of_its_own_keeps_all_trailers_back() {
        for (options, expected) in [
            ("close", true),
            ("TE, Upgrade, keep-alive", true),
            ("X-A", false),
            ("te, x-a", false),
            ("\u{e9}", false),
        ] {
            let mut connection = Connection::default();
            connection.read(options.as_bytes()).unwrap();
            assert_eq!(may_pass(&connection), expected, "{options}");
        }
        let (forbidden, attributes) = (Forbidden::default(), Attributes::default());
        assert!(!Filter::of_request(false, &forbidden, &attributes).passes("a"));
        assert!(!Filter::of_response(false, &forbidden, &attributes).passes("a"));
    }
}
