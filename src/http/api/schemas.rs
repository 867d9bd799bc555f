//! [`Schemas`]: what the bodies of commands are checked against.

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::app::Annals;
use crate::http::Problem;

/// How many faults of one body are named.
const NAMED: usize = 20;

/// The schema of each command, as it is published and checked: what it does not name is refused.
pub(in crate::http) struct Schemas(BTreeMap<&'static str, (Value, Option<Validator>)>);

impl Schemas {
    pub fn new(annals: &Annals) -> Self {
        Self(annals.commands().map(|info| (info.name, compiled(info.name, &info.schema))).collect())
    }

    /// The schema of a command's body.
    pub fn of(&self, command: &str) -> Option<&Value> {
        self.0.get(command).map(|(schema, _)| schema)
    }

    /// Whether `body` is as the command's schema says.
    pub fn check(&self, command: &str, body: &Value) -> Result<(), Problem> {
        let Some((_, Some(validator))) = self.0.get(command) else { return Ok(()) };
        // What is right is the rule, and found to be so without a list of faults.
        if validator.is_valid(body) {
            return Ok(());
        }
        let faults: Vec<Value> = validator
            .iter_errors(body)
            .take(NAMED)
            .map(|error| json!({ "pointer": error.instance_path().to_string(), "detail": error.to_string() }))
            .collect();
        match faults.first() {
            None => Ok(()),
            Some(first) => {
                let pointer = first["pointer"].as_str().unwrap_or_default();
                let at = if pointer.is_empty() { String::new() } else { format!(" at {pointer}") };
                let detail = first["detail"].as_str().unwrap_or_default();
                let detail = format!("the body of `{command}` is not right{at}: {detail}");
                Err(Problem::malformed(detail).with("command", command).with("errors", faults))
            }
        }
    }
}

fn compiled(command: &str, schema: &Value) -> (Value, Option<Validator>) {
    let mut schema = schema.clone();
    close(&mut schema, true);
    let validator = jsonschema::draft202012::new(&schema);
    if let Err(error) = &validator {
        // serde checks bodies too: only what the schema says beyond the types is lost.
        tracing::warn!(command, %error, "the schema of a command cannot be used to check bodies");
    }
    (schema, validator.ok())
}

/// The keywords that put a schema together of others.
const PUT_TOGETHER: [&str; 4] = ["allOf", "anyOf", "oneOf", "$ref"];

/// Has every object refuse fields that it does not name, unless it says what it does with them. `alone`: it is not a part
/// of a schema that is put together of several, where another part may name the field.
fn close(schema: &mut Value, alone: bool) {
    match schema {
        Value::Object(schema) => close_object(schema, alone),
        Value::Array(schemas) => schemas.iter_mut().for_each(|schema| close(schema, alone)),
        _ => {}
    }
}

fn close_object(schema: &mut Map<String, Value>, alone: bool) {
    let says = ["additionalProperties", "unevaluatedProperties"].iter().any(|key| schema.contains_key(*key));
    let together = PUT_TOGETHER.iter().any(|key| schema.contains_key(*key));
    let named = schema.contains_key("properties") || schema.contains_key("$ref");
    if alone && named && !says {
        let keyword = if together { "unevaluatedProperties" } else { "additionalProperties" };
        schema.insert(keyword.to_owned(), Value::Bool(false));
    }
    for (key, inner) in schema.iter_mut() {
        match key.as_str() {
            "properties" | "patternProperties" => {
                inner.as_object_mut().into_iter().flat_map(|map| map.values_mut()).for_each(|one| close(one, true));
            }
            // Closed where they are referred to: one and the same may stand alone here, and be a part there.
            "$defs" | "definitions" => {
                inner
                    .as_object_mut()
                    .into_iter()
                    .flat_map(|map| map.values_mut())
                    .for_each(|one| close(one, false));
            }
            "items" | "prefixItems" | "additionalProperties" => close(inner, true),
            // The cases of an enum stand alone where nothing is named beside them.
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
    fn what_a_schema_does_not_name_is_refused_at_every_depth() {
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
