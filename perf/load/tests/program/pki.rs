//! A CA for each test, and files of what it issues.
use crate::scratch::Scratch;
use portcullis_pki::{ca, leaf};
use rcgen::{Certificate, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, KeyPair};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) type Ca = CertifiedIssuer<'static, KeyPair>;

/// A CA with its files: `ca`, the clients `clients/a` and `clients/b`, and `server`, each as `.crt` and `.key`.
pub(crate) struct Pki {
    scratch: Scratch,
    pub(crate) ca: Ca,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new("load");
        fs::create_dir(scratch.path().join("clients")).unwrap();
        // Of another name than any other: a verifier looks for an issuer by name.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("CA {}", NEXT.fetch_add(1, Ordering::Relaxed));
        let ca = Ca::self_signed(ca(&name), KeyPair::generate().unwrap()).unwrap();
        let pki = Self { scratch, ca };
        fs::write(pki.path("ca.crt"), pki.ca.pem()).unwrap();
        fs::write(pki.path("ca.key"), pki.ca.key().serialize_pem()).unwrap();
        for name in ["clients/a", "clients/b", "server"] {
            let (certificate, key) = pki.issue();
            fs::write(pki.path(&format!("{name}.crt")), certificate.pem()).unwrap();
            fs::write(pki.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        pki
    }

    /// A certificate for `localhost`, good for servers and clients.
    pub(crate) fn issue(&self) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = leaf("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        let names = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.subject_alt_names = names.subject_alt_names;
        (params.signed_by(&key, &self.ca).unwrap(), key)
    }

    /// The path of a file of the test's own.
    pub(crate) fn path(&self, file: &str) -> String {
        self.scratch.path().join(file).to_str().unwrap().to_owned()
    }
}
