//! How both directions of an exchange ended, and what follows, whichever protocols its client and its target speak.
use super::recording::Recording;
use super::request::Asked;
use crate::close::Reason;
use crate::http::head::Malformed;
use crate::observe::access_log::Record;
use crate::observe::count;
use crate::upstream::Connection as Upstream;

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
pub(super) struct IncompleteAnswer {
    pub(super) reason: Reason,
    pub(super) told: Told,
    /// The target had sent nothing at all.
    pub(super) silent: bool,
}

impl IncompleteAnswer {
    /// Whether the request may be sent again, on a fresh connection: the target closed this one without a word,
    /// as it may at any time once it has kept it (RFC 9112, section 9.3.1), and doing it twice does no harm.
    /// Where this node ended it (the client has gone, time is up) there is nobody to try again for.
    pub(super) fn may_repeat(self, on: &Upstream, asked: &Asked) -> bool {
        self.silent && self.reason == Reason::TargetClosed && on.reused && asked.may_repeat()
    }
}

/// What ended an exchange that has no whole answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cause {
    /// The client has gone, took its request back, or is too slow.
    Client {
        reason: Reason,
        /// Its request was not whole yet.
        uploading: bool,
    },
    /// What the client sent behind its head cannot go on.
    Malformed(Malformed),
    /// The target, or this node, which ended it for this reason.
    Target(Reason),
}

impl Cause {
    /// Of an exchange whose directions ended so.
    pub(super) fn of(failed: IncompleteAnswer, uploaded: Uploaded) -> Self {
        match uploaded {
            Uploaded::ClientEnded(reason) => Self::Client { reason, uploading: true },
            Uploaded::Malformed(malformed) => Self::Malformed(malformed),
            Uploaded::Whole | Uploaded::TargetStopped | Uploaded::Abandoned => {
                Self::Target(failed.reason)
            }
        }
    }

    /// Counts what a target brought about, and has the log tell a request that its client cut short.
    pub(super) fn note(self, told: Told, counters: &count::TargetGroup, recording: &Recording) {
        match self {
            Self::Target(reason) if reason.is_of_target() => {
                counters.errors[reason.index()].add(1);
            }
            Self::Client { uploading: true, .. } if told == Told::Nothing => {
                recording.note(Record::cut_short);
            }
            Self::Target(_) | Self::Client { .. } | Self::Malformed(_) => {}
        }
    }
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
