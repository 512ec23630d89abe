//! The node's own answers. Source: `alb-contract.md`, section 6.4.
#![expect(clippy::todo, reason = "interface only")]
use super::attributes::ServerName;
use super::head::Version;
use std::time::Duration;

/// An answer that the node makes itself.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Status, 200 to 599.
    pub status: u16,
    /// `text/html` for the standard bodies.
    pub content_type: &'a str,
    /// The body; `None` writes the standard one of the status.
    pub body: Option<&'a [u8]>,
}

impl Answer<'static> {
    /// The standard answer of a status.
    pub const fn standard(status: u16) -> Self {
        Self { status, content_type: "text/html", body: None }
    }
}

/// How the answer is sent.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The client's version.
    pub version: Version,
    /// Whether the connection is kept.
    pub keep_alive: bool,
    /// To HEAD: the head alone.
    pub head_only: bool,
    /// The Server header.
    pub server: ServerName,
    /// Time since 1970, for Date.
    pub since_epoch: Duration,
}

/// Writes head and body: Server, Date, Content-Type, Content-Length, Connection.
pub fn write(out: &mut Vec<u8>, answer: &Answer<'_>, manner: &Manner) {
    let _ = (out, answer, manner);
    todo!()
}
