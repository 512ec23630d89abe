//! The choice among a listener's certificates, by server name, as ALB makes it.
//!
//! rustls calls it in each handshake. Names and merits are sorted out once, when it is built; a choice
//! is two look-ups and a walk over the certificates of one name.
//! Source: Application Load Balancer guide, "SSL certificates": among those that match the name and
//! that the client supports, ECDSA before RSA, not expired before expired, then the longer hash, the
//! longer key, the later notAfter (the guide says "validity period" and not which way), then the order
//! of the list. There the default certificate takes part only when it is also in the list; here it
//! always does, so that an ECDSA and an RSA certificate for one name need no third entry.
use super::{Certificate, ServerNames, verifier};
use crate::clock;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::UnixTime;
use std::cmp::Reverse;
use std::sync::Arc;

/// The certificates of one listener; the first is the default.
#[derive(Debug)]
pub struct Resolver {
    /// For clients that name nothing known here.
    default: Option<Arc<Certificate>>,
    /// Best first, apart from expiry.
    ranked: Vec<Arc<Certificate>>,
    /// Indexes into `ranked`.
    by_name: ServerNames<Vec<usize>>,
}

impl Resolver {
    /// At least one certificate; with none, every handshake ends with `access_denied`.
    pub fn new(certificates: Vec<Arc<Certificate>>) -> Self {
        debug_assert!(!certificates.is_empty(), "a listener has a default certificate");
        let default = certificates.first().cloned();
        let mut ranked = certificates;
        // Stable: the order of the list decides last.
        ranked.sort_by_key(|certificate| {
            let merit = certificate.merit;
            Reverse((merit.ecdsa, merit.hash_bits, merit.key_bits, certificate.not_after))
        });
        let mut by_name = ServerNames::<Vec<usize>>::default();
        for (index, certificate) in ranked.iter().enumerate() {
            for name in &certificate.server_names {
                // A certificate's list holds names only; one that is none answers for nothing.
                if let Ok(indexes) = by_name.or_default(name) {
                    indexes.push(index);
                }
            }
        }
        Self { default, ranked, by_name }
    }

    /// The certificate, and whether it answers for the name.
    ///
    /// * `schemes`: what the client can verify, among the suites that it shares with the policy.
    fn choose(
        &self,
        server_name: Option<&str>,
        schemes: &[SignatureScheme],
        now: UnixTime,
    ) -> Option<(&Certificate, bool)> {
        let (exact, wildcard) = server_name.map_or((None, None), |name| self.by_name.matches(name));
        let mut matching = exact.into_iter().chain(wildcard).flatten().copied();
        let first = matching.next();
        // The only match is the choice, supported or not.
        let index = if matching.clone().all(|index| Some(index) == first) {
            first
        } else {
            first
                .into_iter()
                .chain(matching)
                .filter_map(|index| self.claim(index, schemes, now))
                .min()
                .map(|claim| claim.2)
        };
        let chosen = index.and_then(|index| self.ranked.get(index));
        let is_for_name = chosen.is_some();
        chosen.or(self.default.as_ref()).map(|certificate| (&**certificate, is_for_name))
    }

    /// What a certificate has for itself now, less being better; `None` for a client that cannot
    /// verify its signatures. Only the key's algorithm counts more than not being expired.
    fn claim(
        &self,
        index: usize,
        schemes: &[SignatureScheme],
        now: UnixTime,
    ) -> Option<(Reverse<bool>, bool, usize)> {
        let certificate = self.ranked.get(index)?;
        certificate.key.key.choose_scheme(schemes)?;
        Some((Reverse(certificate.merit.ecdsa), certificate.not_after < now, index))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = client_hello.signature_schemes();
        let chosen = self.choose(client_hello.server_name(), schemes, clock::now());
        let (certificate, is_for_name) = chosen?;
        verifier::tell(|judge| judge.chosen(&certificate.name, is_for_name));
        Some(Arc::clone(&certificate.key))
    }
}

#[cfg(test)]
mod tests;
