//! HTTP/2: a request's head checked as one of HTTP/1.1 is, answers as the `h2` crate takes them, and what a
//! client's frames must pass before the crate sees them ([`guard`]).
//!
//! Pure. `shard::http2` drives the crate, which has judged what makes a message malformed in HTTP/2
//! itself (RFC 9113, section 8.1.1): pseudo-headers, connection-specific fields, upper case, a length that
//! is not that of the content. Everything else is judged here, by the rules of [`super::head`].
//! Source: RFC 9113, section 8.
pub mod answer;
pub mod answers;
pub mod empty_data;
pub mod flood;
mod frame;
pub mod guard;
pub mod request;
pub mod response;
mod sent;
mod streams;
pub mod untaken;

use super::head::{Header, Malformed};
use super::lines_out::Lines;
use super::trailers::Filter;
use crate::limits::{self, HEADERS_MAX, RESPONSE_HEAD_BYTES_MAX};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What the node announces to a client, and what the crate keeps for it at most.
pub fn settings() -> h2::server::Builder {
    let mut settings = h2::server::Builder::new();
    settings
        .max_concurrent_streams(limits::H2_STREAMS_MAX)
        .initial_window_size(limits::H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW_BYTES)
        .max_header_list_size(limits::H2_HEADER_LIST_BYTES_MAX)
        .max_send_buffer_size(limits::H2_SEND_BUFFER_BYTES_MAX)
        .data_frame_budget(limits::H2_SMALL_FRAMES_BYTES_MAX)
        .max_local_error_reset_streams(Some(limits::H2_ERRORS_MAX))
        .max_concurrent_reset_streams(limits::H2_RESETS_KEPT_MAX)
        .reset_stream_duration(limits::H2_RESETS_KEPT)
        .max_pending_accept_reset_streams(limits::H2_RESETS_UNTAKEN_MAX);
    settings
}

/// The fields of a message in their order.
///
/// # Errors
/// [`Malformed::TooManyHeaders`].
pub fn fields(fields: &HeaderMap) -> Result<Vec<Header<'_>>, Malformed> {
    if fields.len() > HEADERS_MAX {
        return Err(Malformed::TooManyHeaders);
    }
    let field = |(name, value)| Header {
        name: HeaderName::as_str(name),
        value: HeaderValue::as_bytes(value),
    };
    Ok(fields.iter().map(field).collect())
}

/// Trailers as they go on by HTTP/2.
///
/// # Errors
/// As of [`write_trailers`].
pub fn trailers(received: &HeaderMap, filter: Filter<'_>) -> Result<HeaderMap, Malformed> {
    let mut onward = HeaderMap::with_capacity(received.len());
    write_trailers(&mut onward, received, filter)?;
    keep_secrets(received, &mut onward);
    Ok(onward)
}

/// Writes those trailers that go on.
///
/// # Errors
/// Too many of them, or too long ones.
pub fn write_trailers(
    out: &mut impl Lines,
    received: &HeaderMap,
    filter: Filter<'_>,
) -> Result<(), Malformed> {
    let fields = fields(received)?;
    if fields.iter().map(line_bytes).sum::<usize>() > RESPONSE_HEAD_BYTES_MAX {
        return Err(Malformed::TrailersTooLong);
    }
    filter.write(out, fields.iter().map(|field| (field.name, field.value)));
    Ok(())
}

/// What fields count in the access log: as lines of HTTP/1.1 do.
pub fn fields_bytes(fields: &HeaderMap) -> u64 {
    let bytes = |(name, value): (&HeaderName, &HeaderValue)| {
        line_bytes(&Header { name: name.as_str(), value: value.as_bytes() })
    };
    fields.iter().map(bytes).sum::<usize>() as u64
}

/// What a field counts: as a line of HTTP/1.1 does.
fn line_bytes(field: &Header<'_>) -> usize {
    field.name.len() + field.value.len() + ": \r\n".len()
}

/// What its sender kept out of the compression's memory goes on like that.
///
/// RFC 7541, section 6.2.3: "Intermediaries MUST use the same representation for encoding this header field."
fn keep_secrets(received: &HeaderMap, onward: &mut HeaderMap) {
    for (name, _) in received.iter().filter(|(_, value)| value.is_sensitive()) {
        if let http::header::Entry::Occupied(mut entry) = onward.entry(name) {
            entry.iter_mut().for_each(|value| value.set_sensitive(true));
        }
    }
}

/// The fields of an HTTP/2 message; names become lower case.
impl Lines for HeaderMap {
    fn line(&mut self, name: &str, value: &[u8]) {
        let field = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value));
        let (Ok(name), Ok(value)) = field else {
            debug_assert!(false, "a line was checked before it is written");
            return;
        };
        self.append(name, value);
    }
}
