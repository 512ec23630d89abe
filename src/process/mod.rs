//! The process: start, signals, CPUs, open files.
pub mod cpus;
pub mod files;
pub mod log;
pub mod signals;
pub mod start;
