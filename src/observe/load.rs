//! Why a load of configuration and trust was refused, and where the time of a swap goes: the words of
//! two labels.

/// What kind of thing was wrong.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// The configuration file says something that cannot be.
    #[default]
    Configuration,
    /// A file cannot be read: missing, no permission, empty, over its limit.
    UnreadableFile,
    /// A server certificate's chain.
    Certificate,
    /// A server certificate's key, or it belongs to another certificate.
    Key,
    /// A CA bundle.
    CaBundle,
    /// A revocation list.
    Revocations,
    /// A listener's address cannot be had.
    Listen,
    /// The log cannot be opened.
    Log,
    /// What commands have changed cannot be read or kept: `node.state_dir`.
    State,
    /// A command asks for what cannot be: an unknown trust store or id, or one that files change.
    Command,
    /// A bug of ours.
    Internal,
}

impl Reason {
    /// Every reason, in the order of `index`.
    pub const ALL: [Self; 11] = [
        Self::Configuration,
        Self::UnreadableFile,
        Self::Certificate,
        Self::Key,
        Self::CaBundle,
        Self::Revocations,
        Self::Listen,
        Self::Log,
        Self::State,
        Self::Command,
        Self::Internal,
    ];
    /// Position in `ALL`.
    pub const fn index(self) -> usize {
        self as usize
    }
    /// The value of the `reason` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::UnreadableFile => "unreadable_file",
            Self::Certificate => "certificate",
            Self::Key => "key",
            Self::CaBundle => "ca_bundle",
            Self::Revocations => "revocations",
            Self::Listen => "listen",
            Self::Log => "log",
            Self::State => "state",
            Self::Command => "command",
            Self::Internal => "internal",
        }
    }
}

/// A part of a swap.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Everything is read, checked and compiled.
    Load,
    /// Names are resolved, listeners bound, the live value replaced.
    Publish,
    /// Until the last shard has taken it over, or its time is up.
    Acknowledge,
}

impl Phase {
    /// Every part, in the order of `index`.
    pub const ALL: [Self; 3] = [Self::Load, Self::Publish, Self::Acknowledge];
    /// Position in `ALL`.
    pub const fn index(self) -> usize {
        self as usize
    }
    /// The value of the `phase` label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Publish => "publish",
            Self::Acknowledge => "acknowledge",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_follow_the_lists_and_words_are_distinct() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert!(Reason::ALL[..index].iter().all(|other| other.word() != reason.word()));
        }
        for (index, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase.index(), index);
            assert!(Phase::ALL[..index].iter().all(|other| other.word() != phase.word()));
        }
    }
}
