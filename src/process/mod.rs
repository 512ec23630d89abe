//! The process: start, signals, CPUs, open files.
pub mod cpus;
pub mod files;
pub mod signals;
