//! Numbers that differ: for the ids of requests.
//!
//! Each shard has a generator of its own, seeded from the system once, so that an id costs neither a system
//! call nor a lock. Whoever sees ids may guess the next one: nothing secret is made of them.
//! Source: xoshiro256++ by David Blackman and Sebastiano Vigna, 2019, which is in the public domain.
use std::array;
use std::hash::{BuildHasher, RandomState};

/// A generator of 2^256 - 1 numbers before one comes again.
#[derive(Debug)]
pub struct Random([u64; 4]);

impl Random {
    /// Seeded from what the system gives this thread.
    pub fn from_system() -> Self {
        // 128 random bits, spread over the state; never all zeros, where the generator would stay.
        let seed = RandomState::new();
        Self(array::from_fn(|index| seed.hash_one(index) | u64::from(index == 0)))
    }

    /// The next bytes.
    pub fn bytes<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        let mut bytes = [0; COUNT];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes()[..part.len()]);
        }
        bytes
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let next = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// The first numbers of the authors' C program with this state.
    #[test]
    fn numbers_are_those_of_the_reference() {
        let mut random = Random([1, 2, 3, 4]);
        let expected = [
            41_943_041,
            58_720_359,
            3_588_806_011_781_223,
            3_591_011_842_654_386,
            9_228_616_714_210_784_205,
            9_973_669_472_204_895_162,
        ];
        assert_eq!(expected.map(|_| random.next()), expected);
        let mut random = Random([1, 2, 3, 4]);
        assert_eq!(random.bytes::<12>(), [1, 0, 128, 2, 0, 0, 0, 0, 103, 0, 128, 3]);
    }

    #[test]
    fn shards_have_seeds_of_their_own() {
        let threads = (0..4).map(|_| std::thread::spawn(|| Random::from_system().bytes::<16>()));
        let threads: Vec<_> = threads.collect();
        let seen: HashSet<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(seen.len(), 4);
    }
}
