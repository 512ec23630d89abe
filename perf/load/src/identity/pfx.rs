//! A client from a PFX (PKCS #12) file, as OpenSSL, Java and Windows write them.
use super::{Identity, Password};
use p12_keystore::error::Error;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fs;
use std::path::Path;

impl Identity {
    /// Reads the first key of a PFX file with its chain.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(crate) fn read_pfx(path: &Path, password: &Password) -> Result<Self, String> {
        let told = |what: &str| format!("{}: {what}", path.display());
        let bytes = fs::read(path).map_err(|error| told(&error.to_string()))?;
        let password = password.get(path)?;
        let store = KeyStore::from_pkcs12(&bytes, &password, Pkcs12ImportPolicy::Strict);
        let store = store.map_err(|error| told(&reason(&error)))?;
        let (_, found) =
            store.private_key_chain().ok_or_else(|| told("no key with its certificate in it"))?;
        let chain =
            found.certs().iter().map(|one| CertificateDer::from(one.as_der().to_vec())).collect();
        let key = PrivatePkcs8KeyDer::from(found.key().as_der().to_vec());
        let name = path.display().to_string();
        Ok(Self { name, chain, key: PrivateKeyDer::Pkcs8(key) })
    }
}

fn reason(error: &Error) -> String {
    if matches!(error, Error::MacError(_)) {
        return "the password is wrong".to_owned();
    }
    format!("not a PFX file that can be read ({error})")
}
