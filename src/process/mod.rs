//! The process: start and end, the running node, signals, CPUs, open files.
pub mod cpus;
pub mod files;
pub mod log;
mod node;
pub mod signals;
pub mod start;
