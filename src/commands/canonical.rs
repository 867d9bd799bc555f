//! The canonical form of a command's body, the input of its digest: equal content gives equal text.
//!
//! A `HashMap` or `HashSet` writes its items in an order that differs from one instance to the next. The canonical form
//! sorts the keys of maps and the items of sets. Fields of structs and items of lists keep their order, so a command
//! without maps and sets, or with ordered ones, has the digest that it had before the canonical form existed. The command's
//! JSON schema distinguishes a map from a struct, and a set (`uniqueItems`) from a list.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::Command;
use crate::events::json::{Content, Node, unquoted};

/// The canonical form of a `C` that serde wrote as `body`.
pub(super) fn canonical_body<C: Command>(body: String) -> String {
    match schema::<C>() {
        None => body,
        Some(schema) => {
            let mut text = String::with_capacity(body.len());
            Form(&schema).write(&Node::parse(&body), &[&schema], &mut text);
            text
        }
    }
}

/// The schema of `C`, generated once; `None` if no part of its body is a map or a set.
fn schema<C: Command>() -> Option<Arc<Value>> {
    static SCHEMAS: RwLock<BTreeMap<TypeId, Option<Arc<Value>>>> = RwLock::new(BTreeMap::new());
    let id = TypeId::of::<C>();
    if let Some(known) = SCHEMAS.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
        return known.clone();
    }
    let schema = schemars::schema_for!(C).to_value();
    let schema = has_no_order(&schema).then(|| Arc::new(schema));
    SCHEMAS.write().unwrap_or_else(PoisonError::into_inner).insert(id, schema.clone());
    schema
}

/// Whether a part of the schema is a map or a set.
fn has_no_order(schema: &Value) -> bool {
    let inside = |name: &str| match (name, &schema[name]) {
        ("additionalProperties" | "items", value) => value.is_object() && has_no_order(value),
        (_, Value::Array(schemas)) => schemas.iter().any(has_no_order),
        (_, Value::Object(schemas)) => schemas.values().any(has_no_order),
        _ => false,
    };
    is_set(schema)
        || keys(schema) != Keys::Fields
        || ["properties", "$defs", "additionalProperties", "items", "prefixItems", "anyOf", "oneOf", "allOf"]
            .into_iter()
            .any(inside)
}

fn is_set(schema: &Value) -> bool {
    schema["uniqueItems"] == true
}

/// The keys of an object, from a fixed order to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Keys {
    /// The fields of a struct.
    Fields,
    /// The fields of a struct and the keys of a map that is flattened into it.
    FieldsAndMore,
    /// The keys of a map.
    Map,
}

fn keys(schema: &Value) -> Keys {
    let says = |name: &str| schema.get(name).is_some();
    if !["type", "$ref", "anyOf", "oneOf", "allOf", "const", "enum"].into_iter().any(says) {
        // Any value is valid.
        return if *schema == false { Keys::Fields } else { Keys::Map };
    }
    let is_object = schema["type"] == "object"
        || schema["type"].as_array().is_some_and(|types| types.iter().any(|name| name == "object"));
    match schema.get("additionalProperties") {
        _ if !is_object => Keys::Fields,
        _ if says("patternProperties") || !says("properties") => Keys::Map,
        None => Keys::Fields,
        // A map whose keys are an enum looks like a struct of which no field is required.
        Some(Value::Bool(false)) if says("required") => Keys::Fields,
        Some(Value::Bool(false)) => Keys::Map,
        Some(_) => Keys::FieldsAndMore,
    }
}

/// The position of a value among its siblings, in the order of integers and then strings.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum SortKey {
    Integer(i128),
    Text(String),
}

impl SortKey {
    fn from_item(text: &str) -> Self {
        match text.parse() {
            Ok(integer) => Self::Integer(integer),
            Err(_) if text.starts_with('"') => Self::Text(unquoted(text)),
            Err(_) => Self::Text(text.to_owned()),
        }
    }

    fn from_key(key: &str, integers: bool) -> Self {
        let key = unquoted(key);
        match key.parse() {
            Ok(integer) if integers => Self::Integer(integer),
            _ => Self::Text(key),
        }
    }
}

/// Writes values according to the schemas below a root schema.
struct Form<'s>(&'s Value);

impl<'s> Form<'s> {
    /// Writes a value that each of `schemas` may describe.
    fn write(&self, node: &Node, schemas: &[&'s Value], text: &mut String) {
        match &node.content {
            Content::Scalar => text.push_str(node.text),
            Content::Array(items) => {
                let schemas = self.alternatives(schemas);
                let item = |(index, item): (usize, &Node)| {
                    let mut text = String::new();
                    self.write(item, &items_of(&schemas, index), &mut text);
                    text
                };
                let mut items: Vec<String> = items.iter().enumerate().map(item).collect();
                if schemas.iter().any(|schema| is_set(schema)) {
                    items.sort_by_cached_key(|item| SortKey::from_item(item));
                }
                *text += "[";
                *text += &items.join(",");
                *text += "]";
            }
            Content::Object(fields) => self.object(fields, &self.alternatives(schemas), text),
        }
    }

    fn object(&self, fields: &[(&str, Node)], schemas: &[&'s Value], text: &mut String) {
        let integers = schemas.iter().any(|schema| {
            let patterns = schema["patternProperties"].as_object();
            patterns.is_some_and(|patterns| patterns.keys().any(|pattern| pattern.ends_with(r"\d+$")))
        });
        let kind = schemas.iter().map(|schema| keys(schema)).max().unwrap_or(Keys::Map);
        let mut fields: Vec<&(&str, Node)> = fields.iter().collect();
        match kind {
            Keys::Fields => {}
            Keys::FieldsAndMore => fields.sort_by_cached_key(|(key, _)| {
                let name = unquoted(key);
                let more = !schemas.iter().any(|schema| schema["properties"].get(&name).is_some());
                (more, more.then_some(name))
            }),
            Keys::Map => fields.sort_by_cached_key(|(key, _)| SortKey::from_key(key, integers)),
        }
        *text += "{";
        for (index, (key, value)) in fields.into_iter().enumerate() {
            if index > 0 {
                *text += ",";
            }
            *text += key;
            *text += ":";
            self.write(value, &values_of(schemas, &unquoted(key)), text);
        }
        *text += "}";
    }

    /// The schemas and all schemas that they refer to or choose from.
    fn alternatives(&self, schemas: &[&'s Value]) -> Vec<&'s Value> {
        let mut found: Vec<&Value> = Vec::new();
        let mut open = schemas.to_vec();
        while let Some(schema) = open.pop() {
            if found.iter().any(|known| std::ptr::eq(*known, schema)) {
                continue;
            }
            found.push(schema);
            let referred = schema["$ref"].as_str().and_then(|path| self.0.pointer(path.strip_prefix('#')?));
            open.extend(referred);
            for choice in ["anyOf", "oneOf", "allOf"] {
                open.extend(schema[choice].as_array().into_iter().flatten());
            }
        }
        found
    }
}

fn items_of<'s>(schemas: &[&'s Value], index: usize) -> Vec<&'s Value> {
    let item = |schema: &&'s Value| schema["prefixItems"].get(index).or_else(|| schema.get("items"));
    schemas.iter().filter_map(item).collect()
}

fn values_of<'s>(schemas: &[&'s Value], key: &str) -> Vec<&'s Value> {
    let value = |schema: &&'s Value| match schema["properties"].get(key) {
        Some(property) => vec![property],
        None => {
            let patterns =
                schema["patternProperties"].as_object().into_iter().flat_map(|patterns| patterns.values());
            patterns.chain(schema.get("additionalProperties")).collect()
        }
    };
    schemas.iter().flat_map(value).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap, HashSet};

    use annals_macros::Command;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::app::access_log::{AccessLog, AccessLogId};

    #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
    enum Colour {
        Red,
        Blue,
    }

    #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
    #[serde(untagged)]
    enum Step {
        Moved { to: String, by: u8 },
        Other(BTreeMap<String, u8>),
    }

    #[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
    struct Unordered {
        tags: HashSet<String>,
        numbers: Option<HashSet<i64>>,
        by_name: HashMap<String, HashSet<u8>>,
        by_number: HashMap<u64, Vec<HashMap<String, u8>>>,
        by_colour: HashMap<Colour, u8>,
        pair: (u8, HashSet<Colour>),
        parent: Option<Box<Unordered>>,
        #[serde(flatten)]
        rest: HashMap<String, u8>,
    }

    /// A command with maps and sets
    #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    struct Canonical {
        #[on(AccessLog)]
        zebra: AccessLogId,
        unordered: Unordered,
        steps: Vec<Step>,
        anything: Value,
    }

    /// A command whose parts have an order
    #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    struct Ordered {
        #[on(AccessLog)]
        zebra: AccessLogId,
        set: BTreeSet<String>,
        numbers: BTreeSet<i64>,
        map: BTreeMap<String, u8>,
        by_number: BTreeMap<u64, Colour>,
        list: Vec<u8>,
        #[serde(flatten)]
        inner: Inner,
    }

    #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
    struct Inner {
        y: Option<String>,
        x: u8,
    }

    fn unordered(parent: Option<Box<Unordered>>) -> Unordered {
        let letters = || (b'a'..b'j').map(|letter| char::from(letter).to_string());
        Unordered {
            tags: letters().collect(),
            numbers: Some((-20..20).collect()),
            by_name: letters().map(|name| (name, (0..9).collect())).collect(),
            by_number: (0..20).map(|n| (n, vec![letters().map(|name| (name, 1)).collect()])).collect(),
            by_colour: [(Colour::Red, 1), (Colour::Blue, 2)].into(),
            pair: (0, [Colour::Red, Colour::Blue].into()),
            parent,
            rest: letters().map(|name| (name, 2)).collect(),
        }
    }

    fn canonical(steps: Vec<Step>) -> String {
        let command = Canonical {
            zebra: AccessLogId::new("1"),
            unordered: unordered(Some(Box::new(unordered(None)))),
            steps,
            anything: serde_json::json!({ "b": [2, 1], "a": null }),
        };
        canonical_body::<Canonical>(serde_json::to_string(&command).unwrap())
    }

    #[test]
    fn the_same_content_has_one_form_whatever_the_order_of_its_maps_and_sets() {
        let steps = || vec![Step::Moved { to: "b".into(), by: 1 }, Step::Other([("a".into(), 1)].into())];
        let first = canonical(steps());
        for _ in 0..20 {
            assert_eq!(canonical(steps()), first);
        }
        assert!(first.starts_with(r#"{"zebra":"annals_trail:1","unordered":{"tags":["a","b","#), "{first}");
        assert!(first.contains(r#""numbers":[-20,-19,"#) && first.contains(r#""by_number":{"0":"#), "{first}");
        let read: Canonical = serde_json::from_str(&first).unwrap();
        assert_eq!(serde_json::to_value(&read.steps).unwrap(), serde_json::to_value(steps()).unwrap());
    }

    #[test]
    fn another_order_of_a_list_is_another_body() {
        let step = |to: &str| Step::Moved { to: to.into(), by: 1 };
        assert_ne!(canonical(vec![step("a"), step("b")]), canonical(vec![step("b"), step("a")]));
    }

    /// A retry of a command that an older program executed must have the same digest.
    #[test]
    fn a_body_with_ordered_collections_is_canonical_as_it_is() {
        let command = Ordered {
            zebra: AccessLogId::new("1"),
            set: ["a", "a!", "a\"", "a\\", "b", "é", "\u{1}"].map(str::to_owned).into(),
            numbers: [-1, -10, 2, 10, i64::MAX].into(),
            map: [("10".into(), 1), ("9".into(), 2), ("a!".into(), 3), ("a\"".into(), 4)].into(),
            by_number: [(9, Colour::Red), (10, Colour::Blue)].into(),
            list: vec![2, 1],
            inner: Inner { y: None, x: 1 },
        };
        let body = serde_json::to_string(&command).unwrap();
        assert!(schema::<Ordered>().is_some());
        assert_eq!(canonical_body::<Ordered>(body.clone()), body);
    }

    /// The only set of a command may be anywhere in its body: a form without it differs from one retry to the next.
    #[test]
    fn a_set_is_found_wherever_the_schema_has_it() {
        use serde_json::json;
        let around = |part: Value| {
            [
                part.clone(),
                json!({ "type": "object", "properties": { "tags": part }, "required": ["tags"] }),
                json!({ "$ref": "#/$defs/Tags", "$defs": { "Tags": part } }),
                json!({ "type": "array", "items": part }),
                json!({ "type": "array", "prefixItems": [{ "type": "integer" }, part], "maxItems": 2 }),
                json!({ "anyOf": [{ "type": "null" }, part] }),
                json!({ "oneOf": [{ "type": "null" }, part] }),
                json!({ "allOf": [part] }),
            ]
        };
        let words = json!({ "type": "array", "items": { "type": "string" } });
        for schema in around(words.clone()) {
            assert!(!has_no_order(&schema), "a list keeps its order: {schema}");
        }
        let mut set = words;
        set["uniqueItems"] = json!(true);
        for schema in around(set) {
            assert!(has_no_order(&schema), "{schema}");
        }
    }
}
