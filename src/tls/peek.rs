//! The server name in a ClientHello, read before TLS begins, so that the name alone chooses the policy.
//!
//! Pure. It never judges: what is no ClientHello goes to rustls, which answers with the right alert.
#![expect(clippy::todo, reason = "interface only")]

/// What the first bytes of a connection say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Peeked {
    /// The ClientHello is not whole yet.
    NeedMore,
    /// It is whole and names this server (lower case, no trailing dot), or none.
    Hello(Option<String>),
    /// No ClientHello will come of this (rustls says why), or it is over
    /// `limits::CLIENT_HELLO_BYTES_MAX`.
    NotHello,
}

/// Reads the server name from everything received so far.
pub fn server_name(received: &[u8]) -> Peeked {
    let _ = received;
    todo!()
}
