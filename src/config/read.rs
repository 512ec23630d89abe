//! From the tree to what is written: every unknown key, wrong type and missing key at once.
//!
//! serde stops at its first error. So the part at fault is noted and cut out, and the rest is read
//! again, until it reads through: a bad value takes its key with it, and a mapping that lacks a key it
//! must have goes as a whole. What then refers to a part that was cut out is not at fault itself, so
//! the names that the file declares are collected before anything is cut.
//! Bounds: each round cuts something out, and nobody reads on past `limits::FAULTS_MAX` faults.
use super::nearest::nearest;
use super::place::{Place, Segment};
use super::tree::{self, Tree};
use super::written::Configuration;
use super::{Faults, later, schema};
use crate::limits;
use serde_json::Value;
use std::collections::BTreeSet;

/// The names that a section declares, also those of elements that could not be read.
#[derive(Debug, Default)]
pub struct Names {
    /// The names.
    pub known: BTreeSet<String>,
    /// Whether some element's name could not be read, so that any reference may be right.
    pub may_miss_some: bool,
}

/// The names that the file declares.
#[derive(Debug, Default)]
pub struct Declared {
    /// Of `certificates`.
    pub certificates: Names,
    /// Of `trust_stores`.
    pub trust_stores: Names,
    /// Of `target_groups`.
    pub target_groups: Names,
}

/// Reads what is readable and notes everything that is not.
pub fn read(tree: Tree, faults: &mut Faults) -> Option<(Configuration, Declared)> {
    let declared = Declared {
        certificates: names(&tree.value, "certificates"),
        trust_stores: names(&tree.value, "trust_stores"),
        target_groups: names(&tree.value, "target_groups"),
    };
    let mut value = tree.value;
    let mut unknown = BTreeSet::new();
    let mut cut: BTreeSet<Place> = tree.refused.into_iter().collect();
    for place in &cut {
        cut_out(&mut value, place);
    }
    let schema = schema::schema();
    for place in schema::lists_for_mappings(&schema, &value) {
        faults.note_at(&place, "expected a mapping, found a list");
        cut_out(&mut value, &place);
        cut.insert(place);
    }
    let mut configuration = None;
    while faults.list.len() <= limits::FAULTS_MAX {
        let mut track = serde_path_to_error::Track::new();
        let reader = serde_path_to_error::Deserializer::new(&value, &mut track);
        let note_unknown = |path: serde_ignored::Path<'_>| {
            unknown.insert(place_of_ignored(&path));
        };
        match serde_ignored::deserialize::<_, _, Configuration>(reader, note_unknown) {
            Ok(read) => {
                configuration = Some(read);
                break;
            }
            Err(error) => {
                let place = place_of_error(&track.path());
                note_error(&error.to_string(), &place, &value, &cut, faults);
                if !cut_out(&mut value, &place) {
                    break;
                }
                cut.insert(place);
            }
        }
    }
    for place in &unknown {
        faults.note_at(place, unknown_key(place, &schema));
    }
    Some((configuration?, declared))
}

fn names(root: &Value, section: &str) -> Names {
    let mut names = Names::default();
    match root.get(section) {
        None => {}
        Some(Value::Array(elements)) => {
            for element in elements {
                match element.get("name") {
                    Some(Value::String(name)) => {
                        names.known.insert(name.clone());
                    }
                    _ => names.may_miss_some = true,
                }
            }
        }
        Some(_) => names.may_miss_some = true,
    }
    names
}

/// Takes a value out of its mapping, or leaves null in its list, so that positions stay as written.
/// Answers whether there was anything to take out.
fn cut_out(root: &mut Value, place: &Place) -> bool {
    let Some((last, around)) = place.0.split_last() else { return false };
    let mut here = root;
    for segment in around {
        let below = match segment {
            Segment::Key(key) => here.get_mut(key),
            Segment::Index(index) => here.get_mut(index),
        };
        match below {
            Some(below) => here = below,
            None => return false,
        }
    }
    match last {
        Segment::Key(key) => {
            here.as_object_mut().is_some_and(|entries| entries.shift_remove(key).is_some())
        }
        Segment::Index(index) => {
            let taken = here.get_mut(index).map(Value::take);
            taken.is_some_and(|value| !value.is_null())
        }
    }
}

fn at<'a>(root: &'a Value, place: &Place) -> Option<&'a Value> {
    place.0.iter().try_fold(root, |here, segment| match segment {
        Segment::Key(key) => here.get(key),
        Segment::Index(index) => here.get(index),
    })
}

/// Notes what serde said, in the words of the file. A key that is missing because it was cut out has
/// been noted already.
fn note_error(
    error: &str,
    place: &Place,
    root: &Value,
    cut: &BTreeSet<Place>,
    faults: &mut Faults,
) {
    if let Some(key) = error.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'))
    {
        if !cut.contains(&place.key(key)) {
            faults.note_at(place, format_args!("the key {key} is missing"));
        }
        return;
    }
    let found = at(root, place);
    let word = found.and_then(Value::as_str);
    if let Some(message) = word.and_then(|word| later::word(&place.pattern(), word)) {
        return faults.note_at(place, message);
    }
    faults.note_at(place, reworded(error, found));
}

/// serde speaks of Rust's types; operators do not.
fn reworded(error: &str, found: Option<&Value>) -> String {
    if let Some(("unknown variant", rest)) = error.split_once(" `") {
        let (word, expected) = rest.split_once("`, expected ").unwrap_or((rest, "another word"));
        let expected = expected.trim_start_matches("one of ").replace('`', "");
        let guess = nearest(word, expected.split([',', ' ']).filter(|word| !word.is_empty()));
        return match guess {
            Some(guess) => format!("\"{word}\" is unknown here; did you mean {guess}?"),
            None => format!("\"{word}\" is unknown here; the words are {expected}"),
        };
    }
    let Some((_, expected)) = error.rsplit_once(", expected ") else { return error.to_owned() };
    let expected = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "a borrowed string" | "string or map" | "variant identifier" => "a word",
        other if other.starts_with("enum ") || other.contains("enum ") => "a word",
        other => other,
    };
    let found = match found {
        Some(value @ (Value::Bool(_) | Value::Number(_) | Value::String(_))) => value.to_string(),
        Some(value) => tree::kind(value).to_owned(),
        None => return format!("expected {expected}"),
    };
    let quotes = match (expected, found.starts_with(|c: char| c.is_ascii_digit())) {
        ("a string", true) => "; put it in quotes",
        _ => "",
    };
    format!("expected {expected}, found {found}{quotes}")
}

fn unknown_key(place: &Place, schema: &Value) -> String {
    if let Some(message) = later::key(&place.pattern()) {
        return message;
    }
    let Some((Segment::Key(key), around)) = place.0.split_last() else {
        return "this is unknown".to_owned();
    };
    let known = schema::keys_at(schema, around);
    let later = later::keys_below(&Place(around.to_vec()).pattern()).collect::<Vec<_>>();
    match nearest(key, known.iter().chain(&later).copied()) {
        Some(guess) => format!("unknown key; did you mean {guess}?"),
        None => format!("unknown key; the keys here are {}", known.join(", ")),
    }
}

fn place_of_error(path: &serde_path_to_error::Path) -> Place {
    let segments = path.iter().filter_map(|segment| match segment {
        serde_path_to_error::Segment::Seq { index } => Some(Segment::Index(*index)),
        serde_path_to_error::Segment::Map { key } => Some(Segment::Key(key.clone())),
        serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
    });
    Place(segments.collect())
}

fn place_of_ignored(path: &serde_ignored::Path<'_>) -> Place {
    let mut place = Place::default();
    let mut here = path;
    loop {
        here = match here {
            serde_ignored::Path::Root => break,
            serde_ignored::Path::Seq { parent, index } => {
                place.0.push(Segment::Index(*index));
                parent
            }
            serde_ignored::Path::Map { parent, key } => {
                place.0.push(Segment::Key(key.clone()));
                parent
            }
            serde_ignored::Path::Some { parent }
            | serde_ignored::Path::NewtypeStruct { parent }
            | serde_ignored::Path::NewtypeVariant { parent } => parent,
        };
    }
    place.0.reverse();
    place
}

#[cfg(test)]
#[path = "read_tests.rs"]
pub(super) mod tests;
