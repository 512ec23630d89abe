//! One hash over several parts.
use aws_lc_rs::digest::{self, SHA256, SHA256_OUTPUT_LEN};

/// What names a thing by its content, the same in every generation and on every node.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Fingerprint(pub [u8; Fingerprint::BYTES]);

impl Fingerprint {
    /// Half of a SHA-256. To find two things that share one takes 2^64 hashes, and both are then of the
    /// finder's own making (a partner's two CAs, of whom either speaks for that partner); one that shares
    /// that of somebody else's takes 2^128.
    pub const BYTES: usize = SHA256_OUTPUT_LEN / 2;

    /// Of several parts; where one ends and the next begins counts.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let whole = sha256(parts);
        let mut fingerprint = Self([0; Self::BYTES]);
        fingerprint.0.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        fingerprint
    }
}

/// SHA-256 over every part, each with its length, so that no two lists of parts share one.
pub(crate) fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; SHA256_OUTPUT_LEN] {
    let mut context = digest::Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; SHA256_OUTPUT_LEN];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_parts_makes_another_hash() {
        assert_ne!(sha256([&b"ab"[..], b"c"]), sha256([&b"a"[..], b"bc"]));
        assert_ne!(sha256([&b""[..], b"abc"]), sha256([&b"abc"[..], b""]));
        assert_ne!(Fingerprint::of([&b"abc"[..]]), Fingerprint::of([&b"abd"[..]]));
    }
}
