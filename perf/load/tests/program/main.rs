//! The program as its users run it, against servers made for each test and those of others: nginx, OpenSSL.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_types,
    reason = "a test may fail by panicking, and nobody calls into this crate"
)]
mod clients;
mod handshakes;
mod held;
mod nginx;
mod pki;
mod program;
mod requests;
mod results;
mod secure_server;
mod swaps;
mod usage;

#[path = "../../../../tests/support/port.rs"]
mod port;
#[path = "../../../../tests/support/scratch.rs"]
mod scratch;
#[path = "../../../../tests/support/server.rs"]
mod server;
#[path = "../../../../tests/support/wait.rs"]
mod wait;
