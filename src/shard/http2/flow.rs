//! Content that goes from one side to the other as the receiving side's windows have room.
//!
//! The crate keeps `limits::H2_SEND_BUFFER_BYTES_MAX` of a stream at most; whoever sends waits here for
//! more room, and only then gives the other side's windows back what was taken. A peer that opens its
//! windows bit by bit and reads nothing would make the crate keep a frame for each bit: a small part waits
//! until what was sent before is on its way.
use crate::limits;
use bytes::Bytes;
use h2::SendStream;
use std::task::{Context, Poll};

/// How many of `bytes` the stream takes now; waits until it is one at least. `None` when the stream is gone.
pub(super) fn poll_room(
    stream: &mut SendStream<Bytes>,
    bytes: usize,
    context: &mut Context<'_>,
) -> Poll<Option<usize>> {
    stream.reserve_capacity(bytes);
    match stream.capacity() {
        0 => stream.poll_capacity(context).map(|room| Some(room?.ok()?.min(bytes))),
        room => Poll::Ready(Some(room.min(bytes))),
    }
}

/// Content as it may wait for the other side. The crate cuts frames out of what it received at once, and a
/// few bytes would hold all of that.
pub(super) fn unpinned(content: Bytes) -> Bytes {
    match content.len() {
        ..=limits::H2_COPIED_BYTES_MAX => Bytes::copy_from_slice(&content),
        _ => content,
    }
}

/// Whether a part of this many bytes is small.
pub(super) const fn is_small(bytes: usize) -> bool {
    bytes < SMALL_BYTES
}

const SMALL_BYTES: usize = 1_024;
