//! Identity headers: what targets are told about the client's certificate, and the removal of every
//! copy that a client could have sent.
//!
//! Pure. A connection makes its block of ready lines once, after the verdict; `forward` copies it into
//! each request's head. `Forbidden` is compiled with the configuration and asked for each header.
//! Bounds: a block is at most `limits::IDENTITY_BYTES_MAX`.
//! Source: `alb-contract.md`, sections 1.3, 1.4 and 5.2.
use super::lines_out::Lines;
use super::name::{fold, taken_for};
use crate::limits::IDENTITY_BYTES_MAX;
use crate::trust::{Facts, Refusal};
use rustls_pki_types::CertificateDer;
use std::cmp::Ordering;

/// The names of the identity headers of one listener (defaults are ALB's).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names {
    /// `X-Amzn-Mtls-Clientcert-Serial-Number`
    pub serial_number: String,
    /// `X-Amzn-Mtls-Clientcert-Issuer`
    pub issuer: String,
    /// `X-Amzn-Mtls-Clientcert-Subject`
    pub subject: String,
    /// `X-Amzn-Mtls-Clientcert-Validity`
    pub validity: String,
    /// `X-Amzn-Mtls-Clientcert-Leaf`
    pub leaf: String,
    /// `X-Amzn-Mtls-Clientcert` (passthrough: the whole chain)
    pub chain: String,
    /// `X-Amzn-Tls-Version`
    pub tls_version: String,
    /// `X-Amzn-Tls-Cipher-Suite`
    pub tls_cipher_suite: String,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            serial_number: "X-Amzn-Mtls-Clientcert-Serial-Number".into(),
            issuer: "X-Amzn-Mtls-Clientcert-Issuer".into(),
            subject: "X-Amzn-Mtls-Clientcert-Subject".into(),
            validity: "X-Amzn-Mtls-Clientcert-Validity".into(),
            leaf: "X-Amzn-Mtls-Clientcert-Leaf".into(),
            chain: "X-Amzn-Mtls-Clientcert".into(),
            tls_version: "X-Amzn-Tls-Version".into(),
            tls_cipher_suite: "X-Amzn-Tls-Cipher-Suite".into(),
        }
    }
}

impl Names {
    /// All eight.
    pub fn all(&self) -> [&str; 8] {
        [
            &self.serial_number,
            &self.issuer,
            &self.subject,
            &self.validity,
            &self.leaf,
            &self.chain,
            &self.tls_version,
            &self.tls_cipher_suite,
        ]
    }
}

/// Names that no client may send: the defaults and those of every listener, in any case, with `_` or
/// other punctuation for `-` (as targets behind CGI and its kin fold it).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Forbidden {
    /// Folded, sorted by [`order`].
    names: Vec<Box<[u8]>>,
    /// Bit `n` is set when a name has length `n` modulo 64: most headers are told apart by it alone.
    lengths: u64,
}

impl Default for Forbidden {
    /// The default names: there is no empty set of them.
    fn default() -> Self {
        Self::new([])
    }
}

impl Forbidden {
    /// All default names and those given.
    pub fn new<'a>(listeners: impl IntoIterator<Item = &'a Names>) -> Self {
        let all_folded = |names: &Names| names.all().map(folded);
        let mut names: Vec<Box<[u8]>> = all_folded(&Names::default()).into();
        names.extend(listeners.into_iter().flat_map(all_folded));
        names.sort_by(|a, b| order(a, b.iter().copied()));
        names.dedup();
        let lengths = names.iter().fold(0, |bits, name| bits | length_bit(name.len()));
        Self { names, lengths }
    }

    /// Whether a client's header of this name is removed. No allocation; for most names one bit test.
    pub fn contains(&self, name: &str) -> bool {
        self.lengths & length_bit(name.len()) != 0
            && self.names.binary_search_by(|own| order(own, name.bytes().map(fold))).is_ok()
    }
}

/// A name as whoever folds the most sees it. Names that are equal so are one name.
pub fn folded(name: &str) -> Box<[u8]> {
    name.bytes().map(fold).collect()
}

/// Whether a target could take a header of this name for Content-Length or Transfer-Encoding.
pub fn is_like_framing(name: &str) -> bool {
    taken_for(name.as_bytes()).is_some()
}

const fn length_bit(length: usize) -> u64 {
    1 << (length % 64)
}

/// By length first, so that a search seldom looks at bytes.
fn order(a: &[u8], b: impl ExactSizeIterator<Item = u8>) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.iter().copied().cmp(b))
}

/// The five `verify` header lines, each ended by CRLF.
///
/// # Errors
/// [`Refusal::MaxSizeExceeded`] over `limits::IDENTITY_BYTES_MAX`; [`Refusal::Invalid`] when a field
/// could not stand in a header (which `Facts` rules out).
pub fn verified(
    names: &Names,
    facts: &Facts,
    leaf: &CertificateDer<'_>,
) -> Result<Vec<u8>, Refusal> {
    block(&[
        (&names.serial_number, &facts.serial_number),
        (&names.issuer, &facts.issuer),
        (&names.subject, &facts.subject),
        (&names.validity, &facts.validity()),
        (&names.leaf, &encoded_pem(std::slice::from_ref(leaf))?),
    ])
}

/// The one `passthrough` header line: the whole chain as the client sent it; none without a chain.
///
/// # Errors
/// [`Refusal::MaxSizeExceeded`] over `limits::IDENTITY_BYTES_MAX`.
pub fn passed_through(names: &Names, chain: &[CertificateDer<'_>]) -> Result<Vec<u8>, Refusal> {
    if chain.is_empty() {
        return Ok(Vec::new());
    }
    block(&[(&names.chain, &encoded_pem(chain)?)])
}

/// Header lines, checked once more at the last place where a forged line could be stopped.
fn block(lines: &[(&str, &str)]) -> Result<Vec<u8>, Refusal> {
    // No more room than it needs: it stays for as long as its connection.
    let bytes = lines.iter().map(|(name, value)| name.len() + ": \r\n".len() + value.len()).sum();
    let mut block = Vec::with_capacity(bytes);
    for (name, value) in lines {
        if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(Refusal::Invalid);
        }
        block.line(name, value.as_bytes());
    }
    if block.len() > IDENTITY_BYTES_MAX { Err(Refusal::MaxSizeExceeded) } else { Ok(block) }
}

/// PEM, URL-encoded as ALB does: of its characters only space and LF are outside the safe set (letters,
/// digits, `-._~`, and `+=/`).
fn encoded_pem(chain: &[CertificateDer<'_>]) -> Result<String, Refusal> {
    let der_bytes = chain.iter().map(|certificate| certificate.len()).sum::<usize>();
    if der_bytes > IDENTITY_BYTES_MAX {
        return Err(Refusal::MaxSizeExceeded);
    }
    let mut pem = String::with_capacity(der_bytes / 3 * 5);
    for certificate in chain {
        pem.push_str("-----BEGIN%20CERTIFICATE-----%0A");
        // 48 bytes are one line of 64 characters (RFC 7468, section 2).
        for line in certificate.chunks(48) {
            line.chunks(3).for_each(|group| push_base64(&mut pem, group));
            pem.push_str("%0A");
        }
        pem.push_str("-----END%20CERTIFICATE-----%0A");
    }
    Ok(pem)
}

/// Appends the four characters of 1 to 3 bytes (RFC 4648, section 4).
fn push_base64(out: &mut String, group: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let byte = |index: usize| group.get(index).map_or(0, |byte| usize::from(*byte));
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
        let padding = index > group.len();
        out.push(if padding { '=' } else { char::from(ALPHABET[bits >> shift & 63]) });
    }
}

#[cfg(test)]
mod tests;
