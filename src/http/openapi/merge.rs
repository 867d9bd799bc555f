//! Merges `allOf` into plain objects.
//!
//! A flattened field of serde becomes `allOf` of its schema and the other fields. The meaning is the same if the fields are
//! merged into one object, and generators of clients need that: many cannot read a choice of `allOf`.

use serde_json::{Map, Value};

type Schema = Map<String, Value>;

/// Merges `allOf` of objects in all named schemas. An `allOf` with a choice (`oneOf`) becomes a choice of merged objects.
pub(super) fn merge_all_of(schemas: &mut Value) {
    let originals = schemas.clone();
    for schema in schemas.as_object_mut().into_iter().flat_map(Map::values_mut) {
        let has_all_of = |schema: &Value| schema["allOf"].is_array();
        if !has_all_of(schema) && !schema["oneOf"].as_array().is_some_and(|all| all.iter().any(has_all_of)) {
            continue;
        }
        let description = schema.get("description").cloned();
        let mut variants = variants(schema, &originals);
        let mut merged = match variants.len() {
            1 => variants.remove(0),
            _ => Map::from_iter([("oneOf".to_owned(), variants.into_iter().map(Value::from).collect())]),
        };
        merged.extend(description.map(|description| ("description".to_owned(), description)));
        *schema = merged.into();
    }
}

/// The objects that a schema allows.
fn variants(schema: &Value, schemas: &Value) -> Vec<Schema> {
    let named = schema["$ref"].as_str().and_then(|to| to.strip_prefix("#/components/schemas/"));
    if let Some(named) = named {
        return variants(&schemas[named], schemas);
    }
    if let Some(choice) = schema["oneOf"].as_array() {
        return choice.iter().flat_map(|one| variants(one, schemas)).collect();
    }
    let Some(parts) = schema["allOf"].as_array() else { return schema.as_object().cloned().into_iter().collect() };
    let mut merged = vec![Schema::new()];
    for part in parts {
        let part = variants(part, schemas);
        merged = merged.iter().flat_map(|one| part.iter().map(|other| merge(one, other))).collect();
    }
    for one in &mut merged {
        one.extend(schema.get("description").map(|description| ("description".to_owned(), description.clone())));
    }
    merged
}

/// One object with the properties of both.
fn merge(one: &Schema, other: &Schema) -> Schema {
    let mut merged = one.clone();
    for (key, value) in other {
        match (merged.get_mut(key), value) {
            (Some(Value::Object(properties)), Value::Object(more)) if key == "properties" => {
                properties.extend(more.clone());
            }
            (Some(Value::Array(required)), Value::Array(more)) if key == "required" => {
                required.extend(more.clone())
            }
            _ => drop(merged.insert(key.clone(), value.clone())),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn flattened_fields_and_choices_become_plain_objects() {
        let object = |names: &[&str]| {
            let properties: Schema = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
            json!({ "type": "object", "properties": properties, "required": names })
        };
        let mut schemas = json!({
            "Inner": object(&["a"]),
            "Choice": { "description": "d", "oneOf": [
                object(&["x"]),
                { "allOf": [{ "$ref": "#/components/schemas/Inner" }, object(&["y"])] },
            ] },
            "Outer": { "allOf": [{ "$ref": "#/components/schemas/Choice" }, object(&["z"])], "description": "whole" },
            "Other": { "oneOf": [{ "type": "string" }, { "type": "null" }] },
        });
        let other = schemas["Other"].clone();
        merge_all_of(&mut schemas);
        assert_eq!(
            schemas["Choice"],
            json!({ "description": "d", "oneOf": [object(&["x"]), object(&["a", "y"])] })
        );
        let outer = schemas["Outer"]["oneOf"].as_array().unwrap();
        assert_eq!(outer.len(), 2);
        assert_eq!(outer[0]["required"], json!(["x", "z"]));
        assert_eq!(outer[1]["required"], json!(["a", "y", "z"]));
        assert_eq!(outer[1]["properties"], json!({ "a": {}, "y": {}, "z": {} }));
        assert_eq!(schemas["Outer"]["description"], "whole");
        assert_eq!(schemas["Other"], other);
    }
}
