//! Requests and their answers, by HTTP/1.1 and by HTTP/2.
mod answer;
mod asked;
mod body;
mod http1;
mod http2;

pub(crate) use asked::{Asked, Method};
pub(crate) use http1::Http1;
pub(crate) use http2::{ALPN as ALPN_HTTP2, Http2, Unanswered};

/// An answer that is whole and has the status that it should have; of its content only the length counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) content_bytes: u64,
    /// Whether another request may follow on the connection.
    pub(crate) keeps: bool,
}
