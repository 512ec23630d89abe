//! What requests and responses have in common, by whichever version of HTTP they come.

/// How a message's body is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    /// There is none.
    Empty,
    /// Exactly so many bytes.
    Length(u64),
    /// Chunked.
    Chunked,
    /// All until the connection closes (responses only).
    UntilClose,
}

/// HTTP version of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

/// One header line: name and value without surrounding blanks.
pub type Header<'b> = httparse::Header<'b>;
