//! The clients that the load plays: certificate chains with their keys, from files or made here.
mod made;
mod password;
mod pfx;

pub(crate) use password::Password;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::path::{Path, PathBuf};

/// A certificate chain with its key.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The file that it came from, or its common name where it was made here.
    pub(crate) name: String,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads a chain, leaf first, and its key, both PEM.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(crate) fn read(chain: &Path, key: &Path) -> Result<Self, String> {
        let certificates = certificates(chain)?;
        Ok(Self { name: chain.display().to_string(), chain: certificates, key: private_key(key)? })
    }

    /// Reads every `NAME.crt` with its `NAME.key` in a directory, in the order of their names.
    ///
    /// # Errors
    /// As [`Identity::read`]; and when there is none.
    pub(crate) fn read_directory(directory: &Path) -> Result<Vec<Self>, String> {
        let told = |error| format!("{}: {error}", directory.display());
        let entries = fs::read_dir(directory).map_err(told)?;
        let entries: Result<Vec<_>, _> = entries.map(|entry| entry.map(|one| one.path())).collect();
        let mut chains: Vec<PathBuf> = entries.map_err(told)?;
        chains.retain(|path| path.extension().is_some_and(|extension| extension == "crt"));
        chains.sort();
        if chains.is_empty() {
            return Err(format!("{}: no NAME.crt with its NAME.key in it", directory.display()));
        }
        chains.iter().map(|chain| Self::read(chain, &chain.with_extension("key"))).collect()
    }
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// A sentence that names the file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let told = |error| format!("{}: no certificates in it ({error})", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(told)?;
    let certificates = read.collect::<Result<Vec<_>, _>>().map_err(told)?;
    if certificates.is_empty() {
        return Err(format!("{}: no certificates in it", path.display()));
    }
    Ok(certificates)
}

/// The first key of a PEM file.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.contains("ENCRYPTED") {
            return format!("{}: the key is encrypted; give it as PFX (--pfx)", path.display());
        }
        format!("{}: no private key in it ({error})", path.display())
    })
}
