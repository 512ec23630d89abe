//! Positive signature checks, remembered for each shard (thread), bounded.
//!
//! A certificate's signature is a fact: algorithm, key, message and signature decide it, and nothing
//! that changes later does. So a good one is remembered, under a hash of all four, and a client that
//! comes back costs a hash in the place of an elliptic-curve check. Path, validity, purpose, depth and
//! revocation are judged anew each time, which is why nothing here needs to know of generations. A bad
//! signature is never remembered: a client could fill the memory with them.
//!
//! Bound: `limits::REMEMBERED_SIGNATURES_MAX` for each thread, in two generations: when the younger one
//! is full it becomes the older one, and the older one is forgotten. What is used moves to the younger.
use super::hash::sha256;
use crate::limits::REMEMBERED_SIGNATURES_MAX;
use aws_lc_rs::digest::SHA256_OUTPUT_LEN;
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use std::cell::RefCell;
use std::collections::HashSet;

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// An algorithm that asks the thread's memory first.
#[derive(Debug)]
pub(super) struct Remembering(pub(super) &'static dyn SignatureVerificationAlgorithm);

impl SignatureVerificationAlgorithm for Remembering {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let check = Check(sha256([
            self.0.public_key_alg_id().as_ref(),
            self.0.signature_alg_id().as_ref(),
            public_key,
            message,
            signature,
        ]));
        if MEMORY.with_borrow_mut(|memory| memory.recalls(&check)) {
            return Ok(());
        }
        self.0.verify_signature(public_key, message, signature)?;
        MEMORY.with_borrow_mut(|memory| memory.remember(check));
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

/// What was checked: the hash over every part.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Check([u8; SHA256_OUTPUT_LEN]);

#[derive(Debug, Default)]
struct Memory {
    younger: HashSet<Check>,
    older: HashSet<Check>,
}

impl Memory {
    fn recalls(&mut self, check: &Check) -> bool {
        if self.younger.contains(check) {
            return true;
        }
        match self.older.take(check) {
            Some(check) => {
                self.remember(check);
                true
            }
            None => false,
        }
    }

    fn remember(&mut self, check: Check) {
        if self.younger.len() >= REMEMBERED_SIGNATURES_MAX / 2 {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(check);
    }
}

/// Signatures that this thread remembers.
#[cfg(test)]
pub(super) fn remembered() -> usize {
    MEMORY.with_borrow(|memory| memory.younger.len() + memory.older.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: usize) -> Check {
        Check(sha256([&number.to_be_bytes()[..]]))
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_what_is_used() {
        let mut memory = Memory::default();
        let favourite = check(usize::MAX);
        memory.remember(favourite.clone());
        for number in 0..3 * REMEMBERED_SIGNATURES_MAX {
            memory.remember(check(number));
            assert!(memory.recalls(&favourite), "after {number}");
            assert!(memory.younger.len() + memory.older.len() <= REMEMBERED_SIGNATURES_MAX);
        }
        assert!(!memory.recalls(&check(0)));
        assert!(memory.recalls(&check(3 * REMEMBERED_SIGNATURES_MAX - 1)));
    }
}
