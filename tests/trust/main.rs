//! The trust module against oracles that others made.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test may fail by panicking, and nobody calls into this crate"
)]

#[path = "../support/pkits.rs"]
mod data;
mod differential;
mod generated;
mod pkits;
