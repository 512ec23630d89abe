//! What a client's frames must pass before the `h2` crate sees them: what is too much of them, and what is wrong
//! in a way for which the crate has no name.
//!
//! Pure: bytes and the connection's age in. [`super::flood`] has the account of cheap frames,
//! [`super::streams`] which streams a client may still send on, [`super::untaken`] what becomes of its
//! requests, [`super::answers`] what has gone of their answers. The crate calls almost every broken frame a
//! PROTOCOL_ERROR; here is what RFC 9113 gives another name, and what the crate judges well is left to it.
//! Bounds: a frame's header, and a few numbers for each stream; nothing is kept of what passes.
//! Source: RFC 9113, sections 4 to 8.
#![deny(clippy::indexing_slicing)]
use super::answers::{Answers, Gone};
use super::flood::{Allowance, Flood};
use super::frame::{Cursor, Frame, HEADER_BYTES, Part, disguise, flag, kind};
use super::sent::{Reader, What};
use super::streams::{Closed, Streams};
use super::untaken::{Refused, Untaken};
use h2::Reason;
use std::time::Duration;

/// Why a connection ends because of its client's frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offence {
    /// There were too many of this kind.
    Flood(Flood),
    /// One was broken; the code that the client gets. RFC 9113, section 5.4.1: "an endpoint MAY choose to treat
    /// a stream error as a connection error."
    Broken(Reason),
}

impl Offence {
    /// What GOAWAY says.
    pub const fn code(self) -> Reason {
        match self {
            Self::Flood(_) => Reason::ENHANCE_YOUR_CALM,
            Self::Broken(code) => code,
        }
    }
}

impl From<Flood> for Offence {
    fn from(flood: Flood) -> Self {
        Self::Flood(flood)
    }
}

impl From<Closed> for Offence {
    fn from(_: Closed) -> Self {
        Self::Broken(Reason::STREAM_CLOSED)
    }
}

/// Bytes are not all let through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Halt {
    /// How many of them are, from the first: whole frames, and what is left of one that had begun.
    pub passed: usize,
    /// Why the rest is not.
    pub offence: Offence,
}

/// Reads what a client sends, and what it is sent.
#[derive(Debug)]
pub struct Guard {
    cursor: Cursor,
    next: Next,
    /// Whether a field block has begun that goes on in CONTINUATION.
    in_block: bool,
    allowance: Allowance,
    streams: Streams,
    untaken: Untaken,
    answers: Answers,
    sent: Reader,
}

/// What is read next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Header,
    /// The length of the padding of this DATA frame.
    Padding(Frame),
    /// A setting of a SETTINGS frame, of which so many bytes are to come.
    Setting {
        left: usize,
    },
}

/// How a frame goes on to the crate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Passage {
    AsItIs,
    /// As one that the crate passes over.
    Disguised,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            cursor: Cursor::to_frame_behind(PREFACE_BYTES),
            next: Next::Header,
            in_block: false,
            allowance: Allowance::default(),
            streams: Streams::default(),
            untaken: Untaken::default(),
            answers: Answers::default(),
            sent: Reader::default(),
        }
    }
}

impl Guard {
    /// Reads what the client sent, as it comes; `age` is the connection's.
    ///
    /// DATA without content says nothing unless it ends its stream. The crate ends a connection at the hundredth of
    /// its life; here each costs a little of the allowance, and is disguised as a frame of no known type. One
    /// whose header does not come in one piece goes on as it is.
    ///
    /// # Errors
    /// The connection ends; nothing that follows is to be read.
    pub fn received(&mut self, bytes: &mut [u8], age: Duration) -> Result<(), Halt> {
        self.allowance.give_back_by_time(age);
        let (mut read, mut begun) = (0, None);
        while let (used, Some(part)) = self.cursor.take(bytes.get(read..).unwrap_or_default()) {
            read += used;
            if matches!(self.next, Next::Header) {
                begun = read.checked_sub(HEADER_BYTES);
            }
            match self.judge(part) {
                Ok(Passage::AsItIs) => {}
                Ok(Passage::Disguised) => disguise(bytes, begun),
                Err(offence) => return Err(Halt { passed: begun.unwrap_or(0), offence }),
            }
        }
        Ok(())
    }

    /// Reads what is sent to the client: work that it asked for. How many streams were refused, to be tried
    /// again.
    pub fn sent(&mut self, bytes: &[u8]) -> u64 {
        self.allowance.sent(bytes.len());
        let Self { sent, untaken, answers, .. } = self;
        let mut refused_streams = 0;
        sent.read(bytes, |sent| {
            let refused = What::Reset { code: Reason::REFUSED_STREAM };
            refused_streams += u64::from(sent.what == refused);
            untaken.sent(sent);
            answers.sent(sent);
        });
        refused_streams
    }

    /// What was sent until now is put on its way to the kernel.
    pub fn leaves(&mut self) {
        self.answers.leaves();
    }

    /// What was on its way has arrived there; `age` says how old the connection is.
    pub fn left(&mut self, age: impl Fn() -> Duration) {
        self.answers.left(age);
    }

    /// The head of an answer was given to the crate; from now on it is known what has gone of it.
    pub fn follow(&mut self, stream: u32) {
        self.answers.follow(stream);
    }

    /// Whether an answer that is followed has come to its end since this was asked last.
    pub fn take_ended(&mut self) -> bool {
        self.answers.take_ended()
    }

    /// What has gone of an answer that is followed.
    pub fn gone(&self, stream: u32) -> Option<Gone> {
        self.answers.gone(stream)
    }

    /// The same, for the last time.
    pub fn forget(&mut self, stream: u32) -> Option<Gone> {
        self.answers.forget(stream)
    }

    /// The request of this stream has come out of the crate.
    pub fn taken(&mut self, stream: u32) {
        self.untaken.taken(stream);
    }

    /// A request that the crate has refused itself, since it was asked last. Only what has come out of the crate
    /// before is known to be none.
    pub fn refused(&mut self) -> Option<Refused> {
        self.untaken.refused()
    }

    /// A request was served: answered to its end, or taken back after a good while.
    pub fn served(&mut self) {
        self.allowance.served();
    }

    /// Judges what has come whole, and says what is next.
    fn judge(&mut self, part: Part) -> Result<Passage, Offence> {
        match self.next {
            Next::Header => self.begin(Frame::of(part)),
            Next::Padding(frame) => {
                let [padding_bytes, ..] = part;
                let behind = frame.length - 1;
                self.expect_frame(behind);
                self.content(frame, behind <= usize::from(padding_bytes))
            }
            Next::Setting { left } => {
                let [id_high, id_low, first, second, third, fourth, ..] = part;
                let value = u32::from_be_bytes([first, second, third, fourth]);
                // Section 6.5.2: "Values above the maximum flow-control window size of 2^31-1 MUST be treated
                // as a connection error (Section 5.4.1) of type FLOW_CONTROL_ERROR."
                if [id_high, id_low] == INITIAL_WINDOW_SIZE && value > WINDOW_BYTES_MAX {
                    return Err(Offence::Broken(Reason::FLOW_CONTROL_ERROR));
                }
                self.expect_settings(left - SETTING_BYTES);
                Ok(Passage::AsItIs)
            }
        }
    }

    /// A frame's header has come.
    fn begin(&mut self, frame: Frame) -> Result<Passage, Offence> {
        // Section 6.2: "A receiver MUST treat the receipt of any other type of frame or a frame on a different
        // stream as a connection error (Section 5.4.1) of type PROTOCOL_ERROR." The crate looks at the stream.
        if self.in_block != (frame.kind == kind::CONTINUATION) {
            return Err(Offence::Broken(Reason::PROTOCOL_ERROR));
        }
        if !may_be_as_long(frame) {
            return Err(Offence::Broken(Reason::FRAME_SIZE_ERROR));
        }
        self.expect_frame(frame.length);
        let cheap = match frame.kind {
            kind::DATA if frame.has(flag::PADDED) => {
                self.next = Next::Padding(frame);
                self.cursor.expect(0, 1);
                return Ok(Passage::AsItIs);
            }
            kind::DATA => return self.content(frame, frame.length == 0),
            kind::HEADERS => {
                self.in_block = !frame.has(flag::END_HEADERS);
                if self.streams.headers(frame.stream, frame.has(flag::END_STREAM))?.begins {
                    self.untaken.begun(frame.stream);
                }
                self.untaken.head(frame.stream, frame.length);
                Flood::Headers
            }
            kind::CONTINUATION => {
                self.in_block = !frame.has(flag::END_HEADERS);
                self.untaken.head(frame.stream, frame.length);
                Flood::Continuation
            }
            kind::RST_STREAM => {
                self.streams.reset(frame.stream);
                self.answers.reset(frame.stream);
                Flood::Reset
            }
            kind::SETTINGS => {
                self.expect_settings(if frame.has(flag::ACK) { 0 } else { frame.length });
                Flood::Settings
            }
            // Section 8.4: "A client cannot push. Thus, servers MUST treat the receipt of a PUSH_PROMISE frame as
            // a connection error (Section 5.4.1) of type PROTOCOL_ERROR."
            kind::PUSH_PROMISE => return Err(Offence::Broken(Reason::PROTOCOL_ERROR)),
            kind::PRIORITY | kind::PRIORITY_UPDATE => Flood::Priority,
            kind::PING => Flood::Ping,
            kind::GOAWAY => Flood::GoAway,
            kind::WINDOW_UPDATE => Flood::WindowUpdate,
            _ => Flood::Unknown,
        };
        self.allowance.spend(cheap)?;
        Ok(Passage::AsItIs)
    }

    /// DATA has come; its content, where it has some, is bounded by windows.
    fn content(&mut self, frame: Frame, is_empty: bool) -> Result<Passage, Offence> {
        let ends = frame.has(flag::END_STREAM);
        let is_open = self.streams.content(frame.stream, ends)?.is_open;
        if !is_empty || ends {
            return Ok(Passage::AsItIs);
        }
        self.allowance.spend(Flood::EmptyData)?;
        // Padding takes from the windows, which the crate has to know.
        let says_nothing = is_open && frame.length == 0;
        Ok(if says_nothing { Passage::Disguised } else { Passage::AsItIs })
    }

    fn expect_frame(&mut self, skip: usize) {
        self.next = Next::Header;
        self.cursor.expect(skip, HEADER_BYTES);
    }

    /// What is next where so many bytes of SETTINGS are to come.
    fn expect_settings(&mut self, left: usize) {
        if left == 0 {
            self.expect_frame(0);
        } else {
            self.next = Next::Setting { left };
            self.cursor.expect(0, SETTING_BYTES);
        }
    }
}

/// Whether a frame's payload can be what its type says.
///
/// Sections 6.3 to 6.9 have it for each type; section 4.2: "An endpoint MUST send an error code of FRAME_SIZE_ERROR
/// if a frame [...] exceeds any limit defined for the frame type, or is too small to contain mandatory frame data."
fn may_be_as_long(frame: Frame) -> bool {
    let length = frame.length;
    match frame.kind {
        kind::DATA => length >= usize::from(frame.has(flag::PADDED)),
        kind::HEADERS => {
            let padding_length_bytes = usize::from(frame.has(flag::PADDED));
            length >= padding_length_bytes + 5 * usize::from(frame.has(flag::PRIORITY))
        }
        kind::PRIORITY => length == 5,
        kind::RST_STREAM | kind::WINDOW_UPDATE => length == 4,
        kind::SETTINGS if frame.has(flag::ACK) => length == 0,
        kind::SETTINGS => length.is_multiple_of(SETTING_BYTES),
        kind::PING => length == 8,
        kind::GOAWAY => length >= 8,
        _ => true,
    }
}

/// Bytes of a setting: Identifier (16), Value (32).
const SETTING_BYTES: usize = 6;
/// SETTINGS_INITIAL_WINDOW_SIZE.
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
const WINDOW_BYTES_MAX: u32 = 0x7fff_ffff;
/// Bytes of the client's preface (section 3.4).
const PREFACE_BYTES: usize = 24;

#[cfg(test)]
mod tests;
