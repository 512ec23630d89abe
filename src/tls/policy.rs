//! ALB's security policies, by name, as far as rustls can hold them. Source: `alb-contract.md`, section 7.
#![expect(clippy::todo, reason = "interface only")]
use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, NamedGroup, ProtocolVersion, SupportedProtocolVersion};
use std::sync::Arc;

/// The policy used when a listener names none.
pub const DEFAULT: &str = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09";

/// A security policy, ready for rustls.
#[derive(Clone, Debug)]
pub struct Policy {
    /// ALB's name.
    pub name: &'static str,
    /// Protocol versions that it offers here.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// Cipher suites and groups, in the policy's order.
    pub provider: Arc<CryptoProvider>,
    /// Protocols and ciphers of the policy that this node cannot offer (`TLSv1.1`, `AES128-SHA`, ...).
    pub left_out: Vec<&'static str>,
    /// Hybrid groups of the policy that this node cannot offer.
    pub groups_left_out: Vec<&'static str>,
}

/// Why a name is no policy of ours.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PolicyFault {
    /// Of a family that is not offered (FIPS, RFC 9151, forward secrecy only).
    #[error("{0} is not offered")]
    NotOffered(&'static str),
    /// Unknown; the message lists the names.
    #[error("unknown; the policies are {0}")]
    Unknown(String),
}

impl Policy {
    /// Looks a policy up by ALB's name.
    ///
    /// # Errors
    /// [`PolicyFault`].
    pub fn by_name(name: &str) -> Result<Self, PolicyFault> {
        let _ = name;
        todo!()
    }
}

/// Names of all policies, in ALB's order.
pub fn names() -> &'static [&'static str] {
    todo!()
}

/// OpenSSL's name of a suite, as ALB's logs and headers spell it; `-` for one that is not offered.
pub fn suite_name(suite: CipherSuite) -> &'static str {
    let _ = suite;
    todo!()
}

/// `TLSv1.2` or `TLSv1.3`.
pub fn version_name(version: ProtocolVersion) -> &'static str {
    let _ = version;
    todo!()
}

/// `x25519`, `secp256r1`, `X25519MLKEM768`, ... as ALB's connection log spells groups.
pub fn group_name(group: NamedGroup) -> &'static str {
    let _ = group;
    todo!()
}
