//! Buffers that an operation owns while the kernel uses them, pooled for each shard.
#![expect(clippy::todo, reason = "interface only")]
use std::io;

/// What an operation gives back: its result, and the buffer it was lent.
pub type BufResult<T> = (io::Result<T>, Buf);

/// A growable byte queue: bytes are appended at the back and consumed at the front.
///
/// `Deref<Target = [u8]>`/`DerefMut` show the bytes that are not consumed yet. Capacity starts at
/// `limits::BUFFER_BYTES`; a buffer that still has that capacity returns to the shard's pool on drop.
#[derive(Debug, Default)]
pub struct Buf {
    bytes: Vec<u8>,
    consumed: usize,
}

impl Buf {
    /// An empty buffer from the shard's pool (from the allocator on a thread without one).
    pub fn take() -> Self {
        todo!()
    }
    /// Drops `count` bytes at the front; all consumed resets to empty without moving bytes.
    pub fn consume(&mut self, count: usize) {
        let _ = count;
        todo!()
    }
    /// Keeps the first `len` unconsumed bytes.
    pub fn truncate(&mut self, len: usize) {
        let _ = len;
        todo!()
    }
    /// Appends, growing when it must.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let _ = bytes;
        todo!()
    }
    /// Room at the back without growing or moving.
    pub fn spare(&self) -> usize {
        todo!()
    }
    /// Makes room for `count` more bytes at the back: moves unconsumed bytes to the front first, grows
    /// only when that is not enough.
    pub fn reserve(&mut self, count: usize) {
        let _ = count;
        todo!()
    }
    /// Empties it.
    pub fn clear(&mut self) {
        todo!()
    }
    /// Appends up to `room` bytes that `fill` writes: it gets a zeroed or previously initialised slice
    /// of exactly `room` bytes at the back and returns how many it wrote (for TLS encryption in place).
    pub fn fill<E>(
        &mut self,
        room: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let _ = (room, fill);
        todo!()
    }
}

impl std::ops::Deref for Buf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }
}

impl std::ops::DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.consumed..]
    }
}
