//! Seeded mutations of inputs, as a fuzzer makes them.
use crate::random::Random;
use std::ops::Range;

/// Inputs grow no larger than this, but for seeds.
pub const INPUT_BYTES_MAX: usize = 32 * 1024;

/// Bytes that parsers stumble over.
const TELLING: &[u8] = b"\0\n\r\t :;,=0189afgAZ\x7f\x80\xff\x30\x31\x02\x82\x16";

/// Mutation `number` of the seeds: the same for the same number.
pub fn mutated(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut random = Random::new(number);
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let length = input.len();
        let at = random.below(length + 1);
        match random.below(7) {
            0 if at < length => input[at] ^= 1 << random.below(8),
            1 if at < length => input[at] = TELLING[random.below(TELLING.len())],
            2 => input.insert(at, TELLING[random.below(TELLING.len())]),
            3 => drop(input.drain(range(&mut random, length))),
            4 => {
                let piece = input[range(&mut random, length)].to_vec();
                input.splice(at..at, piece);
            }
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let piece = other[range(&mut random, other.len())].to_vec();
                input.splice(at..at, piece);
            }
            _ => input.truncate(at),
        }
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}

/// A range within `0..length`, mostly short.
fn range(random: &mut Random, length: usize) -> Range<usize> {
    let start = random.below(length);
    let longest = (length - start).min(if random.below(4) == 0 { length } else { 16 });
    start..start + random.below(longest + 1)
}
