//! Answers to HTTP/2 clients: a target's, and the node's own.
//!
//! The `h2` crate frames the content; a length is announced where it is known.
use super::fields_bytes;
use crate::http::attributes::Attributes;
use crate::http::forward;
use crate::http::head::{Body, Response};
use crate::http::identity::Forbidden;
use crate::http::lines_out::Lines;
use crate::http::respond::{self, Answer, Manner};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::borrow::Cow;
use std::time::Duration;

/// A target's response as the client gets it; nothing where its status is none of HTTP's.
pub fn of_target(
    response: &Response<'_, '_>,
    attributes: &Attributes,
    forbidden: &Forbidden,
    since_epoch: impl FnOnce() -> Duration,
) -> Option<http::Response<()>> {
    let mut fields = HeaderMap::with_capacity(response.headers.len() + 2);
    if let Body::Length(length) = response.body {
        fields.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    forward::response_lines(
        &mut fields,
        response,
        response.body,
        attributes,
        forbidden,
        since_epoch,
    );
    assembled(response.status, fields)
}

/// The node's own, and its content. A call of gRPC reads its outcome in fields of its own, as it does from
/// ALB (`alb-contract.md`, section 6.4), and only where nothing follows: that form is gRPC's "Trailers-Only".
pub fn own(
    answer: &Answer<'_>,
    manner: &Manner<'_>,
    grpc: bool,
) -> Option<(http::Response<()>, Bytes)> {
    let mut fields = HeaderMap::with_capacity(6);
    if grpc && matches!(answer.status, 502..=504) {
        let (content_type, content) = ("application/grpc", Cow::default());
        respond::lines(&mut fields, &Answer { content_type, content, ..*answer }, manner);
        fields.line(GRPC_STATUS.as_str(), b"14");
        fields.line(GRPC_MESSAGE.as_str(), b"unavailable");
        return Some((assembled(answer.status, fields)?, Bytes::new()));
    }
    respond::lines(&mut fields, answer, manner);
    let content: &[u8] =
        if answer.has_content() && !manner.head_only { &answer.content } else { b"" };
    Some((assembled(answer.status, fields)?, Bytes::copy_from_slice(content)))
}

/// What a head counts: as lines of HTTP/1.1 do.
pub fn head_bytes(response: &http::Response<()>) -> u64 {
    ":status: 200\r\n".len() as u64 + fields_bytes(response.headers())
}

fn assembled(status: u16, fields: HeaderMap) -> Option<http::Response<()>> {
    let mut response = http::Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    *response.headers_mut() = fields;
    Some(response)
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::attributes::ServerName;
    use crate::http::head;

    /// 2026-11-22T10:11:12Z.
    const NOW: Duration = Duration::from_secs(1_795_342_272);

    fn sent(bytes: &str) -> http::Response<()> {
        let mut slots = head::slots();
        let response =
            head::response(bytes.as_bytes(), head::Expected::Content, &mut slots).unwrap().unwrap();
        of_target(&response, &Attributes::default(), &Forbidden::default(), || NOW).unwrap()
    }

    #[test]
    fn a_targets_answer_loses_what_belongs_to_its_connection() {
        let response = sent(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Odd: a\r\nX-Odd: b\r\nConnection: X-Hop\r\n\
             X-Hop: 1\r\nDate: today\r\nKeep-Alive: timeout=5\r\n\r\n",
        );
        assert_eq!(response.status(), 200);
        let fields: Vec<_> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            fields,
            [("content-length", "5"), ("x-odd", "a"), ("x-odd", "b"), ("date", "today")]
        );
    }

    #[test]
    fn a_head_counts_what_it_says() {
        let response = sent("HTTP/1.1 204 No Content\r\nX-Odd: a\r\nDate: b\r\n\r\n");
        let head = ":status: 204\r\nx-odd: a\r\ndate: b\r\n";
        assert_eq!(head_bytes(&response), head.len() as u64);
    }

    #[test]
    fn an_unknown_length_is_not_announced() {
        let response = sent("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let date = "Sun, 22 Nov 2026 10:11:12 GMT";
        assert_eq!(response.headers().iter().map(|(_, value)| value).collect::<Vec<_>>(), [date]);
    }

    #[test]
    fn a_call_of_grpc_reads_in_fields_that_it_cannot_be_served() {
        let manner = Manner {
            keep_alive: true,
            head_only: false,
            attributes: &Attributes { server: ServerName::Alb, ..Attributes::default() },
            since_epoch: Duration::ZERO,
        };
        for (status, grpc, expected) in [
            (502, true, Some("14")),
            (502, false, None),
            (404, true, None),
            (503, true, Some("14")),
        ] {
            let (response, content) = own(&Answer::standard(status), &manner, grpc).unwrap();
            let outcome = response.headers().get("grpc-status");
            assert_eq!(outcome.map(|value| value.to_str().unwrap()), expected, "{status} {grpc}");
            let kind = if expected.is_some() { "application/grpc" } else { "text/html" };
            assert_eq!(response.headers()["content-type"], kind);
            assert_eq!(content.is_empty(), expected.is_some(), "{status} {grpc}");
            assert_eq!(response.headers()["content-length"], content.len().to_string());
        }
    }
}
