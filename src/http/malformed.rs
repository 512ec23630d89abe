//! Why a message is refused: what the client gets, and the word in logs and metrics.
//!
//! The words stand near the classification reasons of ALB's access log, where it has one for the case
//! (`alb-contract.md`, section 2.4). The answer closes the connection, whatever the reason.

/// Why a request's head or body framing is refused, or a response's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// More than one empty line, or anything but CR LF, before the request line.
    #[error("more than one empty line before the request line")]
    LeadingEmptyLines,
    /// A request line over `limits::REQUEST_LINE_BYTES_MAX`.
    #[error("the request line is too long")]
    RequestLineTooLong,
    /// The method is not a token.
    #[error("the method is not a token")]
    BadMethod,
    /// CONNECT: this is no forward proxy.
    #[error("CONNECT is not offered")]
    ConnectMethod,
    /// TRACE: it would echo identity headers to the client.
    #[error("TRACE is not offered")]
    TraceMethod,
    /// A target of no known form or scheme, or with NUL, CR, `#` or bytes outside ASCII.
    #[error("the request target is not one")]
    BadUri,
    /// Any other control character in the target.
    #[error("a control character in the request target")]
    AmbiguousUri,
    /// More blanks in the request line than its two.
    #[error("too many spaces in the request line")]
    SpaceInUri,
    /// The version is missing (HTTP/0.9) or malformed.
    #[error("the version is missing or malformed")]
    BadVersion,
    /// A well-formed version other than 1.0 and 1.1; also the preface of HTTP/2.
    #[error("the version is not 1.0 or 1.1")]
    UnsupportedVersion,
    /// A line that ends in LF without CR.
    #[error("a line ends in LF without CR")]
    BareLf,
    /// A CR without LF.
    #[error("a CR without LF")]
    BareCr,
    /// A NUL in a header.
    #[error("a NUL in a header")]
    Nul,
    /// A line that begins with a blank (obs-fold).
    #[error("a header goes on over more lines")]
    MultilineHeader,
    /// A header line without a colon.
    #[error("a header line has no colon")]
    MissingHeaderColon,
    /// A blank in or after a header name.
    #[error("a blank in or after a header name")]
    SpaceBeforeColon,
    /// A header line that begins with the colon.
    #[error("a header has no name")]
    EmptyHeaderName,
    /// A header name that is not a token.
    #[error("a header name is not a token")]
    BadHeaderName,
    /// A control character in a header value.
    #[error("a control character in a header value")]
    BadHeaderValue,
    /// A header line over `limits::HEADER_BYTES_MAX`.
    #[error("a header is too long")]
    HeaderTooLong,
    /// A head over `limits::REQUEST_HEAD_BYTES_MAX` or `limits::RESPONSE_HEAD_BYTES_MAX`.
    #[error("the head is too long")]
    HeadTooLong,
    /// More than `limits::HEADERS_MAX` headers.
    #[error("too many headers")]
    TooManyHeaders,
    /// Connection names more than `limits::CONNECTION_OPTIONS_MAX` headers.
    #[error("Connection names too many headers")]
    TooManyConnectionOptions,
    /// HTTP/1.1 without Host.
    #[error("no Host")]
    MissingHost,
    /// More than one Host.
    #[error("more than one Host")]
    MultipleHost,
    /// A Host, or an authority, that is not `host[:port]`.
    #[error("Host is not a host with or without a port")]
    BadHost,
    /// More than `limits::FORWARDED_FOR_ADDRESSES_MAX` addresses in X-Forwarded-For.
    #[error("too many addresses in X-Forwarded-For")]
    TooManyForwardedFor,
    /// A name that a target could take for Content-Length or Transfer-Encoding.
    #[error("a header looks like a framing header")]
    SuspiciousHeader,
    /// GET or HEAD with a Content-Length or Transfer-Encoding, where its class is refused.
    #[error("GET or HEAD announces a body")]
    BodyOfGet,
    /// Both Content-Length and Transfer-Encoding.
    #[error("both Content-Length and Transfer-Encoding")]
    BothTeClPresent,
    /// A Content-Length that is not digits alone, or over 2^63 - 1.
    #[error("Content-Length is not a number")]
    BadContentLength,
    /// Content-Length repeated with the same value.
    #[error("Content-Length repeated")]
    DuplicateContentLength,
    /// Content-Length repeated with another value.
    #[error("different Content-Lengths")]
    MultipleContentLength,
    /// A Transfer-Encoding other than `chunked`.
    #[error("Transfer-Encoding is not chunked")]
    BadTransferEncoding,
    /// Transfer-Encoding repeated.
    #[error("Transfer-Encoding repeated")]
    MultipleTransferEncoding,
    /// Transfer-Encoding with HTTP/1.0.
    #[error("Transfer-Encoding with HTTP/1.0")]
    TransferEncodingInHttp10,
    /// An expectation other than `100-continue`.
    #[error("an expectation other than 100-continue")]
    UnknownExpectation,
    /// What RFC 9113 calls malformed: the stream is reset, without an answer.
    #[error("the head breaks a rule of HTTP/2's own")]
    BreaksHttp2,
    /// A chunk size that is not 1 to 16 hexadecimal digits.
    #[error("a chunk size is not one")]
    BadChunkSize,
    /// A control character, bare CR or LF, or byte outside ASCII in a chunk-size line.
    #[error("a control character in a chunk extension")]
    BadChunkExtension,
    /// A chunk-size line over `limits::CHUNK_LINE_BYTES_MAX`.
    #[error("a chunk-size line is too long")]
    ChunkLineTooLong,
    /// A chunk that is not followed by CR LF.
    #[error("a chunk does not end in CR LF")]
    BadChunkEnd,
    /// A trailer line that is not a header line.
    #[error("a trailer is malformed")]
    BadTrailer,
    /// A trailer section over `limits::TRAILERS_BYTES_MAX`.
    #[error("the trailers are too long")]
    TrailersTooLong,
    /// A response without a well-formed status line.
    #[error("the status line is malformed")]
    BadStatus,
    /// A 101 to a request that asked for no upgrade.
    #[error("101 without an upgrade")]
    UnexpectedUpgrade,
}

impl Malformed {
    /// Every kind, in the order of [`Malformed::index`].
    pub const ALL: [Self; 46] = [
        Self::LeadingEmptyLines,
        Self::RequestLineTooLong,
        Self::BadMethod,
        Self::ConnectMethod,
        Self::TraceMethod,
        Self::BadUri,
        Self::AmbiguousUri,
        Self::SpaceInUri,
        Self::BadVersion,
        Self::UnsupportedVersion,
        Self::BareLf,
        Self::BareCr,
        Self::Nul,
        Self::MultilineHeader,
        Self::MissingHeaderColon,
        Self::SpaceBeforeColon,
        Self::EmptyHeaderName,
        Self::BadHeaderName,
        Self::BadHeaderValue,
        Self::HeaderTooLong,
        Self::HeadTooLong,
        Self::TooManyHeaders,
        Self::TooManyConnectionOptions,
        Self::MissingHost,
        Self::MultipleHost,
        Self::BadHost,
        Self::TooManyForwardedFor,
        Self::SuspiciousHeader,
        Self::BodyOfGet,
        Self::BothTeClPresent,
        Self::BadContentLength,
        Self::DuplicateContentLength,
        Self::MultipleContentLength,
        Self::BadTransferEncoding,
        Self::MultipleTransferEncoding,
        Self::TransferEncodingInHttp10,
        Self::UnknownExpectation,
        Self::BreaksHttp2,
        Self::BadChunkSize,
        Self::BadChunkExtension,
        Self::ChunkLineTooLong,
        Self::BadChunkEnd,
        Self::BadTrailer,
        Self::TrailersTooLong,
        Self::BadStatus,
        Self::UnexpectedUpgrade,
    ];

    /// Position in [`Malformed::ALL`], for arrays of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The status that a client gets for its request: 400, 405, 414, 417, 463 or 505. For a target's
    /// response it is always 502.
    pub const fn status(self) -> u16 {
        match self {
            Self::ConnectMethod | Self::TraceMethod => 405,
            Self::RequestLineTooLong => 414,
            Self::UnknownExpectation => 417,
            Self::TooManyForwardedFor => 463,
            Self::BadStatus | Self::UnexpectedUpgrade => 502,
            Self::UnsupportedVersion => 505,
            Self::LeadingEmptyLines
            | Self::BadMethod
            | Self::BadUri
            | Self::AmbiguousUri
            | Self::SpaceInUri
            | Self::BadVersion
            | Self::BareLf
            | Self::BareCr
            | Self::Nul
            | Self::MultilineHeader
            | Self::MissingHeaderColon
            | Self::SpaceBeforeColon
            | Self::EmptyHeaderName
            | Self::BadHeaderName
            | Self::BadHeaderValue
            | Self::HeaderTooLong
            | Self::HeadTooLong
            | Self::TooManyHeaders
            | Self::TooManyConnectionOptions
            | Self::MissingHost
            | Self::MultipleHost
            | Self::BadHost
            | Self::SuspiciousHeader
            | Self::BodyOfGet
            | Self::BothTeClPresent
            | Self::BadContentLength
            | Self::DuplicateContentLength
            | Self::MultipleContentLength
            | Self::BadTransferEncoding
            | Self::MultipleTransferEncoding
            | Self::TransferEncodingInHttp10
            | Self::BreaksHttp2
            | Self::BadChunkSize
            | Self::BadChunkExtension
            | Self::ChunkLineTooLong
            | Self::BadChunkEnd
            | Self::BadTrailer
            | Self::TrailersTooLong => 400,
        }
    }

    /// The word in logs and the `reason` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::LeadingEmptyLines => "leading_empty_lines",
            Self::RequestLineTooLong => "request_line_too_long",
            Self::BadMethod => "bad_method",
            Self::ConnectMethod => "connect_method",
            Self::TraceMethod => "trace_method",
            Self::BadUri => "bad_uri",
            Self::AmbiguousUri => "ambiguous_uri",
            Self::SpaceInUri => "space_in_uri",
            Self::BadVersion => "bad_version",
            Self::UnsupportedVersion => "unsupported_version",
            Self::BareLf => "bare_lf",
            Self::BareCr => "bare_cr",
            Self::Nul => "nul",
            Self::MultilineHeader => "multiline_header",
            Self::MissingHeaderColon => "missing_header_colon",
            Self::SpaceBeforeColon => "space_before_colon",
            Self::EmptyHeaderName => "empty_header_name",
            Self::BadHeaderName => "bad_header_name",
            Self::BadHeaderValue => "bad_header_value",
            Self::HeaderTooLong => "header_too_long",
            Self::HeadTooLong => "head_too_long",
            Self::TooManyHeaders => "too_many_headers",
            Self::TooManyConnectionOptions => "too_many_connection_options",
            Self::MissingHost => "missing_host",
            Self::MultipleHost => "multiple_host",
            Self::BadHost => "bad_host",
            Self::TooManyForwardedFor => "too_many_forwarded_for",
            Self::SuspiciousHeader => "suspicious_header",
            Self::BodyOfGet => "body_of_get",
            Self::BothTeClPresent => "both_te_cl_present",
            Self::BadContentLength => "bad_content_length",
            Self::DuplicateContentLength => "duplicate_content_length",
            Self::MultipleContentLength => "multiple_content_length",
            Self::BadTransferEncoding => "bad_transfer_encoding",
            Self::MultipleTransferEncoding => "multiple_transfer_encoding",
            Self::TransferEncodingInHttp10 => "transfer_encoding_in_http10",
            Self::UnknownExpectation => "unknown_expectation",
            Self::BreaksHttp2 => "breaks_http2",
            Self::BadChunkSize => "bad_chunk_size",
            Self::BadChunkExtension => "bad_chunk_extension",
            Self::ChunkLineTooLong => "chunk_line_too_long",
            Self::BadChunkEnd => "bad_chunk_end",
            Self::BadTrailer => "bad_trailer",
            Self::TrailersTooLong => "trailers_too_long",
            Self::BadStatus => "bad_status",
            Self::UnexpectedUpgrade => "unexpected_upgrade",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_follow_the_list() {
        for (index, reason) in Malformed::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index, "{reason:?}");
        }
    }

    #[test]
    fn words_are_distinct_label_values() {
        for (index, reason) in Malformed::ALL.iter().enumerate() {
            let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            assert!(reason.word().bytes().all(allowed), "{reason:?}");
            assert!(Malformed::ALL[..index].iter().all(|other| other.word() != reason.word()));
        }
    }

    #[test]
    fn every_status_is_an_error() {
        assert!(Malformed::ALL.iter().all(|reason| (400..600).contains(&reason.status())));
    }
}
