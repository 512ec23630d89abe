//! What a client offers: versions, groups and cipher suites, by name.
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};
use std::sync::Arc;

/// What every client offers, in this order.
#[derive(Debug)]
pub(crate) struct Offers {
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

/// A version of TLS, as an option has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Version {
    #[value(name = "1.3")]
    Tls13,
    #[value(name = "1.2")]
    Tls12,
}

impl Offers {
    /// * `versions`, `groups`, `ciphers`: what is offered, in this order; none of a kind for what rustls
    ///   offers by itself. Ciphers of one version offer that version alone.
    ///
    /// # Errors
    /// A sentence for whoever gave the option.
    pub(crate) fn new(
        versions: &[Version],
        groups: &[String],
        ciphers: &[String],
    ) -> Result<Self, String> {
        let mut provider = aws_lc_rs::default_provider();
        if !groups.is_empty() {
            let name = |group: &&'static dyn SupportedKxGroup| format!("{:?}", group.name());
            let all = aws_lc_rs::ALL_KX_GROUPS;
            let groups = groups.iter().map(|wanted| named(all, name, "group", wanted));
            provider.kx_groups = groups.collect::<Result<_, _>>()?;
        }
        if !ciphers.is_empty() {
            let name = |suite: &SupportedCipherSuite| format!("{:?}", suite.suite());
            let all = aws_lc_rs::ALL_CIPHER_SUITES;
            let ciphers = ciphers.iter().map(|wanted| named(all, name, "cipher", wanted));
            provider.cipher_suites = ciphers.collect::<Result<_, _>>()?;
        }
        let has_suite = |version: &SupportedProtocolVersion| {
            provider.cipher_suites.iter().any(|suite| suite.version().version == version.version)
        };
        let mut offered: Vec<&'static SupportedProtocolVersion> = vec![&TLS13, &TLS12];
        offered.retain(|version| versions.is_empty() || versions.iter().any(|one| one.is(version)));
        offered.retain(|version| has_suite(version));
        if offered.is_empty() {
            return Err("--cipher and --tls: none of these ciphers is for that version".to_owned());
        }
        Ok(Self { provider: Arc::new(provider), versions: offered })
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    pub(crate) fn versions(&self) -> &[&'static SupportedProtocolVersion] {
        &self.versions
    }
}

impl Version {
    fn is(self, version: &SupportedProtocolVersion) -> bool {
        let own = match self {
            Self::Tls13 => ProtocolVersion::TLSv1_3,
            Self::Tls12 => ProtocolVersion::TLSv1_2,
        };
        version.version == own
    }
}

/// Finds an offer by name, whatever its case, or says which there are.
fn named<T: Copy>(
    all: &[T],
    name: impl Fn(&T) -> String,
    what: &str,
    wanted: &str,
) -> Result<T, String> {
    all.iter().copied().find(|one| name(one).eq_ignore_ascii_case(wanted)).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(name).collect();
        format!("--{what} {wanted}: there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciphers_of_one_version_offer_that_version_alone() {
        let both = Offers::new(&[], &[], &[]).unwrap();
        assert_eq!(both.versions().len(), 2);
        let old = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".to_owned()];
        let offers = Offers::new(&[], &["x25519".to_owned()], &old).unwrap();
        assert_eq!(offers.versions()[0].version, ProtocolVersion::TLSv1_2);
        assert_eq!(offers.versions().len(), 1);
        assert!(Offers::new(&[Version::Tls13], &[], &old).is_err());
    }

    #[test]
    fn whoever_asks_for_what_there_is_not_is_told_what_there_is() {
        let fault = Offers::new(&[], &["P256".to_owned()], &[]).unwrap_err();
        assert!(fault.starts_with("--group P256: there are X25519"), "{fault}");
    }
}
