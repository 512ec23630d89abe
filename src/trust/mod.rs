//! Trust: who a client is and whether it is accepted.
//!
//! Pure: bytes and `now` in, a verdict out. `tls` calls it while a handshake runs, `config` to load
//! bundles and revocation files on the control thread.
pub mod bundle;
pub mod certificate;
pub mod memory;
pub mod refusal;
pub mod revocation;
pub mod verdict;

pub use bundle::Bundle;
pub use certificate::Facts;
pub use refusal::Refusal;
pub use revocation::Revocations;
pub use verdict::{Accepted, Conditions, Store};
