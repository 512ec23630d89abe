//! Buffers that an operation owns while the kernel uses them, pooled for each shard.
//!
//! Memory is zeroed when it is allocated and stays initialised from then on, so that [`Buf::fill`] and
//! the receive operations hand out plain slices. A pooled buffer still holds what was in it before: it
//! is overwritten, never read, because only the bytes between the two cursors can be seen.
use crate::limits;
use bytes::Bytes;
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::{fmt, io, mem};

/// What an operation gives back: its result, and the buffer it was lent.
pub type BufResult<T> = (io::Result<T>, Buf);

/// A growable byte queue: bytes are appended at the back and consumed at the front.
///
/// `Deref<Target = [u8]>`/`DerefMut` show the bytes that are not consumed yet. Capacity starts at
/// `limits::BUFFER_BYTES`; a buffer that still has that capacity returns to the shard's pool on drop.
/// [`Buf::default`] has no memory until bytes are appended or room is reserved.
#[derive(Default)]
pub struct Buf {
    // All of it is initialised: its length is the capacity. A `Vec` and not a boxed slice, because a
    // box may not be moved while somebody else, here the kernel, writes behind it.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buf {
    /// An empty buffer from the shard's pool (from the allocator on a thread without one).
    pub fn take() -> Self {
        Self { bytes: pooled(), start: 0, end: 0 }
    }

    /// These bytes alone, in memory of their own size: for a few bytes that may wait long.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), start: 0, end: bytes.len() }
    }

    /// Drops `count` bytes at the front; all consumed resets to empty without moving bytes.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len(), "consumed more than there is");
        self.start += count.min(self.len());
        if self.start == self.end {
            self.clear();
        }
    }

    /// Appends, growing when it must.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.room()[..bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Room at the back without growing or moving.
    pub fn spare(&self) -> usize {
        self.bytes.len() - self.end
    }

    /// Makes room for `count` more bytes at the back: moves unconsumed bytes to the front first, grows
    /// only when that is not enough. There is no upper bound here; the caller has one.
    pub fn reserve(&mut self, count: usize) {
        if self.spare() >= count {
            return;
        }
        let len = self.len();
        let needed = len.saturating_add(count);
        if needed <= self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
        } else {
            let mut grown = match needed {
                ..=limits::BUFFER_BYTES => pooled(),
                _ => vec![0; needed.max(self.bytes.len().saturating_mul(2))],
            };
            grown[..len].copy_from_slice(self);
            give_back(mem::replace(&mut self.bytes, grown));
        }
        (self.start, self.end) = (0, len);
    }

    /// Drops all but the first `count` bytes.
    pub fn truncate(&mut self, count: usize) {
        self.end = self.end.min(self.start.saturating_add(count));
        self.consume(0);
    }

    /// Empties it.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Appends up to `room` bytes that `fill` writes: it gets a zeroed or previously initialised slice
    /// of exactly `room` bytes at the back and returns how many it wrote (for TLS encryption in place).
    ///
    /// # Errors
    /// What `fill` answers; nothing is appended then.
    pub fn fill<E>(
        &mut self,
        room: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        self.reserve(room);
        let filled = fill(&mut self.room()[..room])?;
        debug_assert!(filled <= room, "filled more than the room");
        let filled = filled.min(room);
        self.end += filled;
        Ok(filled)
    }

    /// The room at the back, for an operation to write to; [`Buf::wrote`] makes it part of the queue.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// At most `bytes_max` bytes of the room.
    pub(super) fn room_of(&mut self, bytes_max: usize) -> &mut [u8] {
        let bytes = self.spare().min(bytes_max);
        &mut self.room()[..bytes]
    }

    /// The first `count` bytes of the room were written.
    pub(super) fn wrote(&mut self, count: usize) {
        debug_assert!(count <= self.spare(), "wrote more than the room");
        self.end += count.min(self.spare());
    }
}

impl Deref for Buf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

/// What a crate may keep for as long as its peer likes. Few bytes are copied, because they would hold a
/// whole buffer.
impl From<Buf> for Bytes {
    fn from(buf: Buf) -> Self {
        match buf.len() {
            ..=SMALL_BYTES_MAX => Self::copy_from_slice(&buf),
            _ => Self::from_owner(buf),
        }
    }
}

/// The most bytes that are worth copying rather than holding a buffer.
const SMALL_BYTES_MAX: usize = limits::BUFFER_BYTES / 8;

impl AsRef<[u8]> for Buf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }
}

/// How much, never what: contents are traffic.
impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buf({} of {} bytes)", self.len(), self.bytes.len())
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        give_back(mem::take(&mut self.bytes));
    }
}

thread_local! {
    static POOL: RefCell<Option<Vec<Vec<u8>>>> = const { RefCell::new(None) };
}

/// The buffer pool of the calling thread, open until this is dropped.
#[derive(Debug)]
pub(super) struct Pool(());

impl Pool {
    pub(super) fn open() -> Self {
        POOL.set(Some(Vec::new()));
        Self(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        POOL.set(None);
    }
}

fn pooled() -> Vec<u8> {
    let kept = POOL.try_with(|pool| pool.borrow_mut().as_mut().and_then(Vec::pop));
    kept.ok().flatten().unwrap_or_else(|| vec![0; limits::BUFFER_BYTES])
}

fn give_back(bytes: Vec<u8>) {
    if bytes.len() != limits::BUFFER_BYTES {
        return;
    }
    // A thread that is ending has no pool any more: the memory goes back to the allocator.
    let _ = POOL.try_with(|pool| {
        if let Some(kept) = pool.borrow_mut().as_mut()
            && kept.len() < limits::POOLED_BUFFERS_MAX
        {
            kept.push(bytes);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> usize {
        POOL.with_borrow(|pool| pool.as_ref().map_or(0, Vec::len))
    }

    #[test]
    fn bytes_come_out_in_the_order_they_went_in() {
        let mut buf = Buf::take();
        buf.extend_from_slice(b"hello ");
        buf.extend_from_slice(b"world");
        buf.consume(6);
        assert_eq!(&*buf, b"world");
        buf[0] = b'W';
        assert_eq!(&*buf, b"World");
    }

    #[test]
    fn consuming_everything_gives_the_whole_room_back() {
        let mut buf = Buf::take();
        buf.extend_from_slice(&[7; limits::BUFFER_BYTES]);
        assert_eq!(buf.spare(), 0);
        buf.consume(limits::BUFFER_BYTES - 1);
        assert_eq!(buf.spare(), 0, "nothing moves before it must");
        buf.consume(1);
        assert_eq!(buf.spare(), limits::BUFFER_BYTES);
    }

    #[test]
    fn room_is_made_by_moving_before_growing() {
        let mut buf = Buf::take();
        buf.extend_from_slice(&[1; limits::BUFFER_BYTES]);
        buf[limits::BUFFER_BYTES - 1] = 9;
        buf.consume(limits::BUFFER_BYTES - 1);
        buf.reserve(limits::BUFFER_BYTES - 1);
        assert_eq!((&*buf, buf.spare()), (&[9][..], limits::BUFFER_BYTES - 1));
        buf.reserve(limits::BUFFER_BYTES);
        assert_eq!(&*buf, &[9]);
        assert!(buf.spare() >= limits::BUFFER_BYTES);
    }

    #[test]
    fn a_default_buffer_has_no_memory_until_it_is_used() {
        let mut buf = Buf::default();
        assert_eq!((buf.len(), buf.spare()), (0, 0));
        buf.extend_from_slice(b"x");
        assert_eq!(buf.spare(), limits::BUFFER_BYTES - 1);
    }

    #[test]
    fn a_buffer_of_a_few_bytes_takes_no_more() {
        let _pool = Pool::open();
        let buf = Buf::of(b"few");
        assert_eq!((&*buf, buf.spare()), (&b"few"[..], 0));
        drop(buf);
        assert_eq!(kept(), 0);
    }

    #[test]
    fn a_fill_appends_what_was_written_and_nothing_on_error() {
        let mut buf = Buf::take();
        buf.extend_from_slice(b"head");
        let filled = buf.fill(10, |room| {
            assert_eq!(room.len(), 10);
            room[..2].copy_from_slice(b"ok");
            Ok::<_, ()>(2)
        });
        assert_eq!((filled, &*buf), (Ok(2), &b"headok"[..]));
        assert_eq!(buf.fill(4, |_| Err::<usize, _>("no")), Err("no"));
        assert_eq!(&*buf, b"headok");
    }

    #[test]
    fn only_buffers_of_the_usual_size_are_pooled_and_only_so_many() {
        let _pool = Pool::open();
        let mut grown = Buf::take();
        grown.reserve(limits::BUFFER_BYTES + 1);
        assert_eq!(kept(), 1, "the memory it grew out of");
        drop(grown);
        assert_eq!(kept(), 1);
        drop(Buf::default());
        assert_eq!(kept(), 1);

        let many: Vec<_> = (0..limits::POOLED_BUFFERS_MAX + 5).map(|_| Buf::take()).collect();
        assert_eq!(kept(), 0);
        drop(many);
        assert_eq!(kept(), limits::POOLED_BUFFERS_MAX);
    }

    #[test]
    fn a_buffer_may_outlive_the_pool() {
        let pool = Pool::open();
        let buf = Buf::take();
        drop(pool);
        drop(buf);
        assert_eq!(kept(), 0);
    }

    #[test]
    fn debug_output_shows_sizes_and_no_contents() {
        let mut buf = Buf::take();
        buf.extend_from_slice(b"secret");
        assert_eq!(format!("{buf:?}"), format!("Buf(6 of {} bytes)", limits::BUFFER_BYTES));
    }
}
