//! Shapes of values that serde has no type for, and what the JSON Schema says of them.
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A word, number, or true or false: ALB's attribute values are strings, and files write them bare.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scalar(pub String);

/// A number, or `auto`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AutoOr {
    /// The node chooses.
    #[default]
    Auto,
    /// As written.
    Number(u32),
}

/// A mapping, or a path that stands for all of it.
#[derive(Debug)]
pub struct Short<T>(pub T);

/// A number, `auto` or `off`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Budget {
    /// The node chooses.
    #[default]
    Auto,
    /// None.
    Off,
    /// As written.
    Number(u32),
}

/// A list that keeps the written position of each element, also where some could not be read.
#[derive(Debug)]
pub struct List<T>(pub Vec<(usize, T)>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Null is an element that was refused already and left behind to hold its position.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let elements = Vec::<Option<T>>::deserialize(deserializer)?;
        let positions = elements.into_iter().enumerate();
        Ok(Self(positions.filter_map(|(index, element)| Some((index, element?))).collect()))
    }
}

impl<'de, T: Deserialize<'de> + From<String>> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + From<String>> Visitor<'de> for Any<T> {
            type Value = Short<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or a mapping")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Short<T>, E> {
                Ok(Short(value.to_owned().into()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Short<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Short)
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number, true or false")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned()))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for AutoOr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = AutoOr;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("auto or a whole number from 1 to 4294967295")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<AutoOr, E> {
                match value {
                    "auto" => Ok(AutoOr::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
                }
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<AutoOr, E> {
                let number = u32::try_from(value).ok().filter(|number| *number > 0);
                let unexpected = de::Unexpected::Unsigned(value);
                number.map(AutoOr::Number).ok_or_else(|| E::invalid_value(unexpected, &self))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Budget;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("auto, off or a whole number from 1 to 4294967295")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Budget, E> {
                match value {
                    "auto" => Ok(Budget::Auto),
                    "off" => Ok(Budget::Off),
                    _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
                }
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Budget, E> {
                let number = u32::try_from(value).ok().filter(|number| *number > 0);
                let unexpected = de::Unexpected::Unsigned(value);
                number.map(Budget::Number).ok_or_else(|| E::invalid_value(unexpected, &self))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Vec::<T>::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<T>::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for Short<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let whole = generator.subschema_for::<T>();
        schemars::json_schema!({"anyOf": [{"type": "string"}, whole]})
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"type": ["string", "number", "boolean"]})
    }
}

impl JsonSchema for AutoOr {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "AutoOr".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let number = serde_json::json!({"type": "integer", "minimum": 1, "maximum": u32::MAX});
        schemars::json_schema!({"anyOf": [{"const": "auto"}, number]})
    }
}

impl JsonSchema for Budget {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Budget".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let number = serde_json::json!({"type": "integer", "minimum": 1, "maximum": u32::MAX});
        schemars::json_schema!({"anyOf": [{"enum": ["auto", "off"]}, number]})
    }
}
