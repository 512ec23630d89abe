//! What is told one by one, with its time: refusals, connections that were lost, changes and what they brought.
//!
//! Pure: a moment is the time since the start.
use crate::failure::Failure;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Refusals and losses of one thread that are kept; more are only counted.
const TOLD_MAX: usize = 100_000;

/// Different server certificates that one thread keeps apart.
const CERTIFICATES_MAX: usize = 1_000;

/// What was noted.
#[derive(Debug, Default)]
pub(crate) struct Events {
    told: Vec<Event>,
    untold: u64,
    changes: Vec<Change>,
    /// Connections that were open and are no more, though nobody here closed them.
    lost: BTreeMap<Failure, u64>,
    /// Kept connections that could not be opened anew.
    kept_refused: BTreeMap<Failure, u64>,
    /// Kept connections that the server ended in order, between two requests.
    ended: u64,
    /// Requests on kept connections that were answered.
    answered: u64,
    certificates: Vec<Certificate>,
}

/// A refusal or a loss.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Event {
    pub(crate) at: Duration,
    pub(crate) whose: Whose,
    /// Which client it was.
    pub(crate) client: String,
    pub(crate) failure: Failure,
}

/// What kind of connection it was: a new one, one that stood, or one that was to take such a one's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Whose {
    New,
    Kept,
    Anew,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new connection",
            Self::Kept => "kept connection",
            Self::Anew => "kept connection, anew",
        })
    }
}

impl Serialize for Whose {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A command that was run to change something.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) at: Duration,
    pub(crate) took: Duration,
    pub(crate) ended: Ended,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// With this exit status.
    Exit(i32),
    /// It was killed, or could not be started.
    Killed,
    /// It was not over in time when all else was: no fault of its own.
    CutOff,
}

/// A certificate that the server has shown.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    pub(crate) count: u64,
    pub(crate) first: Duration,
    pub(crate) last: Duration,
}

impl Events {
    pub(crate) fn told(&self) -> &[Event] {
        &self.told
    }

    /// How many are only counted.
    pub(crate) fn untold(&self) -> u64 {
        self.untold
    }

    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// How many could not be made.
    pub(crate) fn failed_changes(&self) -> usize {
        let is_failed = |change: &&Change| !matches!(change.ended, Ended::Exit(0) | Ended::CutOff);
        self.changes.iter().filter(is_failed).count()
    }

    pub(crate) fn lost(&self) -> &BTreeMap<Failure, u64> {
        &self.lost
    }

    pub(crate) fn kept_refused(&self) -> &BTreeMap<Failure, u64> {
        &self.kept_refused
    }

    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    pub(crate) fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// A new connection was refused, or failed otherwise.
    pub(crate) fn refuse(&mut self, at: Duration, client: &str, failure: Failure) {
        self.tell(Event { at, whose: Whose::New, client: client.to_owned(), failure });
    }

    /// A connection was lost.
    pub(crate) fn lose(&mut self, at: Duration, client: &str, failure: Failure) {
        *self.lost.entry(failure).or_default() += 1;
        self.tell(Event { at, whose: Whose::Kept, client: client.to_owned(), failure });
    }

    /// A kept connection could not be opened anew.
    pub(crate) fn refuse_kept(&mut self, at: Duration, client: &str, failure: Failure) {
        *self.kept_refused.entry(failure).or_default() += 1;
        self.tell(Event { at, whose: Whose::Anew, client: client.to_owned(), failure });
    }

    /// A connection was ended in order.
    pub(crate) fn end(&mut self) {
        self.ended += 1;
    }

    /// A request on a kept connection was answered.
    pub(crate) fn answer(&mut self) {
        self.answered += 1;
    }

    pub(crate) fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// The server has shown this certificate.
    pub(crate) fn show(&mut self, at: Duration, der: &[u8]) {
        let has_room = self.certificates.len() < CERTIFICATES_MAX;
        match self.certificates.iter_mut().rev().find(|known| known.der == der) {
            Some(known) => {
                known.count += 1;
                known.last = at;
            }
            None if has_room => {
                let shown = Certificate { der: der.to_vec(), count: 1, first: at, last: at };
                self.certificates.push(shown);
            }
            None => {}
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        other.told.iter().for_each(|event| self.tell(event.clone()));
        self.told.sort_by_key(|event| event.at);
        self.untold += other.untold;
        self.changes.extend(other.changes.iter().cloned());
        for (failure, count) in &other.lost {
            *self.lost.entry(*failure).or_default() += count;
        }
        for (failure, count) in &other.kept_refused {
            *self.kept_refused.entry(*failure).or_default() += count;
        }
        self.ended += other.ended;
        self.answered += other.answered;
        for shown in &other.certificates {
            match self.certificates.iter_mut().find(|known| known.der == shown.der) {
                Some(known) => {
                    known.count += shown.count;
                    known.first = known.first.min(shown.first);
                    known.last = known.last.max(shown.last);
                }
                None => self.certificates.push(shown.clone()),
            }
        }
        self.certificates.sort_by_key(|shown| shown.first);
    }

    fn tell(&mut self, event: Event) {
        if self.told.len() < TOLD_MAX {
            self.told.push(event);
        } else {
            self.untold += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_not_told_any_more_is_counted() {
        let (mut one, mut other) = (Events::default(), Events::default());
        for _ in 0..TOLD_MAX {
            one.refuse(AT, "a", Failure::Reset);
            other.lose(AT, "b", Failure::Closed);
        }
        one.add(&other);
        assert_eq!((one.told().len(), one.untold()), (TOLD_MAX, TOLD_MAX as u64));
        assert_eq!(one.lost()[&Failure::Closed], TOLD_MAX as u64);
    }

    #[test]
    fn a_certificate_has_its_first_and_last_moment_over_all_threads() {
        let (mut one, mut other) = (Events::default(), Events::default());
        one.show(AT * 5, b"old");
        other.show(AT, b"old");
        other.show(AT * 7, b"new");
        other.show(AT * 6, b"old");
        one.add(&other);
        let told: Vec<_> = one
            .certificates()
            .iter()
            .map(|one| (&one.der[..], one.count, one.first.as_secs(), one.last.as_secs()))
            .collect();
        assert_eq!(told, [(&b"old"[..], 3, 1, 6), (&b"new"[..], 1, 7, 7)]);
    }
}
