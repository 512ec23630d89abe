//! Where in the file something stands: paths of keys and positions, and the lines they are on.
use std::collections::BTreeMap;
use std::fmt;

/// One step into the file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Segment {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// A place in the file, from its root.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place(pub Vec<Segment>);

impl Place {
    /// The place of a key below this one.
    pub fn key(&self, key: &str) -> Self {
        let mut place = self.clone();
        place.0.push(Segment::Key(key.to_owned()));
        place
    }

    /// The place of an element below this one.
    pub fn index(&self, index: usize) -> Self {
        let mut place = self.clone();
        place.0.push(Segment::Index(index));
        place
    }

    /// The same with every position left out, such as `listeners[].bind`: the form in which tables
    /// name keys.
    pub fn pattern(&self) -> String {
        let mut pattern = String::new();
        for segment in &self.0 {
            match segment {
                Segment::Key(key) if pattern.is_empty() => pattern.push_str(key),
                Segment::Key(key) => pattern.extend([".", key]),
                Segment::Index(_) => pattern.push_str("[]"),
            }
        }
        pattern
    }
}

/// As in `listeners[0].attributes["routing.http2.enabled"]`: a key with a dot in it is quoted.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if key.contains(['.', '[', ']']) => write!(f, "[\"{key}\"]")?,
                Segment::Key(key) if depth == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// The line of everything in a file, in the shape of the file. Empty where no lines are known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lines {
    /// The line on which this value (or its key) begins; 0 is unknown.
    pub line: usize,
    /// The values of a mapping.
    pub keys: BTreeMap<String, Lines>,
    /// The elements of a list.
    pub elements: Vec<Lines>,
}

impl Lines {
    /// The line of a place, or of the nearest one around it that is in the file.
    pub fn of(&self, place: &[Segment]) -> Option<usize> {
        let mut here = self;
        for segment in place {
            let below = match segment {
                Segment::Key(key) => here.keys.get(key),
                Segment::Index(index) => here.elements.get(*index),
            };
            match below {
                Some(below) => here = below,
                None => break,
            }
        }
        (here.line > 0).then_some(here.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::default().key("listeners").index(2).key("attributes").key("routing.http2.enabled")
    }

    #[test]
    fn a_key_with_dots_is_quoted_so_that_a_place_reads_one_way() {
        assert_eq!(place().to_string(), "listeners[2].attributes[\"routing.http2.enabled\"]");
        assert_eq!(place().pattern(), "listeners[].attributes.routing.http2.enabled");
    }

    #[test]
    fn a_place_that_is_not_in_the_file_has_the_line_of_what_is_around_it() {
        let element = Lines { line: 7, ..Lines::default() };
        let listeners = Lines {
            line: 3,
            elements: vec![Lines::default(), Lines::default(), element],
            ..Lines::default()
        };
        let root =
            Lines { line: 1, keys: [("listeners".to_owned(), listeners)].into(), elements: vec![] };
        assert_eq!(root.of(&place().0), Some(7));
        assert_eq!(root.of(&Place::default().key("nodes").0), Some(1));
        assert_eq!(Lines::default().of(&place().0), None);
    }
}
