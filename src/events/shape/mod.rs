//! The shape of a type, as its `Deserialize` requests it: field names after serde's renames, nested types, variants.
//!
//! A deserializer follows one path into the type and stops at its end with the request that it got there; a walk over all
//! paths gives the shape. It needs no value of the type, and no bound but `DeserializeOwned`. It cannot see into types that
//! accept any form and decide later: untagged and internally tagged enums, flattened fields.
//!
//! ## Layout
//! - `trace`: the deserializer that follows a path
//! - `plain`: plausible values, for parts before the end of a path
//! - `walk`: follows all paths

mod plain;
mod trace;
mod walk;

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde_json::Value;

pub use walk::{shape_of, shape_of_variant};

/// The key of a part whose shape cannot be seen.
pub const UNSEEN: &str = "unseen";

/// The shape of an event's payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// The shape.
    pub shape: Value,
    /// The fields' names as serde writes them, in declaration order, with their shapes. Empty if the payload is not an object
    /// or array of fields, or its fields are unknown.
    pub fields: Vec<(String, Value)>,
}

/// The shape of a variant of a derived event.
#[derive(Debug)]
pub struct VariantShape {
    /// The payload, as `Deserialize` requests it.
    pub payload: Payload,
    /// The JSON schema of each declared field, in order, if its type has one.
    pub schemas: Vec<fn() -> Option<Value>>,
}

/// Whether a part of the shape cannot be seen.
#[must_use]
pub fn is_blind(shape: &Value) -> bool {
    match shape {
        Value::Object(parts) => parts.contains_key(UNSEEN) || parts.values().any(is_blind),
        Value::Array(parts) => parts.iter().any(is_blind),
        _ => false,
    }
}

/// Gets the JSON schema of a type, which may have none: `(&Probe::<T>::new()).schema()`, with [`Schema`] and
/// [`NoSchema`] in scope.
#[derive(Debug)]
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T> Probe<T> {
    /// Creates a probe of this type.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Probe<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The schema of a type that has one.
pub trait Schema {
    /// The schema, without texts that do not affect the form.
    fn schema(&self) -> Option<Value>;
}

impl<T: JsonSchema> Schema for Probe<T> {
    fn schema(&self) -> Option<Value> {
        let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
        strip(&mut schema);
        Some(schema)
    }
}

/// The schema of a type that has none: the compiler chooses it if [`Schema`] is not implemented.
pub trait NoSchema {
    /// None.
    fn schema(&self) -> Option<Value>;
}

impl<T> NoSchema for &Probe<T> {
    fn schema(&self) -> Option<Value> {
        None
    }
}

/// Removes titles, descriptions and examples, which do not affect the form. (A property may have such a name: then its
/// schema is an object or a boolean.)
fn strip(schema: &mut Value) {
    match schema {
        Value::Object(parts) => {
            for text in ["title", "description"] {
                if parts.get(text).is_some_and(Value::is_string) {
                    parts.remove(text);
                }
            }
            if parts.get("examples").is_some_and(Value::is_array) {
                parts.remove("examples");
            }
            parts.values_mut().for_each(strip);
        }
        Value::Array(parts) => parts.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
