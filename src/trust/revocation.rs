//! The revocation index: the union of all revocation files of a trust store.
#![expect(clippy::todo, reason = "interface only")]
use super::Bundle;
use rustls_pki_types::UnixTime;

/// One revocation file, PEM (one or several blocks) or DER.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its name, for faults and status.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// What one loaded CRL says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// The file it came from.
    pub file: String,
    /// Issuer, RFC 2253.
    pub issuer: String,
    /// Revoked certificates in it.
    pub entries: usize,
    /// thisUpdate.
    pub this_update: UnixTime,
    /// nextUpdate, where it has one.
    pub next_update: Option<UnixTime>,
}

/// Why a revocation file is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Which of the given files.
    pub file_index: usize,
    /// What is wrong, in words.
    pub message: String,
}

/// The index.
#[derive(Debug, Default)]
pub struct Revocations(());

impl Revocations {
    /// Reads, verifies and joins `files` under the CAs of `bundle`.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(files: &[File<'_>], bundle: &Bundle) -> Result<Self, Vec<Fault>> {
        let _ = (files, bundle);
        todo!()
    }
    /// Revoked certificates in all files.
    pub fn entries(&self) -> usize {
        todo!()
    }
    /// Each CRL, in the order of the files.
    pub fn status(&self) -> &[Status] {
        todo!()
    }
}
