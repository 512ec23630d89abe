//! What must hold of the frames of an HTTP/2 client: of the guard alone, and of the guard with the `h2` crate behind
//! it, over memory.
use super::cuts;
use bytes::Bytes;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use http::{Request, Response};
use portcullis::http::h2::guard::{Guard, Halt, Offence};
use portcullis::http::h2::settings;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const NOW: Duration = Duration::ZERO;

/// Frames of a client, behind its preface.
///
/// * However they are cut, they end the connection at the same frame and for the same reason, or not at all.
/// * Whatever the guard calls broken the crate refuses as well: nothing honest is refused.
/// * The node's side always comes to an end, never panics, and sends little more than it got.
pub fn client_frames(frames: &[u8]) {
    let bytes = [PREFACE, frames].concat();
    let mut shown = bytes.clone();
    let whole = Guard::default().received(&mut shown, NOW);
    for (before, after) in bytes.iter().zip(&shown) {
        assert!(before == after || (*before, *after) == (0, 0xff), "more than a type was changed");
    }
    for cut in cuts(bytes.len()) {
        assert_eq!(whole.map_err(|halt| halt.offence), in_two(&bytes, cut), "cut at {cut}");
    }
    if let Err(Halt { passed, offence: Offence::Broken(code) }) = whole
        && !is_part_of_block(&bytes[passed..])
        && let Some(broken) = bytes.get(..end_of_frame(&bytes, passed))
    {
        let refused = Pipe::serve(broken, Guarded::No);
        assert!(refused.has_refused, "the crate takes what the guard calls {code:?}");
    }
    let served = Pipe::serve(&bytes, Guarded::Yes);
    let bound = 1_024 + 16 * bytes.len();
    assert!(served.sent <= bound, "{} bytes for {}", served.sent, bytes.len());
}

fn in_two(bytes: &[u8], cut: usize) -> Result<(), Offence> {
    let mut bytes = bytes.to_vec();
    let (first, second) = bytes.split_at_mut(cut);
    let mut guard = Guard::default();
    guard
        .received(first, NOW)
        .and_then(|()| guard.received(second, NOW))
        .map_err(|halt| halt.offence)
}

/// Where a frame ends that begins here.
fn end_of_frame(bytes: &[u8], begins: usize) -> usize {
    let length = &bytes[begins..begins + 3];
    begins + 9 + length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
}

/// Whether a field block begins here that goes on in other frames: the crate judges it when it is whole.
fn is_part_of_block(frame: &[u8]) -> bool {
    const HEADERS: u8 = 1;
    const PUSH_PROMISE: u8 = 5;
    const END_HEADERS: u8 = 4;
    matches!(frame[3], HEADERS | PUSH_PROMISE) && frame[4] & END_HEADERS == 0
}

/// Whether a guard stands before the crate.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Guarded {
    Yes,
    No,
}

/// A client that sends what it has at once, waits for what comes of it, then closes.
struct Pipe {
    unread: Vec<u8>,
    has_waited: bool,
    guard: Option<Guard>,
    offence: Option<Offence>,
    written: Vec<u8>,
}

/// What became of it.
struct Served {
    /// Bytes sent to the client.
    sent: usize,
    /// Whether a stream was reset, or the connection ended by an error.
    has_refused: bool,
}

#[derive(Clone)]
struct Shared(Rc<RefCell<Pipe>>);

impl Pipe {
    /// Has the crate serve these bytes as the node does, to the end.
    fn serve(bytes: &[u8], guarded: Guarded) -> Served {
        let mut pipe = Self {
            unread: bytes.to_vec(),
            has_waited: false,
            guard: (guarded == Guarded::Yes).then(Guard::default),
            offence: None,
            written: Vec::new(),
        };
        if let Some(guard) = &mut pipe.guard
            && let Err(halt) = guard.received(&mut pipe.unread, NOW)
        {
            pipe.unread.truncate(halt.passed);
            pipe.offence = Some(halt.offence);
        }
        let shared = Shared(Rc::new(RefCell::new(pipe)));
        let failed = shared.drive(bytes.len()).is_err();
        let written = &shared.0.borrow().written;
        Served { sent: written.len(), has_refused: failed || has_refusal(written) }
    }
}

impl Shared {
    /// Polls the crate until it has ended: a bounded number of times, because nothing is waited for.
    fn drive(&self, length: usize) -> Result<(), h2::Error> {
        let context = &mut Context::from_waker(Waker::noop());
        let mut begun = settings().handshake::<_, Bytes>(self.clone());
        let begun = (0..8).find_map(|_| match Pin::new(&mut begun).poll(context) {
            Poll::Ready(begun) => Some(begun),
            Poll::Pending => None,
        });
        let mut connection = begun.expect("the preface is there")?;
        let mut is_told = false;
        for _ in 0..64 + length {
            match connection.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => self.answer(&request, respond),
                Poll::Ready(Some(Err(error))) => return Err(error),
                Poll::Ready(None) => return Ok(()),
                Poll::Pending => self.say_goodbye(&mut connection, &mut is_told),
            }
        }
        panic!("the connection does not end");
    }

    fn answer(&self, request: &Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
        let stream = respond.stream_id().as_u32();
        assert!(!request.method().as_str().is_empty() && stream % 2 == 1);
        if let Some(guard) = &mut self.0.borrow_mut().guard {
            guard.taken(stream);
        }
        // It fails where the stream has been reset.
        let _ = respond.send_response(Response::new(()), true);
    }

    fn say_goodbye(&self, connection: &mut Connection<Self, Bytes>, is_told: &mut bool) {
        let offence = self.0.borrow().offence;
        if let Some(offence) = offence.filter(|_| !std::mem::replace(is_told, true)) {
            connection.abrupt_shutdown(offence.code());
        }
    }
}

/// Whether there is an RST_STREAM, or a GOAWAY with an error, among these frames.
fn has_refusal(mut frames: &[u8]) -> bool {
    while frames.len() >= 9 {
        let (frame, rest) = frames.split_at(end_of_frame(frames, 0).min(frames.len()));
        let code = frame.get(13..17);
        if frame[3] == 3
            || (frame[3] == 7 && code != Some(&u32::from(Reason::NO_ERROR).to_be_bytes()[..]))
        {
            return true;
        }
        frames = rest;
    }
    false
}

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let pipe = &mut *self.0.borrow_mut();
        // Behind an offence the node shows nothing more, not even the end.
        let waits = pipe.offence.is_some() || !pipe.has_waited;
        if pipe.unread.is_empty() && waits {
            pipe.has_waited = true;
            return Poll::Pending;
        }
        let count = pipe.unread.len().min(into.remaining());
        into.put_slice(&pipe.unread[..count]);
        pipe.unread.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let pipe = &mut *self.0.borrow_mut();
        if let Some(guard) = &mut pipe.guard {
            guard.sent(bytes);
        }
        pipe.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
