//! What the tests stand on: a node to start, a PKI, targets, clients, and the tools of the trade.
//!
//! Nothing here sleeps for a guessed time: [`wait::until`] looks again until what was promised is
//! so, and fails with a sentence when it never comes.
pub mod bridge;
pub mod client;
pub mod comer;
pub mod hpack;
pub mod http2;
pub mod http2_target;
pub mod log_lines;
pub mod node;
pub mod pki;
pub mod pkits;
pub mod port;
pub mod scratch;
pub mod server;
pub mod splitter;
pub mod stop;
pub mod target;
pub mod tools;
pub mod wait;

pub use client::Client;
pub use http2::Http2;
pub use http2_target::Http2Target;
pub use node::{Node, Setup};
pub use pki::pki;
pub use target::Target;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Whether the tests that take long run too (`tests/run --long`).
pub fn long() -> bool {
    setting("PORTCULLIS_TEST_LONG").is_some()
}

/// Lets this process, and what it starts from now on, have as many files open as the crowds of some tests take: shells
/// give 1,024.
pub fn open_many_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(FILES, |maximum| maximum.min(FILES));
    if current.is_some_and(|current| current < wanted) {
        let limit = Rlimit { current: Some(wanted), maximum };
        setrlimit(Resource::Nofile, limit).expect("what is below the hard limit may be had");
    }
}

const FILES: u64 = 20_000;

/// The engine that nodes are started with and must report.
pub fn engine() -> String {
    setting("PORTCULLIS_TEST_ENGINE").unwrap_or_else(|| "io_uring".to_owned())
}

/// A setting of `tests/run`.
#[expect(clippy::disallowed_methods, reason = "tests/run speaks to the tests by the environment")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
