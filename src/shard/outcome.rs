//! How both directions of an exchange ended, whichever protocols its client and its target speak.
use crate::close::Reason;
use crate::http::head::Malformed;

/// How the request's content went to the target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Uploaded {
    /// All of it.
    Whole,
    /// The target takes no more; its answer says why.
    TargetStopped,
    /// The answer was there first; the rest goes nowhere.
    Abandoned,
    /// The client went away, took its request back, or was silent for too long.
    ClientEnded(Reason),
    /// The client broke the framing, or its trailers cannot go on.
    Malformed(Malformed),
}

/// Why there is no whole answer of the target's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Unanswered {
    pub(super) reason: Reason,
    pub(super) told: Told,
    /// The target had sent nothing at all.
    pub(super) silent: bool,
}

/// What the client has been told so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Told {
    /// Nothing final: there is room for an answer of the node's own.
    Nothing,
    /// Part of the target's answer, so that no other one can be sent.
    Part,
    /// The node's own answer.
    Refusal,
}
