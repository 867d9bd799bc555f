//! [`CommandSchemas`]: the JSON schemas that command bodies are checked against.

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::Problem;
use crate::app::Annals;

/// The most errors that one response lists.
const MAX_ERRORS: usize = 20;

/// The schema of each command, as published and checked. Unknown fields are refused.
pub(super) struct CommandSchemas(BTreeMap<&'static str, (Value, Option<Validator>)>);

impl CommandSchemas {
    pub fn new(annals: &Annals) -> Self {
        Self(annals.commands().map(|info| (info.name, compiled(info.name, &info.schema))).collect())
    }

    /// The schema of a command's body.
    pub fn of(&self, command: &str) -> Option<&Value> {
        self.0.get(command).map(|(schema, _)| schema)
    }

    /// Validates a body against the command's schema.
    pub fn check(&self, command: &str, body: &Value) -> Result<(), Problem> {
        let Some((_, Some(validator))) = self.0.get(command) else { return Ok(()) };
        // The usual case, which needs no list of errors.
        if validator.is_valid(body) {
            return Ok(());
        }
        let errors: Vec<Value> = validator
            .iter_errors(body)
            .take(MAX_ERRORS)
            .map(|error| json!({ "pointer": error.instance_path().to_string(), "detail": error.to_string() }))
            .collect();
        match errors.first() {
            None => Ok(()),
            Some(first) => {
                let pointer = first["pointer"].as_str().unwrap_or_default();
                let at = if pointer.is_empty() { String::new() } else { format!(" at {pointer}") };
                let detail = first["detail"].as_str().unwrap_or_default();
                let detail = format!("invalid body of `{command}`{at}: {detail}");
                Err(Problem::malformed(detail).with("command", command).with("errors", errors))
            }
        }
    }
}

fn compiled(command: &str, schema: &Value) -> (Value, Option<Validator>) {
    let mut schema = schema.clone();
    close(&mut schema, true);
    let validator = jsonschema::draft202012::new(&schema);
    if let Err(error) = &validator {
        // serde still checks the types; only further constraints of the schema are lost.
        tracing::warn!(command, %error, "invalid command schema: bodies are checked by type only");
    }
    (schema, validator.ok())
}

/// The keywords that compose a schema of others.
const COMPOSITION: [&str; 4] = ["allOf", "anyOf", "oneOf", "$ref"];

/// Makes every object refuse unknown fields, unless it defines what happens to them. `alone` is false for a part of a
/// composed schema, in which another part may define the field.
fn close(schema: &mut Value, alone: bool) {
    match schema {
        Value::Object(schema) => close_object(schema, alone),
        Value::Array(schemas) => schemas.iter_mut().for_each(|schema| close(schema, alone)),
        _ => {}
    }
}

fn close_object(schema: &mut Map<String, Value>, alone: bool) {
    let defined = ["additionalProperties", "unevaluatedProperties"].iter().any(|key| schema.contains_key(*key));
    let composed = COMPOSITION.iter().any(|key| schema.contains_key(*key));
    let named = schema.contains_key("properties") || schema.contains_key("$ref");
    if alone && named && !defined {
        let keyword = if composed { "unevaluatedProperties" } else { "additionalProperties" };
        schema.insert(keyword.to_owned(), Value::Bool(false));
    }
    for (key, inner) in schema.iter_mut() {
        match key.as_str() {
            "properties" | "patternProperties" => {
                inner.as_object_mut().into_iter().flat_map(|map| map.values_mut()).for_each(|one| close(one, true));
            }
            // Closed at their references: the same definition may be alone in one place and a part in another.
            "$defs" | "definitions" => {
                inner
                    .as_object_mut()
                    .into_iter()
                    .flat_map(|map| map.values_mut())
                    .for_each(|one| close(one, false));
            }
            "items" | "prefixItems" | "additionalProperties" => close(inner, true),
            // The variants of an enum are alone unless fields are defined beside them.
            "anyOf" | "oneOf" => close(inner, alone && !named),
            "allOf" => close(inner, false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::*;

    #[derive(JsonSchema, Deserialize)]
    #[allow(dead_code)]
    struct Outer {
        name: String,
        inner: Vec<Inner>,
        either: Either,
        #[serde(flatten)]
        flat: Inner,
    }

    #[derive(JsonSchema, Deserialize)]
    #[allow(dead_code)]
    struct Inner {
        size: u8,
    }

    #[derive(JsonSchema, Deserialize)]
    #[serde(tag = "kind")]
    #[allow(dead_code)]
    enum Either {
        One { a: u8 },
        Two(Inner),
    }

    #[test]
    fn unknown_fields_are_refused_at_every_depth() {
        let (_, validator) = compiled("outer", &schemars::schema_for!(Outer).to_value());
        let validator = validator.unwrap();
        let good = json!({
            "name": "n", "size": 1, "inner": [{ "size": 2 }], "either": { "kind": "One", "a": 1 },
        });
        assert!(
            validator.is_valid(&good),
            "{:?}",
            validator.iter_errors(&good).map(|e| e.to_string()).collect::<Vec<_>>()
        );
        let mut two = good.clone();
        two["either"] = json!({ "kind": "Two", "size": 3 });
        assert!(validator.is_valid(&two));
        for (pointer, field) in [("", "more"), ("/inner/0", "more"), ("/either", "more")] {
            let mut bad = good.clone();
            bad.pointer_mut(pointer).unwrap()[field] = json!(1);
            assert!(!validator.is_valid(&bad), "{pointer}");
        }
    }
}
