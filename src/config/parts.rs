//! Byte strings one after the other, each behind its length: the form of what a node keeps of a trust
//! store, and of files on their way to it.
//!
//! Pure. A length is 8 bytes, big-endian. What is read borrows from the input, so nothing is copied
//! and no length is believed beyond what is there.
#![deny(clippy::indexing_slicing)]
use bytes::{Buf, Bytes};
use std::io::{self, Write};

/// Bytes that end within a part.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it ends within a part")]
pub struct Cut;

/// Writes one part.
///
/// # Errors
/// What the writer says.
pub fn write(out: &mut impl Write, part: &[u8]) -> io::Result<()> {
    out.write_all(&(part.len() as u64).to_be_bytes())?;
    out.write_all(part)
}

/// Reads parts from the front.
#[derive(Clone, Debug)]
pub struct Parts(Bytes);

impl Parts {
    /// Those of `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next one.
    ///
    /// # Errors
    /// [`Cut`], also where none is left.
    pub fn take(&mut self) -> Result<Bytes, Cut> {
        let length = self.0.try_get_u64().map_err(|_| Cut)?;
        let length = usize::try_from(length).map_err(|_| Cut)?;
        if length > self.0.len() {
            return Err(Cut);
        }
        Ok(self.0.split_to(length))
    }

    /// The next one, as text.
    ///
    /// # Errors
    /// [`Cut`], also where it is not UTF-8.
    pub fn take_text(&mut self) -> Result<String, Cut> {
        String::from_utf8(self.take()?.into()).map_err(|_| Cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for part in parts {
            write(&mut out, part).unwrap();
        }
        out
    }

    #[test]
    fn parts_are_read_as_they_were_written() {
        let mut parts = Parts::new(written(&[b"one", b"", b"three"]).into());
        assert_eq!(parts.take().unwrap(), &b"one"[..]);
        assert_eq!(parts.take().unwrap(), &b""[..]);
        assert!(!parts.is_empty());
        assert_eq!(parts.take_text().unwrap(), "three");
        assert!(parts.is_empty());
        assert_eq!(parts.take(), Err(Cut));
    }

    #[test]
    fn no_length_is_believed_beyond_what_is_there() {
        let whole = written(&[b"part"]);
        for length in 0..whole.len() {
            let cut = Bytes::copy_from_slice(&whole[..length]);
            assert_eq!(Parts::new(cut).take(), Err(Cut), "{length}");
        }
        assert_eq!(Parts::new(u64::MAX.to_be_bytes().to_vec().into()).take(), Err(Cut));
        assert_eq!(Parts::new(written(&[b"\xff"]).into()).take_text(), Err(Cut));
    }
}
