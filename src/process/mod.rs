//! The process: start, signals, CPUs, open files.
