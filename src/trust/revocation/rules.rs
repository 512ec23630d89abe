//! What a trust store asks of its lists beyond what they name.

/// What a trust store asks of its lists beyond what they name.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// Of lists whose nextUpdate has passed.
    pub stale_revocations: StaleRevocations,
    /// Of certificates that no list is about.
    pub unlisted_issuers: UnlistedIssuers,
}

/// What becomes of clients once nextUpdate of a list has passed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StaleRevocations {
    /// The list goes on being enforced.
    #[default]
    Enforce,
    /// All certificates of its issuer are refused, unless a current list is about the same ones; nothing
    /// but current lists vouches for a certificate.
    Refuse,
}

/// What becomes of certificates that no list of their issuer is about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UnlistedIssuers {
    /// They are not checked.
    #[default]
    Allow,
    /// They are refused.
    Refuse,
}

impl StaleRevocations {
    /// As the configuration spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Refuse => "refuse",
        }
    }
}

impl UnlistedIssuers {
    /// As the configuration spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Refuse => "refuse",
        }
    }
}
