//! Request and response heads: strict parsing and framing.
//!
//! Pure, no allocation. `desync` calls [`request`] for the bytes of a client, and a shard [`response`] for
//! those of a target, until they answer; httparse finds the lines, and what it leaves out is added here:
//! lines end in CR LF alone, one way to read the length of the body, one Host, targets of a known form.
//! What comes out can be written anew by `forward` with one meaning to every reader.
//! Bounds: `limits::{REQUEST_LINE,HEADER,REQUEST_HEAD,RESPONSE_HEAD}_BYTES_MAX`, `HEADERS_MAX`,
//! `CONNECTION_OPTIONS_MAX`, `FORWARDED_FOR_ADDRESSES_MAX`; they hold for heads that are not whole yet, too.
//! Source: RFC 9110 and RFC 9112; `threats.md`, section 3.
#![deny(clippy::indexing_slicing)]
pub use super::connection::Connection;
pub use super::lines::worth_parsing;
pub use super::malformed::Malformed;
pub use super::message::{Body, Header, Version};

use super::class::ClassReason;
use super::framing::Framing;
use super::lines::{lines_end_in_cr_lf, over_limit, skip_empty_line, within};
use super::name::{Known, known};
use super::target::{self, Target};
use super::{fault, forwarded_for, host};
use crate::limits::{
    FORWARDED_FOR_ADDRESSES_MAX, HEADER_BYTES_MAX, HEADERS_MAX, REQUEST_HEAD_BYTES_MAX,
    REQUEST_LINE_BYTES_MAX, RESPONSE_HEAD_BYTES_MAX,
};
use httparse::{ParserConfig, Status};
use std::mem::MaybeUninit;

/// Room for the headers of one head.
pub type HeaderSlots<'b> = [MaybeUninit<Header<'b>>; HEADERS_MAX];

/// Empty room: nothing is written, so it costs nothing to take it anew for each call.
pub const fn slots<'b>() -> HeaderSlots<'b> {
    [const { MaybeUninit::uninit() }; HEADERS_MAX]
}

/// A whole request head, checked.
#[derive(Debug)]
pub struct Request<'h, 'b> {
    /// Method.
    pub method: &'b str,
    /// Request target as sent (origin, absolute or asterisk form).
    pub target: &'b str,
    /// The target's path, never empty; `*` for the server as a whole.
    pub path: &'b str,
    /// The target's query with its `?`, or nothing.
    pub query: &'b str,
    /// Version.
    pub version: Version,
    /// Headers in order.
    pub headers: &'h [Header<'b>],
    /// The one Host value (or the authority of an absolute-form target, which wins); none with HTTP/1.0.
    pub host: Option<&'b str>,
    /// The first X-Amzn-Trace-Id.
    pub trace_id: Option<&'b [u8]>,
    /// Whether the client takes trailers (`TE: trailers`).
    pub takes_trailers: bool,
    /// What the Connection headers say.
    pub connection: Connection<'b>,
    /// How the body is delimited.
    pub body: Body,
    /// Whether the client wants the connection kept.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    /// Why it has a class of ALB's; none when it complies.
    pub class_reason: Option<ClassReason>,
    /// The head as it was sent, where this is what was made of it.
    pub sent: Option<&'b [u8]>,
    /// Whether it is to be the last on its target's connection; `keep_alive` says so of its client's.
    pub closes: bool,
    /// Bytes of the head, its empty line included (and the one that was skipped before it).
    pub length: usize,
}

/// Parses a request head. `Ok(None)` needs more bytes (within `limits`).
///
/// Each call reads from the start; [`worth_parsing`] keeps that cheap when bytes trickle in.
///
/// # Errors
/// [`Malformed`] for anything ambiguous or over a limit; the connection is then answered and closed.
pub fn request<'h, 'b>(
    bytes: &'b [u8],
    slots: &'h mut HeaderSlots<'b>,
) -> Result<Option<Request<'h, 'b>>, Malformed> {
    let Some((skipped, bytes)) = skip_empty_line(bytes)? else { return Ok(None) };
    let bytes = within(bytes, REQUEST_HEAD_BYTES_MAX);
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(bytes, slots) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return over_limit(bytes).map_or(Ok(None), Err),
        Err(error) => {
            let fault = fault::of_request(bytes, error).or_else(|| over_limit(bytes));
            return fault.map_or(Ok(None), Err);
        }
    };
    if length > REQUEST_LINE_BYTES_MAX.min(HEADER_BYTES_MAX) {
        over_limit(within(bytes, length)).map_or(Ok(()), Err)?;
    }
    lines_end_in_cr_lf(within(bytes, length), parsed.headers.len())?;

    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let version = version(parsed.version);
    judge_method(method)?;
    let Target { authority, path, query } = target::parse(method, target)?;
    let headers: &'h [Header<'b>] = parsed.headers;
    let said = Said::by_request(headers)?;
    let host = match (authority.or(said.host), version) {
        (None, Version::Http11 | Version::Http2) => return Err(Malformed::MissingHost),
        // RFC 9112, section 3.2: 400 "to any HTTP/1.1 request message that lacks a Host header field",
        // an absolute form's authority notwithstanding.
        (Some(_), Version::Http11) if said.host.is_none() => return Err(Malformed::MissingHost),
        (host, _) => host,
    };
    let body = said.framing.body(version)?.unwrap_or(Body::Empty);
    Ok(Some(Request {
        method,
        target,
        path,
        query,
        version,
        headers,
        host,
        trace_id: said.trace_id,
        // HTTP/1.0 has no framing that could carry them.
        takes_trailers: said.takes_trailers && version != Version::Http10,
        connection: said.connection,
        body,
        keep_alive: said.connection.keeps(version),
        // RFC 9110, section 10.1.1: the expectation of an HTTP/1.0 client is ignored, and no 100 is
        // needed where no content follows.
        expects_continue: said.expects_continue
            && version == Version::Http11
            && !matches!(body, Body::Empty | Body::Length(0)),
        class_reason: class_reason(method, body),
        sent: None,
        closes: false,
        length: skipped + length,
    }))
}

/// The class of a request that is good in all else: RFC 9110, sections 9.3.1 and 9.3.2, give content of
/// GET and HEAD no meaning.
pub(super) fn class_reason(method: &str, body: Body) -> Option<ClassReason> {
    match body {
        Body::Empty => None,
        _ if !matches!(method, "GET" | "HEAD") => None,
        Body::Length(0) => Some(ClassReason::GetHeadZeroContentLength),
        Body::Length(_) => Some(ClassReason::UndefinedContentLengthSemantics),
        Body::Chunked => Some(ClassReason::UndefinedTransferEncodingSemantics),
        Body::UntilClose => None,
    }
}

/// A whole response head, checked.
#[derive(Debug)]
pub struct Response<'h, 'b> {
    /// Status, 100 to 999.
    pub status: u16,
    /// Reason phrase as sent; empty when it is not ASCII.
    pub phrase: &'b str,
    /// Headers in order.
    pub headers: &'h [Header<'b>],
    /// What the Connection headers say.
    pub connection: Connection<'b>,
    /// How the body is delimited, the request's method taken into account (HEAD, 1xx, 204, 304).
    pub body: Body,
    /// Whether the target keeps the connection.
    pub keep_alive: bool,
    /// Bytes of the head, its empty line included.
    pub length: usize,
}

/// What a request lets its response be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// Head and content.
    Content,
    /// The head alone: it answers HEAD.
    HeadAlone,
    /// Another protocol, or head and content.
    Upgrade,
}

/// Parses a response head. `Ok(None)` needs more bytes.
///
/// # Errors
/// [`Malformed`]; the client gets 502.
pub fn response<'h, 'b>(
    bytes: &'b [u8],
    expected: Expected,
    slots: &'h mut HeaderSlots<'b>,
) -> Result<Option<Response<'h, 'b>>, Malformed> {
    let bytes = within(bytes, RESPONSE_HEAD_BYTES_MAX);
    if matches!(bytes, [b'\r' | b'\n', ..]) {
        return Err(Malformed::BadStatus);
    }
    let mut parsed = httparse::Response::new(&mut []);
    let parser = ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut parsed, bytes, slots) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < RESPONSE_HEAD_BYTES_MAX => return Ok(None),
        Ok(Status::Partial) => return Err(Malformed::HeadTooLong),
        Err(error) => return Err(fault::of_response(bytes, error)),
    };
    lines_end_in_cr_lf(within(bytes, length), parsed.headers.len())?;

    let status = match parsed.code.unwrap_or_default() {
        101 if expected != Expected::Upgrade => return Err(Malformed::UnexpectedUpgrade),
        status @ 100..=999 => status,
        _ => return Err(Malformed::BadStatus),
    };
    let version = version(parsed.version);
    let headers: &'h [Header<'b>] = parsed.headers;
    let said = Said::by_response(headers)?;
    let announced = said.framing.body(version)?;
    // RFC 9112, section 6.3, items 1 and 2.
    let body = match announced {
        _ if expected == Expected::HeadAlone || matches!(status, 100..=199 | 204 | 304) => {
            Body::Empty
        }
        Some(body) => body,
        None => Body::UntilClose,
    };
    // A target that announces a body with 204 may send one, too: nobody may read it as an answer.
    let body_may_follow = status == 204 && !matches!(announced, None | Some(Body::Length(0)));
    Ok(Some(Response {
        status,
        phrase: parsed.reason.unwrap_or_default(),
        headers,
        connection: said.connection,
        body,
        keep_alive: said.connection.keeps(version) && body != Body::UntilClose && !body_may_follow,
        length,
    }))
}

/// What the headers say that the node itself reads.
#[derive(Default)]
pub(super) struct Said<'b> {
    pub(super) host: Option<&'b str>,
    pub(super) trace_id: Option<&'b [u8]>,
    pub(super) takes_trailers: bool,
    pub(super) framing: Framing,
    connection: Connection<'b>,
    expects_continue: bool,
    /// Addresses in X-Forwarded-For.
    forwarded_for: usize,
}

impl<'b> Said<'b> {
    pub(super) fn by_request(headers: &[Header<'b>]) -> Result<Self, Malformed> {
        let mut said = Self::default();
        for header in headers {
            match known(header.name) {
                Known::Host if said.host.is_some() => return Err(Malformed::MultipleHost),
                Known::Host => {
                    said.host = Some(host::valid(header.value).ok_or(Malformed::BadHost)?);
                }
                Known::ContentLength => said.framing.content_length(header.value)?,
                Known::TransferEncoding => said.framing.transfer_encoding(header.value)?,
                Known::Connection => said.connection.read(header.value)?,
                Known::Expect if header.value.eq_ignore_ascii_case(b"100-continue") => {
                    said.expects_continue = true;
                }
                // RFC 9110, section 10.1.1: "MAY respond with a 417".
                Known::Expect => return Err(Malformed::UnknownExpectation),
                Known::FramingLookalike => return Err(Malformed::SuspiciousHeader),
                Known::ForwardedFor => {
                    said.forwarded_for += forwarded_for::addresses(header.value);
                }
                Known::TraceId => {
                    said.trace_id.get_or_insert(header.value);
                }
                Known::Te => said.takes_trailers |= has_trailers(header.value),
                Known::Trailer
                | Known::HopByHop
                | Known::Forwarded
                | Known::ForwardedLookalike
                | Known::Other => {}
            }
        }
        if said.forwarded_for > FORWARDED_FOR_ADDRESSES_MAX {
            return Err(Malformed::TooManyForwardedFor);
        }
        Ok(said)
    }

    fn by_response(headers: &[Header<'b>]) -> Result<Self, Malformed> {
        let mut said = Self::default();
        for header in headers {
            match known(header.name) {
                Known::ContentLength => said.framing.content_length(header.value)?,
                Known::TransferEncoding => said.framing.transfer_encoding(header.value)?,
                Known::Connection => said.connection.read(header.value)?,
                Known::Host
                | Known::Expect
                | Known::Te
                | Known::Trailer
                | Known::HopByHop
                | Known::FramingLookalike
                | Known::ForwardedFor
                | Known::Forwarded
                | Known::TraceId
                | Known::ForwardedLookalike
                | Known::Other => {}
            }
        }
        Ok(said)
    }
}

/// The length that a response announces.
pub(super) fn length_of_response(headers: &[Header<'_>]) -> Result<Option<u64>, Malformed> {
    match Said::by_response(headers)?.framing.body(Version::Http2)? {
        Some(Body::Length(length)) => Ok(Some(length)),
        Some(Body::Empty | Body::Chunked | Body::UntilClose) | None => Ok(None),
    }
}

/// Whether a TE header has the keyword. RFC 9110, section 10.1.4.
fn has_trailers(value: &[u8]) -> bool {
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// Methods that are not offered, in any case: a target may not care about theirs.
pub(super) fn judge_method(method: &str) -> Result<(), Malformed> {
    if method.eq_ignore_ascii_case("CONNECT") {
        Err(Malformed::ConnectMethod)
    } else if method.eq_ignore_ascii_case("TRACE") {
        Err(Malformed::TraceMethod)
    } else {
        Ok(())
    }
}

/// httparse knows 1.0 and 1.1 alone.
const fn version(minor: Option<u8>) -> Version {
    match minor {
        Some(0) => Version::Http10,
        _ => Version::Http11,
    }
}

#[cfg(test)]
mod tests;
