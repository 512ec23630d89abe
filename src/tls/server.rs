//! The rustls configuration of one (listener, server-name policy).
#![expect(clippy::todo, reason = "interface only")]
use super::verifier::Ask;
use super::{Policy, Resolver};
use rustls::{DistinguishedName, ServerConfig};
use std::sync::Arc;

/// Builds it: the policy's suites in the server's order, ALPN `http/1.1`, our verifier; no resumption
/// where certificates are asked for.
///
/// # Errors
/// What rustls says against the combination (no certificate can serve the policy, ...).
pub fn config(
    policy: &Policy,
    certificates: Arc<Resolver>,
    ask: Ask,
    advertised: Vec<DistinguishedName>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let _ = (policy, certificates, ask, advertised);
    todo!()
}
