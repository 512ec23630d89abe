//! The HTTP/1.1 codec against oracles that others made: ALB's classifier, and hyper.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may fail by panicking, and nobody calls into this crate"
)]

mod classes;
mod corpus;
#[path = "../support/mutations.rs"]
mod mutations;
#[path = "../support/random.rs"]
mod random;
mod strictest;

/// Whether the tests that take long run too (`tests/run --long`).
#[expect(clippy::disallowed_methods, reason = "tests/run speaks to the tests by the environment")]
fn is_long() -> bool {
    std::env::var("PORTCULLIS_TEST_LONG").is_ok_and(|value| !value.is_empty())
}
