//! The JSON Schema of the configuration file, as `portcullis schema` prints it.
//!
//! Made from the types in `written`, so that it cannot tell another story than the reader. What only
//! `compile` knows (references, addresses, attribute keys) is not in it.
use super::place::{Place, Segment};
use super::written::Configuration;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

/// The schema, draft 2020-12.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let settings = settings.with_transform(RecursiveTransform(without_null));
    settings.into_generator().into_root_schema_for::<Configuration>().into()
}

/// The names of the keys that may stand in the mapping at `place`.
pub(super) fn keys_at<'a>(schema: &'a Value, place: &[Segment]) -> Vec<&'a str> {
    let mut here = resolved(schema, schema);
    for segment in place {
        let below = match segment {
            Segment::Key(key) => here.get("properties").and_then(|keys| keys.get(key)),
            Segment::Index(_) => here.get("items"),
        };
        match below {
            Some(below) => here = resolved(schema, below),
            None => return Vec::new(),
        }
    }
    let properties = here.get("properties").and_then(Value::as_object);
    properties.map(|keys| keys.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// Every mapping of the schema in whose place the file has a list. serde would take the list's elements
/// for the mapping's values, one after the other.
pub(super) fn lists_for_mappings(schema: &Value, file: &Value) -> Vec<Place> {
    let mut found = Vec::new();
    let mut open = vec![(Place::default(), schema, file)];
    while let Some((place, expected, value)) = open.pop() {
        let expected = resolved(schema, expected);
        let keys = expected.get("properties").and_then(Value::as_object);
        match (value, keys, expected.get("items")) {
            (Value::Array(_), Some(_), _) => found.push(place),
            (Value::Object(entries), Some(keys), _) => {
                let known = entries.iter().filter_map(|(key, value)| {
                    keys.get(key).map(|expected| (place.key(key), expected, value))
                });
                open.extend(known);
            }
            (Value::Array(elements), None, Some(expected)) => {
                let elements = elements.iter().enumerate();
                open.extend(elements.map(|(index, value)| (place.index(index), expected, value)));
            }
            _ => {}
        }
    }
    found
}

/// Follows a reference into the schema's definitions; of several shapes that a value may have, to the
/// mapping among them.
fn resolved<'a>(schema: &'a Value, here: &'a Value) -> &'a Value {
    let follow = |here: &'a Value| {
        let reference = here.get("$ref").and_then(Value::as_str);
        let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| schema.pointer(pointer)).unwrap_or(here)
    };
    let here = follow(here);
    let shapes = here.get("anyOf").and_then(Value::as_array);
    let mut shapes = shapes.into_iter().flatten().map(follow);
    shapes.find(|shape| shape.get("properties").is_some()).unwrap_or(here)
}

/// An optional key is one that is left out; the reader takes no null.
fn without_null(schema: &mut schemars::Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            object.extend(only);
        }
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
}
