//! The process: start and end, the running node, signals, CPUs, memory, open files.
mod cgroup;
pub mod cpus;
pub mod files;
pub mod log;
mod memory;
mod node;
pub mod signals;
pub mod start;
