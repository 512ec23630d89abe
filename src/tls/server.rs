//! The rustls configuration of one (listener, server-name policy).
//!
//! Built on the control thread, whenever certificates or advertised CA names change (about 40 µs), and
//! shared by all shards. What could carry a client past the verifier is decided here: rustls does not
//! ask the verifier on a resumed session, so there is no resumption where certificates are asked for,
//! and a ticket of one configuration is noise to every other.
use super::verifier::{Ask, Verifier};
use super::{Policy, Resolver};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::NoServerSessionStorage;
use rustls::{DistinguishedName, ServerConfig};
use std::sync::Arc;

/// Protocols offered by ALPN, in the order of preference.
const ALPN: [&[u8]; 1] = [b"http/1.1"];

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
    let mut config = ServerConfig::builder_with_provider(policy.provider.clone())
        .with_protocol_versions(&policy.versions)?
        .with_client_cert_verifier(Arc::new(Verifier::new(ask, advertised)))
        .with_cert_resolver(certificates);
    // rustls' words for "the server's order decides".
    config.ignore_client_order = true;
    config.alpn_protocols = ALPN.iter().map(|protocol| protocol.to_vec()).collect();
    // RFC 8879: a compressed certificate grows on our side before anybody judged it.
    config.cert_compressors = Vec::new();
    config.cert_decompressors = Vec::new();

    // Nothing is stored: neither TLS 1.2 session ids nor stateful TLS 1.3 tickets. rustls' defaults are
    // a cache of 256 sessions and two tickets, of which either alone passes by the verifier.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    match ask {
        Ask::No => {
            // Keys of its own, random: its tickets open under no other configuration, and under none
            // of another process or generation.
            config.ticketer = Ticketer::new()?;
            config.send_tls13_tickets = 1;
        }
        Ask::Optional | Ask::Required => config.send_tls13_tickets = 0,
    }
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
