//! What revocation lists are asked about: a certificate below its issuer.
//!
//! Made from a certificate, or from what an accepted path kept of one.
use super::x509::{Certificate, KeyUsage};

/// What the lists are asked about: a certificate below its issuer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Issued<'a> {
    /// As the content of its INTEGER.
    pub(super) serial: &'a [u8],
    pub(super) is_ca: bool,
    /// The value of its cRLDistributionPoints, which is well formed.
    pub(super) distribution_points: Option<&'a [u8]>,
    pub(super) issuer: Issuer<'a>,
}

/// The CA that issued a certificate, as far as lists are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Issuer<'a> {
    /// Its subject, without the outer SEQUENCE.
    pub(super) name: &'a [u8],
    pub(super) key_info: &'a [u8],
    pub(super) signs_lists: bool,
}

impl<'a> Issued<'a> {
    pub(super) fn of(certificate: &'a Certificate<'_>, issuer: Issuer<'a>) -> Self {
        Self {
            serial: certificate.serial(),
            is_ca: certificate.extensions.is_ca,
            distribution_points: certificate.distribution_points(),
            issuer,
        }
    }
}

impl<'a> Issuer<'a> {
    pub(super) fn of(certificate: &'a Certificate<'_>) -> Self {
        Self {
            name: certificate.subject(),
            key_info: certificate.key_info(),
            signs_lists: certificate.extensions.allows(KeyUsage::CrlSign),
        }
    }
}
