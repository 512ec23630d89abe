//! TLS at the edge: which policy and certificate a client gets, the handshake, the byte stream after.
pub mod certificate;
pub mod names;
pub mod peek;
pub mod policy;
pub mod resolver;
pub mod server;
pub mod stream;
pub mod tickets;
pub mod verifier;

pub use certificate::Certificate;
pub use names::ServerNames;
pub use policy::Policy;
pub use resolver::Resolver;

#[cfg(test)]
mod fixture;
