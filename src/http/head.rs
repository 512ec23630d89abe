//! Request and response heads: strict parsing and framing.
#![expect(clippy::todo, reason = "interface only")]

/// Why a request's head or body framing is refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// A placeholder; the real list is closed and answers `status` and `word` by `match`.
    #[error("malformed")]
    Head,
}

impl Malformed {
    /// Every kind, in the order of `index`.
    pub const ALL: [Self; 1] = [Self::Head];
    /// Position in `ALL`.
    pub const fn index(self) -> usize {
        self as usize
    }
    /// 400, 405 (TRACE), 414 (request line), 505 (version).
    pub const fn status(self) -> u16 {
        400
    }
    /// The word in logs and the `reason` label.
    pub const fn word(self) -> &'static str {
        "head"
    }
}

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
}

/// One header line: name and value without surrounding blanks.
pub type Header<'b> = httparse::Header<'b>;

/// Room for the headers of one head; reused for each message.
pub type HeaderSlots<'b> = [std::mem::MaybeUninit<Header<'b>>; crate::limits::HEADERS_MAX];

/// A whole request head, checked.
#[derive(Debug)]
pub struct Request<'h, 'b> {
    /// Method.
    pub method: &'b str,
    /// Request target as sent (origin, absolute or asterisk form).
    pub target: &'b str,
    /// Version.
    pub version: Version,
    /// Headers in order.
    pub headers: &'h [Header<'b>],
    /// The one Host value (or the authority of an absolute-form target, which wins); none with HTTP/1.0.
    pub host: Option<&'b str>,
    /// How the body is delimited.
    pub body: Body,
    /// Whether the client wants the connection kept.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
    /// Bytes of the head, its empty line included.
    pub length: usize,
}

/// Parses a request head. `Ok(None)` needs more bytes (within `limits`).
///
/// # Errors
/// [`Malformed`] for anything ambiguous or over a limit; the connection is then answered and closed.
pub fn request<'h, 'b>(
    bytes: &'b [u8],
    slots: &'h mut HeaderSlots<'b>,
) -> Result<Option<Request<'h, 'b>>, Malformed> {
    let _ = (bytes, slots);
    todo!()
}

/// A whole response head, checked.
#[derive(Debug)]
pub struct Response<'h, 'b> {
    /// Status, 100 to 999.
    pub status: u16,
    /// Reason phrase as sent.
    pub phrase: &'b str,
    /// Headers in order.
    pub headers: &'h [Header<'b>],
    /// How the body is delimited, the request's method taken into account (HEAD, 1xx, 204, 304).
    pub body: Body,
    /// Whether the target keeps the connection.
    pub keep_alive: bool,
    /// Bytes of the head, its empty line included.
    pub length: usize,
}

/// Parses a response head to a request of `method`. `Ok(None)` needs more bytes.
///
/// # Errors
/// [`Malformed`]; the client gets 502.
pub fn response<'h, 'b>(
    bytes: &'b [u8],
    method: &str,
    slots: &'h mut HeaderSlots<'b>,
) -> Result<Option<Response<'h, 'b>>, Malformed> {
    let _ = (bytes, method, slots);
    todo!()
}
