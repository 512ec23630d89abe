//! What trust stores with `source: api` hold, and where the node keeps it: one whole file for each
//! under `state_dir`.
//!
//! [`contents`] is pure: the bytes, and what a command makes of them. [`directory`] reads and replaces
//! the files, so that whoever is killed at any point finds the old one or the new one, whole.
pub mod contents;
pub mod directory;

pub use contents::{Change, Checksum, Contents, File, Sealed};
pub use directory::{Directory, Staged, commit};
