//! What a certificate says, in the forms of ALB's headers and logs.
#![expect(clippy::todo, reason = "interface only")]
use rustls_pki_types::UnixTime;

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
    /// Reads them; `None` when the bytes are not a certificate.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let _ = der;
        todo!()
    }
    /// `NotBefore=YYYY-MM-DDTHH:MM:SSZ;NotAfter=YYYY-MM-DDTHH:MM:SSZ`.
    pub fn validity(&self) -> String {
        todo!()
    }
}
