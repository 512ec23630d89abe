//! Trust: who a client is and whether it is accepted.
//!
//! Pure: bytes and `now` in, a verdict out. `tls` calls it while a handshake runs, `config` to load
//! bundles and revocation files on the control thread.
//!
//! [`verdict`] judges a client's chain against a [`Store`]: a [`Bundle`] of CAs and the [`Revocations`]
//! under it; an accepted [`Path`] is judged again without its certificates. Below them stand the readers: of PEM, of DER, of certificates, of revocation lists.
pub mod bundle;
pub mod certificate;
pub mod explain;
pub mod filter;
pub(crate) mod hash;
pub mod inspect;
pub mod memory;
pub mod path;
pub mod refusal;
pub mod revocation;
pub mod verdict;

mod crl;
mod der;
mod issued;
mod name;
mod partition;
mod pem;
mod policy;
mod serials;
mod signature;
mod time;
mod validity;
mod x509;

#[cfg(test)]
mod testing;

pub use bundle::Bundle;
pub use certificate::Facts;
pub use explain::Told;
pub use filter::Filters;
pub use hash::Fingerprint;
pub use path::{Again, Path};
pub use refusal::Refusal;
pub use revocation::{Revocations, Rules, StaleRevocations, UnlistedIssuers};
pub use verdict::{Accepted, Conditions, Store};
