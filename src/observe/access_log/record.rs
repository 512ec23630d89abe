//! What is noted of a request while it is served, by whoever it is with.
//!
//! Pure: times are passed in. One for each request, and only where there is an access log. What its
//! client sent is copied into one buffer and escaped when the line is written.
//! Bounds: a request line, a host, a User-Agent cut at `limits::LOGGED_USER_AGENT_BYTES_MAX`, and a header
//! or two more, each within the bounds of the head that it came in.
#![deny(clippy::indexing_slicing)]
use crate::close::Reason;
use crate::http::desync::{ClassReason, RequestLine};
use crate::http::head::{Request, Version};
use crate::http::host;
use crate::limits::{LOGGED_USER_AGENT_BYTES_MAX, REQUEST_LINE_BYTES_MAX};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

/// What became of a request.
///
/// ```text
/// new --> asked --> dispatched --> answering --> answered --> passed_on
///     `-> unreadable    ^  `-- retry --'  `-- interim: answering anew
/// ```
#[derive(Clone, Debug)]
pub struct Record {
    /// The `type` field.
    pub kind: Kind,
    /// The status that the client got; none where it got no answer.
    pub elb_status: Option<u16>,
    /// Bytes of the request, its head included.
    pub received_bytes: u64,
    /// Bytes of the answer, its head included.
    pub sent_bytes: u64,
    /// The rule that it matched: 0 is the default, -1 an evaluation that failed.
    pub matched_rule_priority: Option<i32>,
    /// What was done with it.
    pub action: Option<Executed>,
    /// Why it has a desync class; none for what is as RFC 9112 has it.
    pub classification: Option<ClassReason>,
    /// JSON form only: the generation by which it was decided what is done with it.
    pub generation: u64,
    /// JSON form only: why it was refused or not served to its end, in a word of ours.
    pub reason: Option<&'static str>,
    entrance: Entrance,
    created: Duration,
    began: Instant,
    target: Option<SocketAddr>,
    target_status: Option<u16>,
    dispatched: Option<Instant>,
    /// The first byte of the target's final answer came.
    answering: Option<Instant>,
    /// Its head was whole.
    answered: Option<Instant>,
    passed_on: Option<Instant>,
    text: Text,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug)]
pub struct Entrance {
    /// Whether by TLS.
    pub tls: bool,
    /// The node's address: the host of a request that names none.
    pub address: IpAddr,
    /// The listener's port.
    pub port: u16,
}

/// What kind of request it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// HTTP/1 without TLS.
    Http,
    /// HTTP/1 over TLS.
    Https,
    /// HTTP/2 over TLS.
    H2,
    /// gRPC over TLS.
    Grpcs,
    /// A WebSocket without TLS.
    Ws,
    /// A WebSocket over TLS.
    Wss,
}

impl Kind {
    /// The word in the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2 => "h2",
            Self::Grpcs => "grpcs",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

/// An action that was carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Executed {
    /// It went, or was to go, to a target.
    Forward,
    /// The node answered.
    FixedResponse,
}

impl Executed {
    /// ALB's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::FixedResponse => "fixed-response",
        }
    }
}

impl Record {
    /// Of a request that begins now, and of which nothing is known yet.
    pub fn new(entrance: Entrance, created: Duration, began: Instant) -> Self {
        Self {
            kind: if entrance.tls { Kind::Https } else { Kind::Http },
            elb_status: None,
            received_bytes: 0,
            sent_bytes: 0,
            matched_rule_priority: None,
            action: None,
            classification: None,
            generation: 0,
            reason: None,
            entrance,
            created,
            began,
            target: None,
            target_status: None,
            dispatched: None,
            answering: None,
            answered: None,
            passed_on: None,
            text: Text::default(),
        }
    }

    /// Its head is whole; a target gets it with this trace id.
    pub fn asked(&mut self, request: &Request<'_, '_>, trace_id: &[u8]) {
        self.received_bytes = request.length as u64;
        self.classification = request.class_reason;
        if request.version == Version::Http2 {
            self.kind = Kind::H2;
        }
        let line = request.sent.map_or_else(|| FirstLine::read(request), FirstLine::of);
        let text = &mut self.text;
        text.bytes.reserve(2 * line.target.len() + TEXT_BYTES);
        text.method = Some(text.add(line.method));
        let start = text.bytes.len();
        if line.target.starts_with(b"/") || line.target == b"*" {
            write_origin(&mut text.bytes, self.entrance, request.host);
        }
        text.bytes.extend_from_slice(line.target);
        text.url = Some(start..text.bytes.len());
        text.version = Some(text.add(line.version));
        let mut headers = request.headers.iter();
        if let Some(user_agent) = headers.find(|one| one.name.eq_ignore_ascii_case("User-Agent")) {
            let shown = user_agent.value.get(..LOGGED_USER_AGENT_BYTES_MAX);
            text.user_agent = Some(text.add(shown.unwrap_or(user_agent.value)));
        }
        text.trace_id = Some(text.add(trace_id));
    }

    /// It was refused before its head could be read: what can be told apart of its first line.
    pub fn unreadable(&mut self, received: &[u8]) {
        self.received_bytes = received.len() as u64;
        let line = FirstLine::of(received);
        let text = &mut self.text;
        text.method = text.add_some(line.method);
        let start = text.bytes.len();
        write_origin(&mut text.bytes, self.entrance, None);
        text.bytes.extend_from_slice(if line.target.is_empty() { b"-" } else { line.target });
        text.url = Some(start..text.bytes.len());
        text.version = text.add_some(line.version);
    }

    /// Client and target have agreed on a WebSocket.
    pub fn upgraded(&mut self) {
        self.kind = if self.entrance.tls { Kind::Wss } else { Kind::Ws };
    }

    /// It is for the target group with this ARN.
    pub fn is_for(&mut self, target_group: &str) {
        self.text.target_group = Some(self.text.add(target_group.as_bytes()));
    }

    /// This target was chosen for it, if there was one to choose.
    pub fn chose(&mut self, target: Option<SocketAddr>) {
        self.target = target;
    }

    /// It goes to the target, for the first time or once more.
    pub fn dispatched(&mut self, now: Instant) {
        self.dispatched = Some(now);
    }

    /// The target has sent something.
    pub fn answering(&mut self, now: Instant) {
        self.answering.get_or_insert(now);
    }

    /// That was an interim answer; another follows.
    pub fn interim(&mut self) {
        self.answering = None;
    }

    /// The head of the target's final answer is whole.
    pub fn answered(&mut self, status: u16, now: Instant) {
        self.answering(now);
        self.target_status = Some(status);
        self.answered = Some(now);
    }

    /// The first bytes of that answer go to the client.
    pub fn passed_on(&mut self, now: Instant) {
        self.passed_on.get_or_insert(now);
    }

    /// What was to be passed on did not reach the client.
    pub fn not_passed_on(&mut self) {
        if self.sent_bytes == 0 {
            self.elb_status = None;
        }
    }

    /// What has gone of an answer over HTTP/2 whose head counts already: the head at this time, if it has, and
    /// bytes of its content.
    pub fn gone(&mut self, head: Option<Instant>, content_bytes: u64) {
        match head {
            Some(head) => {
                self.passed_on(head);
                self.sent_bytes += content_bytes;
            }
            None => {
                self.sent_bytes = 0;
                self.not_passed_on();
                // Where it failed before, that is why.
                if self.reason.is_none() {
                    self.failed(Reason::ClientClosed);
                }
            }
        }
    }

    /// The client ended it before all of its content had come.
    pub fn cut_short(&mut self) {
        self.elb_status = Some(400);
    }

    /// The client, whose request was whole, did not wait for a target to be found.
    pub fn taken_back(&mut self) {
        self.elb_status = Some(460);
    }

    /// It was not served, or not to its end, because of this.
    pub fn failed(&mut self, reason: Reason) {
        self.reason.get_or_insert(reason.word());
        let is_dispatched = self.dispatched.is_some();
        if reason == Reason::ClientClosed {
            self.elb_status.get_or_insert(if is_dispatched { 460 } else { 400 });
        }
        // A target that breaks off before it has answered counts as never reached.
        if reason.is_logged_as_undispatched() && self.answered.is_none() {
            self.dispatched = None;
        }
    }

    pub(super) fn created(&self) -> Duration {
        self.created
    }

    pub(super) fn lasted(&self, ended: Instant) -> Duration {
        ended.saturating_duration_since(self.began)
    }

    pub(super) fn request_time(&self) -> Option<Duration> {
        Some(self.dispatched?.saturating_duration_since(self.began))
    }

    pub(super) fn target_time(&self) -> Option<Duration> {
        Some(self.answering?.saturating_duration_since(self.dispatched?))
    }

    pub(super) fn response_time(&self) -> Option<Duration> {
        Some(self.passed_on?.saturating_duration_since(self.answered?))
    }

    pub(super) fn target(&self) -> Option<SocketAddr> {
        self.target
    }

    pub(super) fn target_status(&self) -> Option<u16> {
        self.target_status
    }

    pub(super) fn method(&self) -> Option<&[u8]> {
        self.text.get(self.text.method.as_ref())
    }

    pub(super) fn url(&self) -> Option<&[u8]> {
        self.text.get(self.text.url.as_ref())
    }

    pub(super) fn version(&self) -> Option<&[u8]> {
        self.text.get(self.text.version.as_ref())
    }

    pub(super) fn user_agent(&self) -> Option<&[u8]> {
        self.text.get(self.text.user_agent.as_ref())
    }

    pub(super) fn trace_id(&self) -> Option<&[u8]> {
        self.text.get(self.text.trace_id.as_ref())
    }

    pub(super) fn target_group(&self) -> Option<&[u8]> {
        self.text.get(self.text.target_group.as_ref())
    }
}

/// `protocol://host:port`, as the client has named the host. The port is the listener's unless it named
/// one.
fn write_origin(out: &mut Vec<u8>, entrance: Entrance, host: Option<&str>) {
    let scheme: &[u8] = if entrance.tls { b"https://" } else { b"http://" };
    out.extend_from_slice(scheme);
    // Writing to a Vec cannot fail.
    let _ = match host.map(host::split) {
        Some((host, Some(port))) if !port.is_empty() => write!(out, "{host}:{port}"),
        Some((host, _)) => write!(out, "{host}:{}", entrance.port),
        None => write!(out, "{}", SocketAddr::new(entrance.address.to_canonical(), entrance.port)),
    };
}

/// What a client sent, and names that shards would have to share, one part after the other.
#[derive(Clone, Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    method: Option<Range<usize>>,
    url: Option<Range<usize>>,
    version: Option<Range<usize>>,
    user_agent: Option<Range<usize>>,
    trace_id: Option<Range<usize>>,
    target_group: Option<Range<usize>>,
}

/// Room for what usually goes with a target.
const TEXT_BYTES: usize = 256;

impl Text {
    fn add(&mut self, part: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(part);
        start..self.bytes.len()
    }

    fn add_some(&mut self, part: &[u8]) -> Option<Range<usize>> {
        (!part.is_empty()).then(|| self.add(part))
    }

    fn get(&self, part: Option<&Range<usize>>) -> Option<&[u8]> {
        self.bytes.get(part?.clone())
    }
}

/// The parts of a request line, which may be none; empty where they are missing.
#[derive(Debug, Default, Eq, PartialEq)]
struct FirstLine<'b> {
    method: &'b [u8],
    target: &'b [u8],
    version: &'b [u8],
}

impl<'b> FirstLine<'b> {
    /// Of a request that was read as it was sent.
    fn read(request: &Request<'_, 'b>) -> Self {
        let version: &[u8] = match request.version {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
            Version::Http2 => b"HTTP/2.0",
        };
        Self { method: request.method.as_bytes(), target: request.target.as_bytes(), version }
    }

    /// The last word is a version when it looks like one. Spaces around a target are none of it.
    fn of(received: &'b [u8]) -> Self {
        let mut lines = received.split(|byte| *byte == b'\n');
        let line = lines.find(|line| !matches!(line, [] | [b'\r'])).unwrap_or_default();
        let line = line.get(..REQUEST_LINE_BYTES_MAX).unwrap_or(line).trim_ascii_end();
        let RequestLine { method, rest, target, version, .. } = RequestLine::of(line);
        match (version, rest.starts_with(b"HTTP/")) {
            (Some(version), _) if version.starts_with(b"HTTP/") => {
                Self { method, target: target.trim_ascii(), version }
            }
            (_, true) => Self { method, target: b"", version: rest },
            (_, false) => Self { method, target: rest.trim_ascii(), version: b"" },
        }
    }
}

#[cfg(test)]
impl Record {
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Has the client say this wherever it says something, whether or not a head could hold it.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        let mut text = Text::default();
        let part = Some(text.add(bytes));
        (text.method, text.url, text.version) = (part.clone(), part.clone(), part.clone());
        (text.user_agent, text.trace_id) = (part.clone(), part);
        self.text = text;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_told_apart_of_a_bad_first_line_is() {
        for (received, method, target, version) in [
            (&b"GET /a HTTP/1.1\r\nHost"[..], &b"GET"[..], &b"/a"[..], &b"HTTP/1.1"[..]),
            (b"GET /a b HTTP/1.1\n", b"GET", b"/a b", b"HTTP/1.1"),
            (b"\r\nGET /\r\n", b"GET", b"/", b""),
            (b"GET HTTP/1.1\r\n", b"GET", b"", b"HTTP/1.1"),
            (b"GET  HTTP/1.1", b"GET", b"", b"HTTP/1.1"),
            (b"GET", b"GET", b"", b""),
            (b"GET  /a b  HTTP/1.1 \t\r\n", b"GET", b"/a b", b"HTTP/1.1"),
            (b"GET /a ", b"GET", b"/a", b""),
            (b"\x16\x03\x01\0 \0", b"\x16\x03\x01\0", b"\0", b""),
            (b"", b"", b"", b""),
            (b"\r\n\r\n", b"", b"", b""),
        ] {
            let line = FirstLine { method, target, version };
            assert_eq!(FirstLine::of(received), line, "{}", received.escape_ascii());
        }
        let long = [b'x'; 2 * REQUEST_LINE_BYTES_MAX];
        assert_eq!(FirstLine::of(&long).method.len(), REQUEST_LINE_BYTES_MAX);
    }
}
