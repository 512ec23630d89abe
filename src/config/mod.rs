//! Configuration: as written, compiled, published.
pub mod faults;
pub mod publish;
pub mod snapshot;

pub use faults::{Fault, Faults};
