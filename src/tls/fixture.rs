//! A throw-away PKI and handshakes in memory, for the tests of this folder.
use super::{Certificate, Policy, Resolver, server, verifier};
use rcgen::{CertificateParams, IsCa, Issuer, KeyPair, RsaKeySize};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io::Write;
use std::sync::Arc;

/// The kinds of key that certificates here have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    P256,
    P384,
    P521,
    Rsa2048,
    Rsa3072,
    Ed25519,
}

impl Key {
    pub(super) fn generate(self) -> KeyPair {
        match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::P521 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
            Self::Rsa3072 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072),
            Self::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
        }
        .unwrap()
    }
}

/// A chain and its key, both PEM.
#[derive(Clone)]
pub(super) struct Pem {
    pub(super) chain: String,
    pub(super) key: String,
}

impl Pem {
    pub(super) fn load(&self) -> Certificate {
        Certificate::from_pem("test".into(), self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

/// A certificate authority.
pub(super) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(super) der: CertificateDer<'static>,
    pub(super) pem: String,
}

impl Ca {
    pub(super) fn new(key: Key) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = key.generate();
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.into(), issuer: Issuer::new(params, key) }
    }

    pub(super) fn issue(&self, key: Key, names: &[&str]) -> Pem {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        self.issue_as(key, CertificateParams::new(names).unwrap())
    }

    pub(super) fn issue_as(&self, key: Key, params: CertificateParams) -> Pem {
        let key = key.generate();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pem { chain, key: key.serialize_pem() }
    }
}

/// The configuration of a listener with one certificate, without tickets.
pub(super) fn listener(policy: &str, certificate: &Pem, ask: verifier::Ask) -> Arc<ServerConfig> {
    listener_that(server::Resumption::Off, policy, certificate, ask)
}

/// The same with or without tickets.
pub(super) fn listener_that(
    resumption: server::Resumption,
    policy: &str,
    certificate: &Pem,
    ask: verifier::Ask,
) -> Arc<ServerConfig> {
    let resolver = Arc::new(Resolver::new(vec![Arc::new(certificate.load())]));
    let policy = Policy::by_name(policy).unwrap();
    let protocols = server::Protocols::default();
    server::config(&policy, resolver, ask, Vec::new(), resumption, protocols).unwrap()
}

pub(super) const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A client's configuration: nothing remembered, all that rustls has on offer.
pub(super) fn client(
    ca: &Ca,
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
    identity: Option<&Pem>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let chain = CertificateDer::pem_slice_iter(pem.chain.as_bytes());
            let chain = chain.map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.resumption = Resumption::disabled();
    config
}

/// A client's configuration as most tests want it.
pub(super) fn plain_client(ca: &Ca) -> ClientConfig {
    client(ca, aws_lc_rs::default_provider(), BOTH, None)
}

/// Both ends of a connection, and how its handshake ended for each.
pub(super) struct Shaken {
    pub(super) client: ClientConnection,
    pub(super) server: ServerConnection,
    pub(super) client_end: Result<(), Error>,
    pub(super) server_end: Result<(), Error>,
}

/// Shakes hands, and carries everything across that either side sends, tickets and alerts too.
pub(super) fn shake(client: &ClientConfig, name: &str, server: &Arc<ServerConfig>) -> Shaken {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client.clone()), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    let (mut client_end, mut server_end) = (Ok(()), Ok(()));
    // Something to say, so that a client that was refused reads on (TLS 1.3).
    client.writer().write_all(b"hello").unwrap();
    while client.wants_write() || server.wants_write() {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut to_server).unwrap();
        }
        let mut rest = to_server.as_slice();
        while server_end.is_ok() && server.read_tls(&mut rest).is_ok_and(|count| count > 0) {
            server_end = server.process_new_packets().map(drop);
        }
        while server.wants_write() {
            server.write_tls(&mut to_client).unwrap();
        }
        let mut rest = to_client.as_slice();
        while client_end.is_ok() && client.read_tls(&mut rest).is_ok_and(|count| count > 0) {
            client_end = client.process_new_packets().map(drop);
        }
    }
    Shaken { client, server, client_end, server_end }
}

impl Shaken {
    /// Asserts that it succeeded on both sides.
    pub(super) fn accepted(self, what: &str) -> Self {
        assert_eq!((&self.client_end, &self.server_end), (&Ok(()), &Ok(())), "{what}");
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking(), "{what}");
        self
    }

    pub(super) fn suite(&self) -> &'static str {
        super::policy::suite_name(self.server.negotiated_cipher_suite().unwrap().suite())
    }

    pub(super) fn group(&self) -> &'static str {
        super::policy::group_name(self.server.negotiated_key_exchange_group().unwrap().name())
    }

    pub(super) fn version(&self) -> &'static str {
        super::policy::version_name(self.server.protocol_version().unwrap())
    }
}
