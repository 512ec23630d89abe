//! Everything that is wrong with a configuration, at once.
use std::fmt;

/// One thing that is wrong, or odd.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
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
    /// In the order of the file.
    pub list: Vec<Fault>,
}
