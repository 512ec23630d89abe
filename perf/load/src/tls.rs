//! The TLS side of the clients: what they offer, whom they trust, who they are.
use crate::identity::{self, Identity};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedCipherSuite,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::Path;
use std::sync::Arc;

/// What all clients have in common.
#[derive(Debug)]
pub(crate) struct Terms {
    provider: Arc<CryptoProvider>,
    verifier: Verifier,
}

#[derive(Debug)]
enum Verifier {
    Roots(Arc<RootCertStore>),
    Nothing(Arc<AcceptsAnything>),
}

impl Terms {
    /// * `ca`: whom the server's certificate must come from; `None` believes any server without a look.
    /// * `group`, `cipher`: the only one that is offered; `None` offers what rustls does.
    ///
    /// # Errors
    /// A sentence for whoever gave the option.
    pub(crate) fn new(
        ca: Option<&Path>,
        group: Option<&str>,
        cipher: Option<&str>,
    ) -> Result<Self, String> {
        let mut provider = aws_lc_rs::default_provider();
        if let Some(wanted) = group {
            let name = |group: &&'static dyn SupportedKxGroup| format!("{:?}", group.name());
            let all = aws_lc_rs::ALL_KX_GROUPS;
            provider.kx_groups = vec![named(all, name, "group", wanted)?];
        }
        if let Some(wanted) = cipher {
            let name = |suite: &SupportedCipherSuite| format!("{:?}", suite.suite());
            let all: Vec<_> = aws_lc_rs::ALL_CIPHER_SUITES
                .iter()
                .copied()
                .filter(|suite| suite.tls13().is_some())
                .collect();
            provider.cipher_suites = vec![named(&all, name, "cipher", wanted)?];
        }
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        let verifier = match ca {
            None => Verifier::Nothing(Arc::new(AcceptsAnything { schemes })),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in identity::certificates(path)? {
                    roots
                        .add(certificate)
                        .map_err(|error| format!("{}: {error}", path.display()))?;
                }
                Verifier::Roots(Arc::new(roots))
            }
        };
        Ok(Self { provider: Arc::new(provider), verifier })
    }

    /// A client that makes a full handshake each time.
    ///
    /// # Errors
    /// When chain and key do not belong together.
    pub(crate) fn client(&self, identity: Option<Identity>) -> Result<Arc<ClientConfig>, String> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| error.to_string())?;
        let builder = match &self.verifier {
            Verifier::Roots(roots) => builder.with_root_certificates(Arc::clone(roots)),
            Verifier::Nothing(nothing) => {
                builder.dangerous().with_custom_certificate_verifier(Arc::clone(nothing) as Arc<_>)
            }
        };
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { name, chain, key }) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("{name}: not usable with its key: {error}"))?,
        };
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
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

/// Believes any server and checks no signature: the load is cheaper that way.
#[derive(Debug)]
struct AcceptsAnything {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for AcceptsAnything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
