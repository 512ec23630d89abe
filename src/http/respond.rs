//! The node's own answers.
//!
//! Pure. A shard calls it for a fixed response, for a message that is refused, for a target that failed
//! and for a client certificate refused under `refusal: http`. Source: `alb-contract.md`, sections 6.4
//! and 6.5.
use super::attributes::{Attributes, ServerName};
use super::lines_out::Lines;
use super::{write_display, write_number};
use crate::calendar::{DAY_SECONDS, Date};
use crate::digits;
use crate::trust::Refusal;
use std::borrow::Cow;
use std::time::Duration;

/// An answer that the node makes itself.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// Status, 200 to 599.
    pub status: u16,
    /// `text/html` for the standard bodies; nothing for no Content-Type.
    pub content_type: &'a str,
    /// The content; not sent with 204.
    pub content: Cow<'a, [u8]>,
}

impl Answer<'static> {
    /// The standard answer of a status.
    pub fn standard(status: u16) -> Self {
        let content = standard_body(status).into_bytes().into();
        Self { status, content_type: "text/html", content }
    }

    /// What a client gets whose certificate is refused under `refusal: http`: 403 and ALB's reason code.
    /// The connection closes.
    pub fn refused(refusal: Refusal) -> Self {
        let content = format!("{}\n", refusal.code()).into_bytes().into();
        Self { status: 403, content_type: "text/plain", content }
    }
}

impl Answer<'_> {
    /// RFC 9110, sections 8.6 and 15.3.5: 204 has neither content nor length.
    pub const fn has_content(&self) -> bool {
        self.status != 204
    }
}

/// How the answer is sent.
#[derive(Clone, Copy, Debug)]
pub struct Manner<'a> {
    /// Whether the connection is kept.
    pub keep_alive: bool,
    /// To HEAD: the head alone.
    pub head_only: bool,
    /// The listener's, for Server and for the headers that it sets.
    pub attributes: &'a Attributes,
    /// Time since 1970, for Date.
    pub since_epoch: Duration,
}

/// What answers a client that waits with its body (RFC 9110, section 10.1.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Writes head and body: status line, [`lines`], Connection.
pub fn write(out: &mut Vec<u8>, answer: &Answer<'_>, manner: &Manner<'_>) {
    write_display(out, format_args!("HTTP/1.1 {} {}\r\n", answer.status, phrase(answer.status)));
    lines(out, answer, manner);
    out.line("Connection", if manner.keep_alive { b"keep-alive" } else { b"close" });
    out.extend_from_slice(b"\r\n");
    if answer.has_content() && !manner.head_only {
        out.extend_from_slice(&answer.content);
    }
}

/// Writes the lines of an answer: Server, Date, Content-Type, Content-Length, those that the listener sets.
pub fn lines(out: &mut impl Lines, answer: &Answer<'_>, manner: &Manner<'_>) {
    match manner.attributes.server {
        ServerName::Portcullis => out.line("Server", b"portcullis"),
        ServerName::Alb => out.line("Server", b"awselb/2.0"),
        ServerName::Hidden => {}
    }
    date_line(out, manner.since_epoch);
    if answer.has_content() {
        if !answer.content_type.is_empty() {
            out.line("Content-Type", answer.content_type.as_bytes());
        }
        out.line_of("Content-Length", |value| write_number(value, answer.content.len()));
    }
    manner.attributes.inserted.write(out);
}

/// The body that ALB gives an error (`alb-contract.md`, section 6.4: byte for byte).
fn standard_body(status: u16) -> String {
    let line = format!("{status} {}", phrase(status));
    let line = line.trim_end();
    format!(
        "<html>\r\n<head><title>{line}</title></head>\r\n<body>\r\n\
         <center><h1>{line}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
}

/// The reason phrase: ALB's where one was seen, else that of the IANA registry; nothing for others.
const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        // ALB's own; their phrases are not documented, so these are ours.
        460 => "Client Closed Request",
        463 => "Too Many Forwarded Addresses",
        464 => "Incompatible Protocol",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        // The phrases that ALB has been seen to use for these two.
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        511 => "Network Authentication Required",
        _ => "",
    }
}

/// Writes the Date line of this time since 1970.
pub(super) fn date_line(out: &mut impl Lines, since_epoch: Duration) {
    out.line_of("Date", |value| write_date(value, since_epoch));
}

/// Appends a date as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7: IMF-fixdate).
fn write_date(out: &mut Vec<u8>, since_epoch: Duration) {
    const WEEKDAYS: [&str; 7] = ["Thu, ", "Fri, ", "Sat, ", "Sun, ", "Mon, ", "Tue, ", "Wed, "];
    const MONTHS: [&str; 12] = [
        " Jan ", " Feb ", " Mar ", " Apr ", " May ", " Jun ", " Jul ", " Aug ", " Sep ", " Oct ",
        " Nov ", " Dec ",
    ];
    let name = |names: &[&'static str], index: u64| {
        let name = usize::try_from(index).ok().and_then(|index| names.get(index));
        name.copied().unwrap_or_default().as_bytes()
    };
    let (days, second) = (since_epoch.as_secs() / DAY_SECONDS, since_epoch.as_secs() % DAY_SECONDS);
    let Date { year, month, day } = Date::from_days(days);
    out.extend_from_slice(name(&WEEKDAYS, days % 7));
    out.extend_from_slice(&digits::two(day));
    out.extend_from_slice(name(&MONTHS, month - 1));
    out.extend_from_slice(&digits::two(year / 100));
    out.extend_from_slice(&digits::two(year));
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    for (separator, value) in [(b' ', hour), (b':', minute), (b':', second)] {
        out.push(separator);
        out.extend_from_slice(&digits::two(value));
    }
    out.extend_from_slice(b" GMT");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;

    static ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(Attributes::default);

    fn manner() -> Manner<'static> {
        let since_epoch = Duration::from_secs(784_111_777);
        Manner { keep_alive: false, head_only: false, attributes: &ATTRIBUTES, since_epoch }
    }

    fn by(server: ServerName) -> Attributes {
        Attributes { server, ..Attributes::default() }
    }

    fn written(answer: &Answer<'_>, manner: &Manner<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, answer, manner);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_is_head_and_body_in_albs_order() {
        assert_eq!(
            written(
                &Answer::standard(503),
                &Manner { attributes: &by(ServerName::Alb), ..manner() }
            ),
            "HTTP/1.1 503 Service Temporarily Unavailable\r\n\
             Server: awselb/2.0\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: text/html\r\n\
             Content-Length: 162\r\n\
             Connection: close\r\n\
             \r\n\
             <html>\r\n\
             <head><title>503 Service Temporarily Unavailable</title></head>\r\n\
             <body>\r\n\
             <center><h1>503 Service Temporarily Unavailable</h1></center>\r\n\
             </body>\r\n\
             </html>\r\n"
        );
    }

    /// `alb-contract.md`, section 6.4: captured lengths, and those that follow from the template.
    #[test]
    fn standard_bodies_have_the_lengths_that_alb_has() {
        for (status, length) in [(503, 162), (502, 122), (403, 118), (400, 122), (504, 132)] {
            assert_eq!(standard_body(status).len(), length, "{status}");
        }
        assert!(standard_body(299).contains("<title>299</title>"));
    }

    #[test]
    fn every_status_of_a_refused_message_has_a_phrase() {
        for reason in crate::http::head::Malformed::ALL {
            assert!(!phrase(reason.status()).is_empty(), "{reason:?}");
        }
        for reason in crate::close::Reason::ALL {
            assert!(reason.status().is_none_or(|status| !phrase(status).is_empty()), "{reason:?}");
        }
    }

    #[test]
    fn an_answer_to_head_is_the_head_alone() {
        let whole = written(&Answer::standard(400), &manner());
        let head = written(&Answer::standard(400), &Manner { head_only: true, ..manner() });
        assert!(head.ends_with("\r\n\r\n") && head.contains("\r\nContent-Length: 122\r\n"));
        assert!(whole.starts_with(&head) && whole.len() == head.len() + 122);
    }

    #[test]
    fn a_fixed_response_has_its_own_body_and_type() {
        let answer =
            Answer { status: 200, content_type: "application/json", content: b"{}".into() };
        let hidden = by(ServerName::Hidden);
        let kept = Manner { keep_alive: true, attributes: &hidden, ..manner() };
        assert_eq!(
            written(&answer, &kept),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\
             Connection: keep-alive\r\n\r\n{}"
        );
        let empty = Answer { status: 404, content_type: "", content: b"".into() };
        let empty = written(&empty, &manner());
        assert!(empty.contains("Content-Length: 0\r\n") && !empty.contains("Content-Type"));
    }

    #[test]
    fn an_answer_without_content_announces_none() {
        let answer = Answer { content_type: "a/b", ..Answer::standard(204) };
        let written = written(&answer, &manner());
        assert!(!written.contains("Content-") && written.ends_with("close\r\n\r\n"));
    }

    #[test]
    fn a_refused_certificate_gets_albs_reason_code() {
        let out = written(&Answer::refused(Refusal::Expired), &manner());
        assert!(out.starts_with("HTTP/1.1 403 Forbidden\r\nServer: portcullis\r\n"));
        assert!(out.contains("Content-Length: 18\r\nConnection: close\r\n"));
        assert!(out.ends_with("\r\n\r\nClientCertExpired\n"));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
            (1_798_761_600, "Fri, 01 Jan 2027 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            let mut out = Vec::new();
            write_date(&mut out, Duration::from_secs(seconds));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn an_answer_has_the_headers_that_the_listener_sets() {
        let mut attributes = by(ServerName::Hidden);
        attributes.inserted.add("X-Frame-Options", "DENY");
        let manner = Manner { attributes: &attributes, head_only: true, ..manner() };
        assert_eq!(
            written(&Answer::standard(463), &manner),
            "HTTP/1.1 463 Too Many Forwarded Addresses\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: text/html\r\nContent-Length: 156\r\nX-Frame-Options: DENY\r\n\
             Connection: close\r\n\r\n"
        );
    }

    #[test]
    fn albs_own_statuses_have_phrases() {
        for status in [460, 463, 464] {
            assert!(!phrase(status).is_empty(), "{status}");
        }
    }
}
