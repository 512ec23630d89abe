//! Everything that is wrong with a configuration, at once.
//!
//! Reading and compiling note what they find and go on; nobody stops at the first fault. A function
//! that looks at one part of the file notes keys of that part, and whoever calls it says where the
//! part stands ([`Faults::within`], [`Faults::element`]).
//! Bounds: `limits::FAULTS_MAX` are kept, so that a file of nonsense has a short answer.
use super::place::{Lines, Place, Segment};
use crate::limits;
use crate::observe::load::Reason;
use std::collections::BTreeSet;
use std::fmt;

/// One thing that is wrong, or odd.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub struct Fault {
    /// Where in the file, such as `listeners[0].mutual_authentication.mode`.
    pub path: String,
    /// The line in the file, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What is wrong, in a sentence that helps.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Faults as they are found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    /// In the order of the file, once [`Faults::sort`] was called.
    pub list: Vec<Fault>,
    /// What is odd and stops nothing.
    pub warnings: Vec<Fault>,
    /// What kinds of thing are wrong, for the metric.
    pub reasons: BTreeSet<Reason>,
    /// Where the caller is looking.
    scope: Place,
    /// What the caller is looking at.
    reason: Reason,
    lines: Lines,
}

impl Faults {
    /// One fault that stands nowhere in the file.
    pub fn one(reason: Reason, message: impl fmt::Display) -> Self {
        let mut faults = Self { reason, ..Self::default() };
        faults.note_here(message);
        faults
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// None of them, and yet knows where things stand in the file.
    pub fn emptied(&self) -> Self {
        Self { lines: self.lines.clone(), ..Self::default() }
    }

    /// What is odd, in the order of the file.
    pub fn sorted_warnings(&mut self) -> Vec<Fault> {
        self.sort();
        std::mem::take(&mut self.warnings)
    }

    /// Where things stand in the file, for all faults noted from now on.
    pub fn set_lines(&mut self, lines: Lines) {
        self.lines = lines;
    }

    /// Notes a fault of `key` in the current part of the file.
    pub fn note(&mut self, key: &str, message: impl fmt::Display) {
        self.within(key, |faults| faults.note_here(message));
    }

    /// Notes a fault of the current part of the file itself.
    pub fn note_here(&mut self, message: impl fmt::Display) {
        self.reasons.insert(self.reason);
        let count = self.list.len();
        if count < limits::FAULTS_MAX {
            self.list.push(self.fault(&self.scope, message));
        } else if count == limits::FAULTS_MAX {
            let message = "there are more faults; mend these first".to_owned();
            self.list.push(Fault { path: String::new(), line: None, message });
        }
    }

    /// Notes that `key` lacks what it must have, unless that was cut out for a fault that is noted
    /// already.
    pub fn note_missing(&mut self, key: &str, message: impl fmt::Display) {
        if !self.has(key) {
            self.note(key, message);
        }
    }

    /// Whether something was noted of `key` or below it.
    pub fn has(&self, key: &str) -> bool {
        let path = self.scope.key(key).to_string();
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        let noted = |fault: &Fault| fault.path.strip_prefix(&path).is_some_and(is_below);
        self.list.iter().any(noted)
    }

    /// Notes a fault of a place that is given from the root of the file.
    pub fn note_at(&mut self, place: &Place, message: impl fmt::Display) {
        let scope = std::mem::replace(&mut self.scope, place.clone());
        self.note_here(message);
        self.scope = scope;
    }

    /// Notes something odd about `key` that stops nothing.
    pub fn warn(&mut self, key: &str, message: impl fmt::Display) {
        let warning = self.fault(&self.scope.key(key), message);
        self.warnings.push(warning);
    }

    /// Looks at the part of the file below `key`.
    pub fn within<R>(&mut self, key: &str, look: impl FnOnce(&mut Self) -> R) -> R {
        self.step(Segment::Key(key.to_owned()), look)
    }

    /// Looks at one element of the list below `key`.
    pub fn element<R>(&mut self, key: &str, index: usize, look: impl FnOnce(&mut Self) -> R) -> R {
        self.within(key, |faults| faults.step(Segment::Index(index), look))
    }

    /// Looks at something else than the configuration itself: what a file holds, what the kernel says.
    pub fn because<R>(&mut self, reason: Reason, look: impl FnOnce(&mut Self) -> R) -> R {
        let before = std::mem::replace(&mut self.reason, reason);
        let result = look(self);
        self.reason = before;
        result
    }

    /// Puts everything into the order of the file; what stands nowhere in it comes last.
    pub fn sort(&mut self) {
        for list in [&mut self.list, &mut self.warnings] {
            list.sort_by_key(|fault| fault.line.unwrap_or(usize::MAX));
        }
    }

    fn step<R>(&mut self, segment: Segment, look: impl FnOnce(&mut Self) -> R) -> R {
        self.scope.0.push(segment);
        let result = look(self);
        self.scope.0.pop();
        result
    }

    fn fault(&self, place: &Place, message: impl fmt::Display) -> Fault {
        Fault {
            path: place.to_string(),
            line: self.lines.of(&place.0),
            message: message.to_string(),
        }
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(list: Vec<Fault>) -> Self {
        Self { list, ..Self::default() }
    }
}

/// One fault on each line, as `portcullis check` prints them.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Turns an error into a note and `None`, so that the caller goes on to the next field.
pub(super) trait OrNote<T> {
    /// The value, or a note at `key` and nothing.
    fn or_note(self, faults: &mut Faults, key: &str) -> Option<T>;
}

impl<T, E: fmt::Display> OrNote<T> for Result<T, E> {
    fn or_note(self, faults: &mut Faults, key: &str) -> Option<T> {
        self.map_err(|error| faults.note(key, error)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_carries_the_path_of_the_part_in_which_it_was_noted() {
        let mut faults = Faults::default();
        faults.element("listeners", 1, |faults| {
            faults.note("bind", "not an address");
            faults.warn("ssl_policy", "held in part");
            assert_eq!("x".parse::<u8>().or_note(faults, "backlog"), None);
        });
        faults.note("node", "odd");
        assert_eq!(
            faults.to_string(),
            "listeners[1].bind: not an address\n\
             listeners[1].backlog: invalid digit found in string\n\
             node: odd"
        );
        assert_eq!(faults.warnings[0].path, "listeners[1].ssl_policy");
    }

    #[test]
    fn faults_tell_what_kinds_of_thing_are_wrong() {
        let mut faults = Faults::default();
        faults.note("node", "odd");
        faults.because(Reason::CaBundle, |faults| faults.note("trust_stores", "expired"));
        faults.because(Reason::Key, |_| ());
        faults.note("node", "odd");
        assert_eq!(faults.reasons, [Reason::Configuration, Reason::CaBundle].into());
    }

    #[test]
    fn a_file_of_nonsense_has_a_bounded_answer() {
        let mut faults = Faults::default();
        for _ in 0..3 * limits::FAULTS_MAX {
            faults.note("node", "odd");
        }
        assert_eq!(faults.list.len(), limits::FAULTS_MAX + 1);
        assert!(faults.list.last().unwrap().message.contains("more faults"));
    }
}
