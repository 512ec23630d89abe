//! The fuzz targets as plain tests: every seed, then seeded mutations of them for a few seconds.
//!
//! A failure prints the number that makes it come again and the input. For longer:
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz request_head tests/fuzz/corpus tests/fuzz/seeds/request_head`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may fail by panicking, and nobody calls into this crate"
)]

mod properties;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, ops::Range};

/// Each target's share: a few seconds, or a minute under `tests/run --long`.
#[expect(clippy::disallowed_methods, reason = "tests/run speaks to the tests by the environment")]
fn mutate_for() -> Duration {
    let is_long = std::env::var("PORTCULLIS_TEST_LONG").is_ok_and(|value| !value.is_empty());
    Duration::from_secs(if is_long { 60 } else { 3 })
}

/// Inputs grow no larger than this, but for seeds.
const INPUT_BYTES_MAX: usize = 32 * 1024;

#[test]
fn request_heads_mean_one_thing() {
    hold("request_head", properties::request_head);
}

#[test]
fn chunked_bodies_decode_alike_in_any_pieces() {
    hold("chunked_body", properties::chunked_body);
}

#[test]
fn revocation_lists_are_read_or_refused() {
    hold("revocation_list", properties::revocation_list);
}

#[test]
fn ca_bundles_are_read_or_refused() {
    hold("ca_bundle", properties::ca_bundle);
}

#[test]
fn files_of_a_client_hold_certificates_and_nothing_else_leaves() {
    hold("chain_file", properties::chain_file);
}

#[test]
fn what_a_certificate_says_of_its_client_is_what_a_filter_on_it_matches() {
    hold("client_certificate", properties::client_certificate);
}

#[test]
fn patterns_of_identity_filters_have_one_form() {
    hold("identity_filter", properties::identity_filter);
}

#[test]
fn paths_of_accepted_clients_have_one_form() {
    hold("accepted_path", properties::accepted_path);
}

#[test]
fn the_name_in_a_client_hello_is_the_one_that_rustls_sees() {
    hold("client_hello", properties::client_hello);
}

#[test]
fn session_tickets_open_whole_or_not_at_all() {
    hold("session_ticket", properties::session_ticket);
}

#[test]
fn whatever_a_client_sends_is_one_line_of_the_access_log() {
    hold("access_line", properties::access_line);
}

/// Runs a property on all seeds of a target, then on mutations of them.
fn hold(target: &str, property: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!seeds.is_empty(), "{} has no seeds", directory.display());
    for (file, seed) in files.iter().zip(&seeds) {
        let held = catch_unwind(AssertUnwindSafe(|| property(seed)));
        assert!(held.is_ok(), "{}", file.display());
    }
    let until = Instant::now() + mutate_for();
    for number in 1_u64.. {
        if Instant::now() > until {
            println!("{target}: {number} mutations");
            return;
        }
        let input = mutated(&seeds, number);
        let held = catch_unwind(AssertUnwindSafe(|| property(&input)));
        assert!(held.is_ok(), "{target}, mutation {number}: {}", input.escape_ascii());
    }
}

/// Bytes that parsers stumble over.
const TELLING: &[u8] = b"\0\n\r\t :;,=0189afgAZ\x7f\x80\xff\x30\x31\x02\x82\x16";

/// Mutation `number` of the seeds: the same for the same number.
fn mutated(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let length = input.len();
        let at = random.below(length + 1);
        match random.below(7) {
            0 if at < length => input[at] ^= 1 << random.below(8),
            1 if at < length => input[at] = TELLING[random.below(TELLING.len())],
            2 => input.insert(at, TELLING[random.below(TELLING.len())]),
            3 => drop(input.drain(random.range(length))),
            4 => {
                let piece = input[random.range(length)].to_vec();
                input.splice(at..at, piece);
            }
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let piece = other[random.range(other.len())].to_vec();
                input.splice(at..at, piece);
            }
            _ => input.truncate(at),
        }
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}

/// xorshift64*: enough to choose bytes with, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        (number % bound.max(1) as u64) as usize
    }

    /// A range within `0..length`, mostly short.
    fn range(&mut self, length: usize) -> Range<usize> {
        let start = self.below(length);
        let longest = (length - start).min(if self.below(4) == 0 { length } else { 16 });
        start..start + self.below(longest + 1)
    }
}
