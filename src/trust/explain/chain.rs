//! The file with what a client would send: PEM (blocks of other kinds, such as a key beside the
//! certificates, are passed over) or one certificate in DER.
//!
//! Bound: `limits::CHAIN_FILE_BYTES_MAX` for what is sent to a node of it.
#![deny(clippy::indexing_slicing)]
use crate::limits;
use crate::trust::{der, pem};
use rustls_pki_types::CertificateDer;

const LABEL: &[u8] = b"CERTIFICATE";

/// The certificates of the file, leaf first.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn read_chain(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    if der::is_long(file) {
        return Ok(vec![CertificateDer::from(file.to_vec())]);
    }
    let chain = blocks(file)
        .map(|block| block.and_then(|block| block.decode()).map(CertificateDer::from))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|broken| broken.to_string())?;
    if chain.is_empty() { Err("the file holds no certificate".to_owned()) } else { Ok(chain) }
}

/// What of the file may leave the machine's disk: its certificates. People keep the key beside them.
///
/// # Errors
/// As [`read_chain`]; and where it is too long for a node.
pub fn certificates_alone(file: &[u8]) -> Result<Vec<u8>, String> {
    read_chain(file)?;
    let alone = if der::is_long(file) {
        file.to_vec()
    } else {
        blocks(file).filter_map(Result::ok).fold(Vec::new(), |mut alone, block| {
            block.write(&mut alone);
            alone
        })
    };
    let max = limits::CHAIN_FILE_BYTES_MAX;
    if alone.len() > max {
        return Err(format!("its certificates have {} bytes; {max} are allowed", alone.len()));
    }
    Ok(alone)
}

fn blocks(file: &[u8]) -> impl Iterator<Item = Result<pem::Block<'_>, pem::Broken>> {
    pem::blocks(file).filter(|block| block.is_err() || block.is_ok_and(|it| it.label == LABEL))
}
