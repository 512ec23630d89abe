//! The log of the process itself, on standard error: lifecycle, changes, faults.
//!
//! `RUST_LOG` sets the level (`info` unless set, and for the `h2` crate `error`: of its warnings a client can
//! cause as many as it likes, and counters have them).
use tracing_subscriber::EnvFilter;

/// Starts it at `info`.
pub fn start() {
    start_at("info");
}

/// Starts it for a run whose standard error a person reads.
pub fn start_quiet() {
    start_at("warn");
}

fn start_at(level: &str) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{level},h2=error")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
}
