//! ALB's security policies, by name, as far as rustls can hold them.
//!
//! Pure. Configuration looks a policy up once, on the control thread; logs and headers ask here how ALB
//! spells what was negotiated. rustls has neither CBC suites, RSA key exchange nor TLS before 1.2: what
//! a policy loses by that is listed in [`Policy::left_out`], for the configuration to warn about.
//! Source: Application Load Balancer guide, "Security policies".
use super::verifier;
use rustls::crypto::aws_lc_rs::{self, cipher_suite as suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, NamedGroup, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion,
};
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
        match POLICIES.iter().find(|row| row.name == name) {
            Some(row) => Ok(row.compile()),
            None => Err(fault(name)),
        }
    }
}

/// Names of all policies, in ALB's order.
pub fn names() -> &'static [&'static str] {
    static NAMES: [&str; POLICIES.len()] = {
        let mut names = [""; POLICIES.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = POLICIES[index].name;
            index += 1;
        }
        names
    };
    &NAMES
}

/// OpenSSL's name of a suite, as ALB's logs and headers spell it; `-` for one that is not offered.
pub fn suite_name(suite: CipherSuite) -> &'static str {
    let is_it = |cipher: &&Cipher| cipher.suite.is_some_and(|offered| offered.suite() == suite);
    CIPHERS.iter().find(is_it).map_or("-", |cipher| cipher.name)
}

/// `TLSv1.2` or `TLSv1.3`; `-` for one that is not offered.
pub fn version_name(version: ProtocolVersion) -> &'static str {
    let is_it = |row: &&(&str, Option<&SupportedProtocolVersion>)| {
        row.1.is_some_and(|offered| offered.version == version)
    };
    PROTOCOLS.iter().find(is_it).map_or("-", |row| row.0)
}

/// `x25519`, `secp256r1`, `X25519MLKEM768`, ... as ALB's connection log spells groups; `-` for one that
/// is not offered.
pub fn group_name(group: NamedGroup) -> &'static str {
    let is_it = |row: &&(&str, Option<&dyn SupportedKxGroup>)| {
        row.1.is_some_and(|offered| offered.name() == group)
    };
    HYBRID.iter().chain(&CLASSICAL).find(is_it).map_or("-", |row| row.0)
}

/// Why `name` is not in the table.
fn fault(name: &str) -> PolicyFault {
    // RFC 9151 policies carry FIPS in their names too.
    if name.contains("-RFC9151-") {
        PolicyFault::NotOffered("the RFC 9151 family of policies")
    } else if name.contains("-FIPS-") {
        PolicyFault::NotOffered("the FIPS family of policies")
    } else if name.starts_with("ELBSecurityPolicy-FS-") {
        PolicyFault::NotOffered("the forward-secrecy-only (FS) family of policies")
    } else {
        PolicyFault::Unknown(names().join(", "))
    }
}

/// A policy as ALB's guide tabulates it.
struct Row {
    name: &'static str,
    protocols: &'static [&'static str],
    sets: &'static [Set],
    groups: Groups,
}

/// Whether a policy has hybrid (post-quantum) groups ahead of the classical ones.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Groups {
    Classical,
    Hybrid,
}

impl Row {
    fn compile(&self) -> Policy {
        let protocols = PROTOCOLS.iter().filter(|row| self.protocols.contains(&row.0)).copied();
        let ciphers = CIPHERS.iter().filter(|cipher| self.sets.contains(&cipher.set));
        let hybrid = if self.groups == Groups::Hybrid { HYBRID.as_slice() } else { &[] };

        let (versions, mut left_out) = split(protocols);
        let (cipher_suites, ciphers_left_out) = split(ciphers.map(|row| (row.name, row.suite)));
        let (kx_groups, groups_left_out) = split(hybrid.iter().chain(&CLASSICAL).copied());
        left_out.extend(ciphers_left_out);
        let provider = CryptoProvider {
            cipher_suites,
            kx_groups,
            signature_verification_algorithms: verifier::SIGNATURES,
            ..aws_lc_rs::default_provider()
        };
        Policy {
            name: self.name,
            versions,
            provider: Arc::new(provider),
            left_out,
            groups_left_out,
        }
    }
}

/// What rustls has of `rows`, and the names of the others.
fn split<T>(rows: impl Iterator<Item = (&'static str, Option<T>)>) -> (Vec<T>, Vec<&'static str>) {
    let (mut offered, mut left_out) = (Vec::new(), Vec::new());
    for (name, value) in rows {
        match value {
            Some(value) => offered.push(value),
            None => left_out.push(name),
        }
    }
    (offered, left_out)
}

/// Every policy, in ALB's order; the hybrid twin after its classical one.
#[rustfmt::skip]
const POLICIES: [Row; 17] = {
    use Groups::{Classical, Hybrid};
    use Set::{A, B, C, D, E, F};
    const fn row(
        name: &'static str,
        protocols: &'static [&'static str],
        sets: &'static [Set],
        groups: Groups,
    ) -> Row {
        Row { name, protocols, sets, groups }
    }
    [
        row("ELBSecurityPolicy-TLS13-1-3-2021-06", P13, &[A], Classical),
        row("ELBSecurityPolicy-TLS13-1-3-PQ-2025-09", P13, &[A], Hybrid),
        row("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", P13_12, &[A, B], Classical),
        row("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", P13_12, &[A, B], Hybrid),
        row("ELBSecurityPolicy-TLS13-1-2-2021-06", P13_12, &[A, B, C], Classical),
        row("ELBSecurityPolicy-TLS13-1-2-PQ-2025-09", P13_12, &[A, B, C], Hybrid),
        row("ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", P13_12, &[A, B, C, E], Classical),
        row("ELBSecurityPolicy-TLS13-1-2-Ext1-PQ-2025-09", P13_12, &[A, B, C, E], Hybrid),
        row("ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06", P13_12, &[A, B, C, D, E, F], Classical),
        row("ELBSecurityPolicy-TLS13-1-2-Ext2-PQ-2025-09", P13_12, &[A, B, C, D, E, F], Hybrid),
        row("ELBSecurityPolicy-TLS13-1-1-2021-06", P13_11, &[A, B, C, D, E, F], Classical),
        row("ELBSecurityPolicy-TLS13-1-0-2021-06", P13_10, &[A, B, C, D, E, F], Classical),
        row("ELBSecurityPolicy-TLS13-1-0-PQ-2025-09", P13_10, &[A, B, C, D, E, F], Hybrid),
        row("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", P12, &[B, C, D, E, F], Classical),
        row("ELBSecurityPolicy-TLS-1-2-2017-01", P12, &[B, C, E], Classical),
        row("ELBSecurityPolicy-TLS-1-1-2017-01", P12_11, &[B, C, D, E, F], Classical),
        row("ELBSecurityPolicy-2016-08", P12_10, &[B, C, D, E, F], Classical),
    ]
};

const P13: &[&str] = &["TLSv1.3"];
const P13_12: &[&str] = &["TLSv1.3", "TLSv1.2"];
const P13_11: &[&str] = &["TLSv1.3", "TLSv1.2", "TLSv1.1"];
const P13_10: &[&str] = &["TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1"];
const P12: &[&str] = &["TLSv1.2"];
const P12_11: &[&str] = &["TLSv1.2", "TLSv1.1"];
const P12_10: &[&str] = &["TLSv1.2", "TLSv1.1", "TLSv1"];

/// Protocol versions, newest first; `None` where rustls has none.
static PROTOCOLS: [(&str, Option<&SupportedProtocolVersion>); 4] =
    [("TLSv1.3", Some(&TLS13)), ("TLSv1.2", Some(&TLS12)), ("TLSv1.1", None), ("TLSv1", None)];

/// Hybrid groups, in the order of preference; `None` where rustls has none.
static HYBRID: [(&str, Option<&dyn SupportedKxGroup>); 3] = [
    ("X25519MLKEM768", Some(kx_group::X25519MLKEM768)),
    ("SecP256r1MLKEM768", Some(kx_group::SECP256R1MLKEM768)),
    ("SecP384r1MLKEM1024", None),
];

/// Classical groups, in the order of preference.
static CLASSICAL: [(&str, Option<&dyn SupportedKxGroup>); 3] = [
    ("x25519", Some(kx_group::X25519)),
    ("secp256r1", Some(kx_group::SECP256R1)),
    ("secp384r1", Some(kx_group::SECP384R1)),
];

/// The sets in which ALB's policies take their ciphers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Set {
    /// TLS 1.3.
    A,
    /// ECDHE with AES-GCM.
    B,
    /// ECDHE with AES-CBC and SHA-2.
    C,
    /// ECDHE with AES-CBC and SHA-1.
    D,
    /// RSA key exchange with SHA-2.
    E,
    /// RSA key exchange with SHA-1.
    F,
}

/// A cipher of ALB's; `suite` is `None` where rustls has none.
struct Cipher {
    set: Set,
    name: &'static str,
    suite: Option<SupportedCipherSuite>,
}

/// Every cipher, in the order that holds inside each policy.
#[rustfmt::skip]
static CIPHERS: [Cipher; 21] = {
    use Set::{A, B, C, D, E, F};
    const fn cipher(set: Set, name: &'static str, suite: Option<SupportedCipherSuite>) -> Cipher {
        Cipher { set, name, suite }
    }
    [
        cipher(A, "TLS_AES_128_GCM_SHA256", Some(suite::TLS13_AES_128_GCM_SHA256)),
        cipher(A, "TLS_AES_256_GCM_SHA384", Some(suite::TLS13_AES_256_GCM_SHA384)),
        cipher(A, "TLS_CHACHA20_POLY1305_SHA256", Some(suite::TLS13_CHACHA20_POLY1305_SHA256)),
        cipher(B, "ECDHE-ECDSA-AES128-GCM-SHA256", Some(suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)),
        cipher(B, "ECDHE-RSA-AES128-GCM-SHA256", Some(suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)),
        cipher(C, "ECDHE-ECDSA-AES128-SHA256", None),
        cipher(C, "ECDHE-RSA-AES128-SHA256", None),
        cipher(D, "ECDHE-ECDSA-AES128-SHA", None),
        cipher(D, "ECDHE-RSA-AES128-SHA", None),
        cipher(B, "ECDHE-ECDSA-AES256-GCM-SHA384", Some(suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)),
        cipher(B, "ECDHE-RSA-AES256-GCM-SHA384", Some(suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)),
        cipher(C, "ECDHE-ECDSA-AES256-SHA384", None),
        cipher(C, "ECDHE-RSA-AES256-SHA384", None),
        cipher(D, "ECDHE-ECDSA-AES256-SHA", None),
        cipher(D, "ECDHE-RSA-AES256-SHA", None),
        cipher(E, "AES128-GCM-SHA256", None),
        cipher(E, "AES128-SHA256", None),
        cipher(F, "AES128-SHA", None),
        cipher(E, "AES256-GCM-SHA384", None),
        cipher(E, "AES256-SHA256", None),
        cipher(F, "AES256-SHA", None),
    ]
};

#[cfg(test)]
mod tests;
