//! The trust module against oracles that others made.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may fail by panicking, and nobody calls into this crate"
)]

mod again;
#[path = "../support/pkits.rs"]
mod data;
mod differential;
mod generated;
mod pkits;

use rustls_pki_types::UnixTime;

/// `PORTCULLIS_TEST_SEED`, or the time.
#[expect(clippy::disallowed_methods, reason = "a seed may come from anywhere, and is printed")]
fn seed() -> u64 {
    let given = std::env::var("PORTCULLIS_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| UnixTime::now().as_secs() << 20)
}

/// Whether the tests that take long run too (`tests/run --long`).
#[expect(clippy::disallowed_methods, reason = "tests/run speaks to the tests by the environment")]
fn is_long() -> bool {
    std::env::var("PORTCULLIS_TEST_LONG").is_ok_and(|value| !value.is_empty())
}
