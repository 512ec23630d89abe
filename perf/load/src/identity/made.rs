//! Clients that are made here, by a CA whose key is given: each one new to the server.
use super::{Identity, certificates, private_key};
use portcullis_pki::leaf;
use rcgen::{ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use x509_parser::prelude::parse_x509_certificate;

impl Identity {
    /// Makes so many clients with P-256 keys, each with a common name of its own. They send the CA's
    /// certificates along, but those that are self-signed.
    ///
    /// * `ca`: the CA's certificate first, then those that lead to a root (PEM).
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(crate) fn make(ca: &Path, key: &Path, count: u32) -> Result<Vec<Self>, String> {
        let issuers = certificates(ca)?;
        let told = |error: rcgen::Error| format!("{}: {error}", ca.display());
        let key = KeyPair::try_from(&private_key(key)?)
            .map_err(|error| format!("{}: no key that can sign ({error})", key.display()))?;
        let own = issuers.first().filter(|own| is_of(own, &key));
        let own =
            own.ok_or_else(|| format!("{}: --client-ca-key is another one's", ca.display()))?;
        let issuer = Issuer::from_ca_cert_der(own, key).map_err(told)?;
        let above: Vec<_> = issuers.iter().filter(|one| !is_self_signed(one)).cloned().collect();
        let make = |number| {
            let name = format!("client {number}");
            let key = KeyPair::generate()?;
            let certificate =
                leaf(&name, ExtendedKeyUsagePurpose::ClientAuth).signed_by(&key, &issuer)?;
            let mut chain = vec![certificate.der().clone()];
            chain.extend(above.iter().cloned());
            Ok(Self { name, chain, key: PrivateKeyDer::from(key) })
        };
        (0..count).map(make).collect::<Result<_, rcgen::Error>>().map_err(told)
    }
}

/// Whether the key is that of the certificate.
fn is_of(certificate: &CertificateDer<'_>, key: &KeyPair) -> bool {
    parse_x509_certificate(certificate).is_ok_and(|(_, parsed)| {
        parsed.public_key().subject_public_key.as_ref() == rcgen::PublicKeyData::der_bytes(key)
    })
}

/// Whether it names itself as its issuer.
fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    parse_x509_certificate(certificate)
        .is_ok_and(|(_, parsed)| parsed.subject().as_raw() == parsed.issuer().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_pki::ca;
    use rcgen::CertifiedIssuer;
    use std::collections::BTreeSet;
    use std::fs;

    #[test]
    fn each_client_is_another_and_brings_the_intermediate_but_not_the_root() {
        let directory = tempfile();
        let root = CertifiedIssuer::self_signed(ca("root"), KeyPair::generate().unwrap()).unwrap();
        let own =
            CertifiedIssuer::signed_by(ca("own"), KeyPair::generate().unwrap(), &root).unwrap();
        let (file, key) = (directory.join("ca.pem"), directory.join("ca.key"));
        fs::write(&file, own.pem() + &root.pem()).unwrap();
        fs::write(&key, own.key().serialize_pem()).unwrap();
        let clients = Identity::make(&file, &key, 3).unwrap();
        let leaves: BTreeSet<_> = clients.iter().map(|one| one.chain[0].to_vec()).collect();
        assert_eq!(leaves.len(), 3);
        assert!(clients.iter().all(|one| one.chain[1..] == [own.der().clone()]));

        fs::write(&key, root.key().serialize_pem()).unwrap();
        let fault = Identity::make(&file, &key, 1).unwrap_err();
        assert!(fault.ends_with("--client-ca-key is another one's"), "{fault}");
        fs::remove_dir_all(directory).unwrap();
    }

    fn tempfile() -> std::path::PathBuf {
        let name = format!("portcullis-load-made-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        directory
    }
}
