//! What a certificate says, in the forms of ALB's headers and logs.
#![deny(clippy::indexing_slicing)]
use super::name;
use super::x509::Certificate;
use crate::calendar::rfc3339;
use rustls_pki_types::{CertificateDer, UnixTime};

/// The fields of a client's certificate that targets and logs get. All are printable ASCII.
/// Source: ALB guide, "HTTP headers and mutual TLS"; `DN` as RFC 2253.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Serial number: upper-case hexadecimal, an even number of digits, no sign byte.
    pub serial_number: String,
    /// Issuer, RFC 2253.
    pub issuer: String,
    /// Subject, RFC 2253.
    pub subject: String,
    /// notBefore.
    pub not_before: UnixTime,
    /// notAfter.
    pub not_after: UnixTime,
}

impl Facts {
    /// Reads them; `None` when the bytes are not a certificate. Every certificate that
    /// [`super::Store::judge`] accepts has them.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::read(CertificateDer::from(der)).ok()?;
        Some(Self {
            serial_number: serial_number(certificate.serial()),
            issuer: name::rfc2253(certificate.issuer()).ok()?,
            subject: name::rfc2253(certificate.subject()).ok()?,
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        })
    }

    /// `NotBefore=YYYY-MM-DDTHH:MM:SSZ;NotAfter=YYYY-MM-DDTHH:MM:SSZ`.
    pub fn validity(&self) -> String {
        let (not_before, not_after) = (rfc3339(self.not_before), rfc3339(self.not_after));
        format!("NotBefore={not_before};NotAfter={not_after}")
    }
}

/// The number, not its encoding: without leading zeros, and a negative one as `-` and its magnitude.
pub(super) fn serial_number(content: &[u8]) -> String {
    let is_negative = content.first().is_some_and(|&first| first & 0x80 != 0);
    let magnitude = if is_negative { negated(content) } else { content.to_vec() };
    let zeros = magnitude.iter().take_while(|&&byte| byte == 0).count();
    let digits = name::hex(magnitude.get(zeros..).unwrap_or_default());
    match (is_negative, digits.is_empty()) {
        (_, true) => "00".to_owned(),
        (true, false) => format!("-{digits}"),
        (false, false) => digits,
    }
}

/// Two's complement, from the last byte to the first.
fn negated(content: &[u8]) -> Vec<u8> {
    let mut magnitude = content.to_vec();
    let mut carry = true;
    for byte in magnitude.iter_mut().rev() {
        (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
    }
    magnitude
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod tests;
