//! Configuration: as written, compiled, published.
//!
//! Reading order: the file becomes a tree with lines (`tree`), the tree what is written (`read`,
//! `written`), and that what is live (`compile`, `load`). Every step notes its faults with their places
//! and goes on, so that one answer has them all. Runs on the control thread only.
pub mod candidate;
pub mod clients;
mod compile;
pub mod defaults;
pub mod faults;
pub mod files;
mod later;
pub mod load;
mod nearest;
pub mod parts;
pub mod place;
pub mod publish;
pub mod read;
pub mod schema;
#[cfg(test)]
pub(crate) mod scratch;
pub mod shapes;
pub mod snapshot;
pub mod source;
pub mod sources;
pub mod state;
pub mod tree;
pub mod words;
pub mod written;

pub use faults::{Fault, Faults};
pub use files::Inputs;
pub use load::{Endpoint, Loaded, Node};
pub use schema::schema;
pub use sources::Watch;
