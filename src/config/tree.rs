//! The configuration file as a tree of values, with the line of each of them.
//!
//! Called by `load`, once for each file. YAML 1.2 with its core schema, so that JSON is read too and
//! `off`, `on`, `yes` and `no` stay strings. Keys written twice, keys without a value, aliases and tags
//! are noted with all other faults; only broken syntax ends the reading. Aliases are refused whole
//! rather than counted, because a file for one node has no use for them.
//! Bounds: `limits::CONFIGURATION_BYTES_MAX`, `limits::CONFIGURATION_DEPTH_MAX`. No recursion.
//! Source: YAML 1.2.2, section 10.3, "Core Schema".
#![deny(clippy::indexing_slicing)]
use super::Faults;
use super::files::over;
use super::place::{Lines, Place, Segment};
use crate::limits;
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// A file that could be read.
#[derive(Debug)]
pub struct Tree {
    /// What it says.
    pub value: Value,
    /// Places that were noted already and hold null here; nobody needs to complain about them again.
    pub refused: Vec<Place>,
}

/// Reads a file and notes everything that is wrong with its form. From now on `faults` knows lines.
pub fn read(bytes: &[u8], faults: &mut Faults) -> Option<Tree> {
    if bytes.len() > limits::CONFIGURATION_BYTES_MAX {
        faults.note_here(over(bytes.len() as u64, limits::CONFIGURATION_BYTES_MAX));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = bytes.iter().take(error.valid_up_to());
            let line = 1 + before.filter(|byte| **byte == b'\n').count();
            faults.set_lines(Lines { line, ..Lines::default() });
            faults.note_here("the file is not UTF-8");
            return None;
        }
    };
    let mut reading = Reading::default();
    let outcome = reading.all(text);
    faults.set_lines(reading.root.as_ref().map(|(_, lines)| lines.clone()).unwrap_or_default());
    for (place, message) in &reading.notes {
        faults.note_at(place, message);
    }
    if let Err(End { line, message }) = outcome {
        faults.set_lines(Lines { line, ..Lines::default() });
        faults.note_here(message);
        return None;
    }
    match reading.root {
        Some((value @ Value::Object(_), _)) => Some(Tree { value, refused: reading.refused }),
        Some((Value::Null, _)) | None => {
            faults.note_here("the file is empty");
            None
        }
        Some((value, _)) => {
            let found = kind(&value);
            faults.note_here(format_args!("expected a mapping of sections, found {found}"));
            None
        }
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// Why reading ended early.
struct End {
    line: usize,
    message: String,
}

/// A list or mapping that is still open.
struct Open {
    container: Container,
    lines: Lines,
}

enum Container {
    List(Vec<Value>),
    Mapping { entries: Map<String, Value>, pending: Option<Key> },
}

/// A key that waits for its value.
struct Key {
    text: String,
    line: usize,
    /// It cannot be kept; the value is read and thrown away.
    refused: bool,
}

#[derive(Default)]
struct Reading {
    open: Vec<Open>,
    root: Option<(Value, Lines)>,
    notes: Vec<(Place, String)>,
    refused: Vec<Place>,
}

impl Reading {
    fn all(&mut self, text: &str) -> Result<(), End> {
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| {
                let line = error.marker().line();
                let written = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
                // A list begins with a bracket, and so does `bind: [::]:443`.
                let hint = if written.contains("]:") {
                    "; an address such as \"[::]:443\" needs quotes"
                } else {
                    ""
                };
                End { line, message: format!("this is not YAML: {}{hint}", error.info()) }
            })?;
            let line = span.start.line();
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let message = "a second document begins here; one file holds one";
                        return Err(End { line, message: message.to_owned() });
                    }
                }
                Event::Scalar(text, style, _, tag) => {
                    self.complain_of(tag.is_some().then_some(TAGGED));
                    match style {
                        ScalarStyle::Plain => self.scalar(&text, plain(&text), line),
                        ScalarStyle::SingleQuoted
                        | ScalarStyle::DoubleQuoted
                        | ScalarStyle::Literal
                        | ScalarStyle::Folded => {
                            self.scalar(&text, Value::String(text.clone().into_owned()), line);
                        }
                    }
                }
                Event::Alias(_) if self.expects_key() => return Err(not_a_key(line)),
                Event::Alias(_) => {
                    self.refuse("aliases are not read here; write the value out");
                    self.add(Value::Null, Lines { line, ..Lines::default() });
                }
                Event::SequenceStart(_, tag) => {
                    self.complain_of(tag.is_some().then_some(TAGGED));
                    self.begin(Container::List(Vec::new()), line)?;
                }
                Event::MappingStart(_, tag) => {
                    self.complain_of(tag.is_some().then_some(TAGGED));
                    let entries = Map::new();
                    self.begin(Container::Mapping { entries, pending: None }, line)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end(),
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    /// Whether the next value is a key of the innermost mapping.
    fn expects_key(&self) -> bool {
        let innermost = self.open.last().map(|open| &open.container);
        matches!(innermost, Some(Container::Mapping { pending: None, .. }))
    }

    fn scalar(&mut self, text: &str, value: Value, line: usize) {
        if self.expects_key() {
            return self.key(text, line);
        }
        if value.is_null() && !self.open.is_empty() {
            self.refuse("has no value; write one or leave the key out");
        }
        self.add(value, Lines { line, ..Lines::default() });
    }

    fn key(&mut self, text: &str, line: usize) {
        let Some(Open { container: Container::Mapping { entries, pending }, .. }) =
            self.open.last_mut()
        else {
            return;
        };
        let twice = entries.contains_key(text);
        *pending = Some(Key { text: text.to_owned(), line, refused: twice });
        if twice {
            self.complain(format!("is written again on line {line}"));
        }
    }

    fn begin(&mut self, container: Container, line: usize) -> Result<(), End> {
        if self.expects_key() {
            return Err(not_a_key(line));
        }
        if self.open.len() == limits::CONFIGURATION_DEPTH_MAX {
            let depth_max = limits::CONFIGURATION_DEPTH_MAX;
            let message = format!("lists and mappings nest deeper than {depth_max} here");
            return Err(End { line, message });
        }
        self.open.push(Open { container, lines: Lines { line, ..Lines::default() } });
        Ok(())
    }

    fn end(&mut self) {
        if let Some(Open { container, lines }) = self.open.pop() {
            let value = match container {
                Container::List(values) => Value::Array(values),
                Container::Mapping { entries, .. } => Value::Object(entries),
            };
            self.add(value, lines);
        }
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, value: Value, below: Lines) {
        let Some(Open { container, lines }) = self.open.last_mut() else {
            self.root = Some((value, below));
            return;
        };
        match container {
            Container::List(values) => {
                values.push(value);
                lines.elements.push(below);
            }
            Container::Mapping { entries, pending } => {
                if let Some(key) = pending.take().filter(|key| !key.refused) {
                    lines.keys.insert(key.text.clone(), Lines { line: key.line, ..below });
                    entries.insert(key.text, value);
                }
            }
        }
    }

    /// The place of the value that comes next.
    fn place(&self) -> Place {
        let segment = |open: &Open| match &open.container {
            Container::List(values) => Some(Segment::Index(values.len())),
            Container::Mapping { pending, .. } => {
                pending.as_ref().map(|key| Segment::Key(key.text.clone()))
            }
        };
        Place(self.open.iter().filter_map(segment).collect())
    }

    /// Whether the next value is below a key that is thrown away.
    fn is_discarding(&self) -> bool {
        self.open.iter().any(|open| {
            matches!(&open.container, Container::Mapping { pending: Some(key), .. } if key.refused)
        })
    }

    fn complain(&mut self, message: String) {
        if self.notes.len() <= limits::FAULTS_MAX {
            self.notes.push((self.place(), message));
        }
    }

    fn complain_of(&mut self, message: Option<&str>) {
        if let Some(message) = message {
            self.complain(message.to_owned());
        }
    }

    /// Complains about the next value, which is null in the tree.
    fn refuse(&mut self, message: &str) {
        self.complain(message.to_owned());
        if !self.is_discarding() {
            self.refused.push(self.place());
        }
    }
}

fn not_a_key(line: usize) -> End {
    End { line, message: "a key must be a plain word".to_owned() }
}

/// What an unquoted word means. Infinities and NaN stay strings: no key takes them.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Value::from);
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let decimal = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if !text.bytes().all(decimal) || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let integer = text.parse::<u64>().map(Value::from);
    let integer = integer.or_else(|_| text.parse::<i64>().map(Value::from));
    integer.ok().or_else(|| text.parse::<f64>().ok().map(Value::from))
}

const TAGGED: &str = "tags such as !!str are not read here; use quotes";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tree(text: &str) -> (Option<Value>, Vec<String>) {
        let mut faults = Faults::default();
        let tree = read(text.as_bytes(), &mut faults);
        (tree.map(|tree| tree.value), faults.list.iter().map(ToString::to_string).collect())
    }

    fn value(text: &str) -> Value {
        match tree(text) {
            (Some(value), faults) if faults.is_empty() => value,
            (_, faults) => panic!("{faults:?}"),
        }
    }

    fn faults(text: &str) -> Vec<String> {
        tree(text).1
    }

    #[test]
    fn unquoted_words_follow_the_core_schema() {
        assert_eq!(
            value("{a: off, b: on, c: yes, d: No, e: y}"),
            json!({"a": "off", "b": "on", "c": "yes", "d": "No", "e": "y"})
        );
        assert_eq!(
            value("{a: true, b: False, c: 7, d: -7, e: 0x1F, f: 0o17, g: 1.5, h: +3, i: 007}"),
            json!({"a": true, "b": false, "c": 7, "d": -7, "e": 31, "f": 15, "g": 1.5, "h": 3, "i": 7})
        );
        assert_eq!(
            value("{a: '7', b: \"true\", c: 10.0.0.5, d: 0.0.0.0:443, e: .inf, f: \"-\"}"),
            json!({"a": "7", "b": "true", "c": "10.0.0.5", "d": "0.0.0.0:443", "e": ".inf", "f": "-"})
        );
        assert_eq!(value("a: 18446744073709551615\nb: 1e3"), json!({"a": u64::MAX, "b": 1000.0}));
    }

    #[test]
    fn json_is_read_tabs_and_escapes_included() {
        let text = "{\n\t\"node\": {\"name\": \"a\\u00e9\\/b\"},\n\t\"listeners\": [\n\t\t1,\n\t\t2\n\t]\n}\n";
        assert_eq!(value(text), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn every_value_has_the_line_of_its_key() {
        let mut faults = Faults::default();
        read(b"node:\n  name: a\nlisteners:\n- bind: x\n\n- bind:\n    y\n", &mut faults).unwrap();
        faults.within("node", |faults| faults.note("name", "n"));
        faults.element("listeners", 0, |faults| faults.note("bind", "b"));
        faults.element("listeners", 1, |faults| faults.note("bind", "b"));
        faults.element("listeners", 1, |faults| faults.note("missing", "m"));
        let lines: Vec<_> = faults.list.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [Some(2), Some(4), Some(6), Some(6)]);
    }

    #[test]
    fn a_key_written_twice_is_a_fault_that_names_both_lines() {
        assert_eq!(
            faults("node:\n  name: a\n  io: auto\n  name: [b, ~]\nlogs: {}\nnode: {}\n"),
            [
                "line 2: node.name: is written again on line 4",
                "line 2: node.name[1]: has no value; write one or leave the key out",
                "line 1: node: is written again on line 6",
            ]
        );
    }

    #[test]
    fn what_has_no_value_is_a_fault_and_the_rest_is_read() {
        let (value, faults) = tree("node:\nlogs: {connection: ~}\nlisteners: [~, 1]\n");
        assert_eq!(
            value,
            Some(json!({"node": null, "logs": {"connection": null}, "listeners": [null, 1]}))
        );
        assert_eq!(faults.len(), 3);
        assert!(faults[0].starts_with("line 1: node: has no value"), "{faults:?}");
    }

    #[test]
    fn aliases_and_tags_are_refused() {
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
        assert_eq!(faults(bomb).len(), 4);
        assert!(faults(bomb)[0].starts_with("line 2: b[0]: aliases are not read here"));
        assert!(faults("a: !!str 5")[0].contains("tags"));
        assert!(faults("&a x: 1\n*a : 2")[0].contains("a key must be a plain word"));
    }

    #[test]
    fn a_file_that_is_no_single_mapping_is_refused() {
        assert_eq!(faults(""), ["the file is empty"]);
        assert_eq!(faults("# nothing\n---\n"), ["line 3: the file is empty"]);
        assert_eq!(faults("- a\n"), ["line 1: expected a mapping of sections, found a list"]);
        assert_eq!(
            faults("a: 1\n---\nb: 2\n"),
            ["line 2: a second document begins here; one file holds one"]
        );
        assert!(faults("[a]: 1\n")[0].contains("a key must be a plain word"));
        assert!(faults("a: 1\n b: [\n")[0].starts_with("line 2: this is not YAML"));
        let hint = "an address such as \"[::]:443\" needs quotes";
        for text in ["a:\n  bind: [::]:443\n", "a:\n  - {bind: [::1]:443}\n"] {
            assert!(faults(text).iter().any(|fault| fault.ends_with(hint)), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused_with_their_line() {
        let mut faults = Faults::default();
        assert!(read(b"a: 1\nb: \xff\n", &mut faults).is_none());
        assert_eq!(faults.to_string(), "line 2: the file is not UTF-8");
    }

    #[test]
    fn a_file_that_is_too_long_or_too_deep_is_refused() {
        let mut noted = Faults::default();
        assert!(read(&vec![b' '; limits::CONFIGURATION_BYTES_MAX + 1], &mut noted).is_none());
        assert!(noted.to_string().contains("and the limit is"), "{noted}");

        let nested = |depth: usize| format!("a: {}{}", "[".repeat(depth), "]".repeat(depth));
        value(&nested(limits::CONFIGURATION_DEPTH_MAX - 1));
        assert!(faults(&nested(limits::CONFIGURATION_DEPTH_MAX))[0].contains("nest deeper"));
        assert!(faults(&"- ".repeat(1_000_000))[0].contains("nest deeper"));
    }
}
