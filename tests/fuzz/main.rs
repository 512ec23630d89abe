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

#[path = "../support/mutations.rs"]
mod mutations;
mod properties;
#[path = "../support/random.rs"]
mod random;

use mutations::mutated;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Each target's share: a few seconds, or a minute under `tests/run --long`.
#[expect(clippy::disallowed_methods, reason = "tests/run speaks to the tests by the environment")]
fn mutate_for() -> Duration {
    let is_long = std::env::var("PORTCULLIS_TEST_LONG").is_ok_and(|value| !value.is_empty());
    Duration::from_secs(if is_long { 60 } else { 3 })
}

#[test]
fn request_heads_mean_one_thing() {
    hold("request_head", properties::request_head);
}

#[test]
fn request_heads_mean_one_thing_in_every_mode() {
    hold("request_in_modes", properties::request_in_modes);
}

#[test]
fn chunked_bodies_decode_alike_in_any_pieces() {
    hold("chunked_body", properties::chunked_body);
}

#[test]
fn frames_of_a_client_end_and_what_is_refused_is_broken() {
    hold("client_frames", properties::client_frames);
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
