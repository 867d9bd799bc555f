//! The shape of a type as its `Deserialize` asks for it: field names after serde's renames, types within types, variants.
//!
//! A deserializer follows one path into the type and stops at its end with what was asked for there; a walk over all
//! paths gives the shape. No value of the type is needed, and no bound but `DeserializeOwned`. It cannot see into what
//! reads any form and decides then: untagged and internally tagged enums, flattened fields.
//!
//! ## Layout
//! - `trace`: the deserializer that follows a path
//! - `plain`: plausible values, for what comes before the end of a path
//! - `walk`: all paths

mod plain;
mod trace;
mod walk;

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde_json::Value;

pub use walk::{of, of_variant};

/// The key of a part that cannot be seen into.
pub const UNSEEN: &str = "unseen";

/// The shape of an event's payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// The shape.
    pub shape: Value,
    /// The names of its fields as serde writes them, in the order of the declaration, with their shapes; empty where
    /// the payload is no object or array of fields, or its fields are not known.
    pub fields: Vec<(String, Value)>,
}

/// What a derived event knows of the shape of a variant.
#[derive(Debug)]
pub struct VariantShape {
    /// The payload, as `Deserialize` asks for it.
    pub payload: Payload,
    /// The JSON schema of each declared field, in order, where its type has one.
    pub schemas: Vec<fn() -> Option<Value>>,
}

/// Whether some part of the shape cannot be seen into.
#[must_use]
pub fn is_blind(shape: &Value) -> bool {
    match shape {
        Value::Object(parts) => parts.contains_key(UNSEEN) || parts.values().any(is_blind),
        Value::Array(parts) => parts.iter().any(is_blind),
        _ => false,
    }
}

/// Asks a type for its JSON schema, whether it has one or not: `(&Probe::<T>::new()).schema()`, with [`Schema`] and
/// [`NoSchema`] in scope.
#[derive(Debug)]
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T> Probe<T> {
    /// A probe of this type.
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
    /// The schema, without texts that change nothing.
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

/// The same for a type that has none: the compiler takes it where [`Schema`] does not fit.
pub trait NoSchema {
    /// None.
    fn schema(&self) -> Option<Value>;
}

impl<T> NoSchema for &Probe<T> {
    fn schema(&self) -> Option<Value> {
        None
    }
}

/// Removes what says nothing about the form: titles, descriptions, examples. (A property may have such a name: then its
/// schema is an object or a truth value.)
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
