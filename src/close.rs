//! Why a connection or a request ended early: what the client gets, the word in logs and metrics, and
//! whether another try is safe.
//!
//! Each question is one `match` without a catch-all arm, so that a new reason compiles only once all
//! of them are answered. What a bad request head gets is `http::Malformed`'s to say, what a bad client
//! certificate gets `trust::Refusal`'s.

/// Why a connection or a request ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Reason {
    /// The client closed or reset its connection.
    #[error("the client went away")]
    ClientClosed,
    /// The handshake was not finished in time.
    #[error("the handshake took too long")]
    HandshakeTimeout,
    /// The client sent nothing, or not its whole head or body, for the idle timeout.
    #[error("the client was silent for too long")]
    ClientTimeout,
    /// The client did not send its whole request head within `request_head_timeout_seconds`.
    #[error("the client sent its request head too slowly")]
    SlowHead,
    /// The client sent its request's body below the rate that its listener asks for.
    #[error("the client sent its request's body too slowly")]
    SlowBody,
    /// The client took its answer below the rate that its listener asks for.
    #[error("the client read its answer too slowly")]
    SlowReader,
    /// The request was not whole, or its answer not taken, within `request_timeout_seconds`.
    #[error("the request took too long")]
    RequestTimeout,
    /// The client broke HTTP/2.
    #[error("the client broke HTTP/2")]
    Http2Malformed,
    /// The client sent too many frames that cost nothing to send.
    #[error("the client sent a flood of HTTP/2 frames")]
    Http2Flood,
    /// A keep-alive connection was idle for the idle timeout; nobody's fault.
    #[error("the connection was idle")]
    Idle,
    /// Trust changed, and the client of a kept connection is no longer accepted.
    #[error("the client is no longer accepted")]
    NoLongerAccepted,
    /// The client ended its side in the middle of a request.
    #[error("the client's request is not whole")]
    RequestIncomplete,
    /// The target group has no target, or none with an address.
    #[error("the target group has no usable target")]
    NoTarget,
    /// Every tried target refused the connection.
    #[error("the target refused the connection")]
    ConnectRefused,
    /// No tried target took the connection in time.
    #[error("connecting to the target took too long")]
    ConnectTimeout,
    /// The target closed the connection before its answer was whole.
    #[error("the target closed the connection")]
    TargetClosed,
    /// The target's answer is not HTTP, or over a limit.
    #[error("the target's answer is malformed")]
    TargetMalformed,
    /// The target was silent for the idle timeout.
    #[error("the target was silent for too long")]
    TargetTimeout,
    /// The node is ending and its grace period is over.
    #[error("the node is ending")]
    Draining,
    /// The node is at one of its bounds.
    #[error("the node is at a limit")]
    Shed,
    /// The client's address has as many connections as its listener allows.
    #[error("too many connections from one source")]
    ShedSource,
    /// The node is over its memory budget.
    #[error("the node is over its memory budget")]
    Overloaded,
    /// A bug of ours.
    #[error("internal error")]
    Internal,
}

impl Reason {
    /// Every reason, in the order of [`Reason::index`].
    pub const ALL: [Self; 23] = [
        Self::ClientClosed,
        Self::HandshakeTimeout,
        Self::ClientTimeout,
        Self::SlowHead,
        Self::SlowBody,
        Self::SlowReader,
        Self::RequestTimeout,
        Self::Http2Malformed,
        Self::Http2Flood,
        Self::Idle,
        Self::NoLongerAccepted,
        Self::RequestIncomplete,
        Self::NoTarget,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::TargetClosed,
        Self::TargetMalformed,
        Self::TargetTimeout,
        Self::Draining,
        Self::Shed,
        Self::ShedSource,
        Self::Overloaded,
        Self::Internal,
    ];

    /// Position in [`Reason::ALL`], for arrays of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The status that a client waiting for an answer gets; none where there is nobody to tell.
    /// Source: ALB guide, troubleshooting, "HTTP error codes".
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::ClientClosed
            | Self::HandshakeTimeout
            | Self::SlowReader
            | Self::Http2Malformed
            | Self::Http2Flood
            | Self::Idle
            | Self::NoLongerAccepted => None,
            Self::RequestIncomplete => Some(400),
            Self::ClientTimeout | Self::SlowHead | Self::SlowBody | Self::RequestTimeout => {
                Some(408)
            }
            Self::ConnectRefused | Self::TargetClosed | Self::TargetMalformed => Some(502),
            Self::NoTarget | Self::Draining | Self::Shed | Self::ShedSource | Self::Overloaded => {
                Some(503)
            }
            Self::ConnectTimeout | Self::TargetTimeout => Some(504),
            Self::Internal => Some(500),
        }
    }

    /// The word in logs and the `reason` label of metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::ClientTimeout => "client_timeout",
            Self::SlowHead => "slow_head",
            Self::SlowBody => "slow_body",
            Self::SlowReader => "slow_reader",
            Self::RequestTimeout => "request_timeout",
            Self::Http2Malformed => "http2_malformed",
            Self::Http2Flood => "http2_flood",
            Self::Idle => "idle",
            Self::NoLongerAccepted => "no_longer_accepted",
            Self::RequestIncomplete => "request_incomplete",
            Self::NoTarget => "no_target",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::TargetClosed => "target_closed",
            Self::TargetMalformed => "target_malformed",
            Self::TargetTimeout => "target_timeout",
            Self::Draining => "draining",
            Self::Shed => "shed",
            Self::ShedSource => "shed_source",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
        }
    }

    /// Whether a target brought it about: neither its client nor this node, which drains or has no memory left.
    pub const fn is_of_target(self) -> bool {
        self.target_fault().is_some()
    }

    /// Whether the access log has the request as one that could not be dispatched: ALB does not tell a target
    /// that broke off from one that never took the connection. Source: `alb-contract.md`, section 2.2, field 6.
    pub const fn is_logged_as_undispatched(self) -> bool {
        match self.target_fault() {
            Some(TargetFault::Missing | TargetFault::NotConnected | TargetFault::BrokeOff) => true,
            Some(TargetFault::BadAnswer) | None => false,
        }
    }

    /// Whether the next target may be tried: the target cannot have begun to work on the request.
    pub const fn try_next_target(self) -> bool {
        matches!(self.target_fault(), Some(TargetFault::NotConnected))
    }

    /// What targets did wrong; nothing where the client or this node ended it.
    const fn target_fault(self) -> Option<TargetFault> {
        match self {
            Self::NoTarget => Some(TargetFault::Missing),
            Self::ConnectRefused | Self::ConnectTimeout => Some(TargetFault::NotConnected),
            Self::TargetClosed => Some(TargetFault::BrokeOff),
            Self::TargetMalformed | Self::TargetTimeout => Some(TargetFault::BadAnswer),
            Self::ClientClosed
            | Self::HandshakeTimeout
            | Self::ClientTimeout
            | Self::SlowHead
            | Self::SlowBody
            | Self::SlowReader
            | Self::RequestTimeout
            | Self::Http2Malformed
            | Self::Http2Flood
            | Self::Idle
            | Self::NoLongerAccepted
            | Self::RequestIncomplete
            | Self::Draining
            | Self::Shed
            | Self::ShedSource
            | Self::Overloaded
            | Self::Internal => None,
        }
    }
}

/// What targets did wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TargetFault {
    /// There is none.
    Missing,
    /// None took the connection.
    NotConnected,
    /// It closed the connection.
    BrokeOff,
    /// Its answer is malformed or late.
    BadAnswer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_follow_the_list() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index, "{reason:?}");
        }
    }

    #[test]
    fn words_are_distinct_label_values() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert!(
                reason
                    .word()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
            assert!(Reason::ALL[..index].iter().all(|other| other.word() != reason.word()));
        }
    }
}
