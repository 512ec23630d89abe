//! The rustls configuration of one (listener, server-name policy).
//!
//! Built on the control thread, whenever certificates or advertised CA names change (about 40 µs), and
//! shared by all shards. What could carry a client past the verifier is decided here: rustls does not
//! ask the verifier on a resumed session, so the only way to resume one is a ticket of ours, which is
//! bound to where it was given.
use super::tickets::Ticketer;
use super::verifier::{Ask, Verifier};
use super::{Policy, Resolver};
use rustls::server::NoServerSessionStorage;
use rustls::{DistinguishedName, ServerConfig};
use std::sync::Arc;

/// Protocols offered by ALPN (RFC 7301), in the order of preference.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Protocols {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 before it.
    #[default]
    Http2,
}

impl Protocols {
    const fn names(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[HTTP2, b"http/1.1"],
        }
    }
}

/// HTTP/2 over TLS (RFC 9113, section 3.1).
pub(super) const HTTP2: &[u8] = b"h2";

/// Whether clients are given tickets to resume their sessions with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Resumption {
    /// Never.
    #[default]
    Off,
    /// Tickets of ours; the judge of each handshake decides about them.
    Tickets,
}

/// Builds it: the policy's suites in the server's order, our protocols, our verifier, our tickets.
///
/// # Errors
/// What rustls says against the combination (no certificate can serve the policy, ...).
pub fn config(
    policy: &Policy,
    certificates: Arc<Resolver>,
    ask: Ask,
    advertised: Vec<DistinguishedName>,
    resumption: Resumption,
    protocols: Protocols,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(policy.provider.clone())
        .with_protocol_versions(&policy.versions)?
        .with_client_cert_verifier(Arc::new(Verifier::new(ask, advertised)))
        .with_cert_resolver(certificates);
    // rustls' words for "the server's order decides".
    config.ignore_client_order = true;
    config.alpn_protocols = protocols.names().iter().map(|name| name.to_vec()).collect();
    // RFC 8879: a compressed certificate grows on our side before anybody judged it.
    config.cert_compressors = Vec::new();
    config.cert_decompressors = Vec::new();

    // Nothing is stored: neither TLS 1.2 session ids nor stateful TLS 1.3 tickets. rustls' defaults are
    // a cache of 256 sessions and two tickets, of which either alone passes by the verifier.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    match resumption {
        Resumption::Off => config.send_tls13_tickets = 0,
        Resumption::Tickets => {
            config.ticketer = Arc::new(Ticketer);
            config.send_tls13_tickets = 1;
        }
    }
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
