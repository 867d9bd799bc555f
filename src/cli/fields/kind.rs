//! [`Kind`]: the type of a field.

use std::fmt;

use serde_json::{Map, Value, json};

/// References are followed this far: a schema may refer to itself.
const MAX_DEPTH: usize = 16;

/// The type of a field, as far as options tell types apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, with the `format` or the description of its schema.
    Text(Option<String>),
    Integer,
    Number,
    Boolean,
    /// One of these texts.
    Choice(Vec<String>),
    List(Box<Kind>),
    /// Anything else, given as JSON.
    Json,
}

impl Kind {
    /// The type that `schema` describes; `root` holds the definitions that it refers to.
    pub(super) fn from_schema(schema: &Value, root: &Value) -> Self {
        Self::at_depth(schema, root, 0)
    }

    fn at_depth(schema: &Value, root: &Value, depth: usize) -> Self {
        let resolved = resolve(schema, root);
        if depth > MAX_DEPTH {
            return Self::Json;
        }
        if let Some(choices) = choices(resolved) {
            return Self::Choice(choices);
        }
        match type_of(resolved) {
            Some("string") => {
                let own = |key: &str| resolved[key].as_str().map(str::to_owned);
                // The description of the field itself is printed elsewhere.
                let description = if std::ptr::eq(schema, resolved) { None } else { own("description") };
                Self::Text(own("format").or(description))
            }
            Some("integer") => Self::Integer,
            Some("number") => Self::Number,
            Some("boolean") => Self::Boolean,
            Some("array") => Self::List(Box::new(Self::at_depth(&resolved["items"], root, depth + 1))),
            _ => Self::Json,
        }
    }

    /// Parses the values of an option; the error is the value that is not of this type.
    pub(super) fn parse(&self, values: &[&str]) -> Result<Value, String> {
        let Self::List(item) = self else { return self.parse_one(values.first().copied().unwrap_or_default()) };
        let mut list = Vec::new();
        for value in values {
            if value.trim_start().starts_with('[') {
                match serde_json::from_str(value) {
                    Ok(Value::Array(items)) => list.extend(items),
                    _ => return Err(format!("`{value}`")),
                }
            } else if !value.is_empty() {
                for part in value.split(',') {
                    list.push(item.parse_one(part.trim())?);
                }
            }
        }
        Ok(Value::Array(list))
    }

    fn parse_one(&self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Text(_) | Self::Choice(_) => Value::from(text),
            _ => serde_json::from_str(text).map_err(|_| format!("`{text}`"))?,
        };
        if self.accepts(&value) { Ok(value) } else { Err(format!("`{text}`")) }
    }

    /// Whether a JSON value is of this type.
    pub(super) fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Text(_) => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Choice(choices) => value.as_str().is_some_and(|text| choices.iter().any(|choice| choice == text)),
            Self::List(item) => value.as_array().is_some_and(|list| list.iter().all(|value| item.accepts(value))),
            Self::Json => true,
        }
    }

    /// The choices of a field or of the items of a list.
    pub(super) fn choices(&self) -> &[String] {
        match self {
            Self::Choice(choices) => choices,
            Self::List(item) => item.choices(),
            _ => &[],
        }
    }

    /// The placeholder of a value in help texts.
    pub(super) fn value_name(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Choice(_) => "TEXT",
            Self::Integer => "INTEGER",
            Self::Number => "NUMBER",
            Self::Boolean => "true|false",
            Self::List(_) => "ITEM,…",
            Self::Json => "JSON",
        }
    }
}

/// The type in words.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(None) => f.write_str("text"),
            Self::Text(Some(format)) => write!(f, "text, {format}"),
            Self::Integer => f.write_str("an integer"),
            Self::Number => f.write_str("a number"),
            Self::Boolean => f.write_str("true or false"),
            Self::Choice(choices) => f.write_str(&choices.join(" or ")),
            Self::List(item) => write!(f, "a list of {item}"),
            Self::Json => f.write_str("JSON"),
        }
    }
}

/// A value that a schema allows: its own example if it has one.
pub(super) fn example(schema: &Value, root: &Value, depth: usize) -> Value {
    let resolved = resolve(schema, root);
    let given = |schema: &Value| schema["examples"].get(0).cloned().or_else(|| schema.get("default").cloned());
    if let Some(given) = given(schema).or_else(|| given(resolved)) {
        return given;
    }
    if let Some(choices) = choices(resolved) {
        return choices.into_iter().next().into();
    }
    let inside = |schema: &Value| if depth < MAX_DEPTH { example(schema, root, depth + 1) } else { Value::Null };
    match (type_of(resolved), resolved["format"].as_str()) {
        (Some("string"), Some("uuid")) => json!("0198c0de-0000-7000-8000-000000000001"),
        (Some("string"), Some("date-time")) => json!("2026-01-31T12:00:00Z"),
        (Some("string"), Some("date")) => json!("2026-01-31"),
        (Some("string"), _) => json!("example"),
        (Some("integer" | "number"), _) => resolved.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        (Some("boolean"), _) => json!(true),
        (Some("array"), _) => json!([inside(&resolved["items"])]),
        (Some("object"), _) => {
            let required = resolved["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let fields = required.map(|name| (name.to_owned(), inside(&resolved["properties"][name])));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        _ => Value::Null,
    }
}

/// Follows references and drops alternatives that only allow null.
fn resolve<'s>(mut schema: &'s Value, root: &'s Value) -> &'s Value {
    for _ in 0..MAX_DEPTH {
        let next = match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
            Some(pointer) => root.pointer(pointer),
            None => ["anyOf", "oneOf", "allOf"].iter().find_map(|key| {
                let mut alternatives =
                    schema[key].as_array()?.iter().filter(|alternative| alternative["type"] != "null");
                let only = alternatives.next()?;
                alternatives.next().is_none().then_some(only)
            }),
        };
        match next {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// The `type` of a schema, null left aside.
fn type_of(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(name) => Some(name),
        Value::Array(names) => {
            let mut names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            let only = names.next()?;
            names.next().is_none().then_some(only)
        }
        _ => None,
    }
}

/// The texts that a schema allows, if it allows nothing else: `enum`, `const`, or alternatives of them.
fn choices(schema: &Value) -> Option<Vec<String>> {
    let texts = |values: &[Value]| values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
    if let Some(values) = schema["enum"].as_array() {
        return texts(values);
    }
    if let Some(value) = schema.get("const") {
        return texts(std::slice::from_ref(value));
    }
    let alternatives = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())?;
    let alternatives = alternatives.iter().filter(|alternative| alternative["type"] != "null");
    let lists: Option<Vec<Vec<String>>> = alternatives.map(choices).collect();
    Some(lists?.concat()).filter(|choices: &Vec<String>| !choices.is_empty())
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;

    use super::*;

    #[derive(JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[allow(dead_code, reason = "only its schema is used")]
    enum Role {
        /// Documented.
        Developer,
        Coordinator,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct Fields {
        text: String,
        maybe: Option<String>,
        role: Role,
        maybe_role: Option<Role>,
        roles: std::collections::BTreeSet<Role>,
        counts: Vec<i32>,
        small: u8,
        ratio: f64,
        on: bool,
        #[schemars(extend("format" = "uuid"))]
        id: String,
        nested: Nested,
        again: Option<Box<Fields>>,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct Nested {
        a: u8,
        b: Option<u8>,
    }

    fn kind(name: &str) -> Kind {
        let schema = schemars::schema_for!(Fields).to_value();
        Kind::from_schema(&schema["properties"][name], &schema)
    }

    #[test]
    fn the_type_of_a_field_follows_from_its_schema() {
        // The schema has variants without documentation first.
        let role = "coordinator or developer";
        for (name, words) in [
            ("text", "text"),
            ("maybe", "text"),
            ("role", role),
            ("maybe_role", role),
            ("roles", &format!("a list of {role}")),
            ("counts", "a list of an integer"),
            ("small", "an integer"),
            ("ratio", "a number"),
            ("on", "true or false"),
            ("id", "text, uuid"),
            ("nested", "JSON"),
            ("again", "JSON"),
        ] {
            assert_eq!(kind(name).to_string(), words, "{name}");
        }
    }

    #[test]
    fn values_are_parsed_by_the_type_of_their_field() {
        for (name, values, expected) in [
            ("text", &["7"][..], json!("7")),
            ("small", &["7"], json!(7)),
            ("counts", &["1, 2", "-3", "[4,5]"], json!([1, 2, -3, 4, 5])),
            ("counts", &[""], json!([])),
            ("roles", &["developer,coordinator"], json!(["developer", "coordinator"])),
            ("on", &["false"], json!(false)),
            ("nested", &[r#"{"a":1}"#], json!({ "a": 1 })),
        ] {
            assert_eq!(kind(name).parse(values), Ok(expected), "{name}");
        }
        for (name, values, wrong) in [
            ("small", "seven", "`seven`"),
            ("small", "1.5", "`1.5`"),
            ("counts", "1,x", "`x`"),
            ("counts", "[1", "`[1`"),
            ("roles", "developer,cook", "`cook`"),
            ("on", "yes", "`yes`"),
        ] {
            assert_eq!(kind(name).parse(&[values]), Err(wrong.to_owned()), "{name}");
        }
    }

    #[test]
    fn an_example_is_of_the_type_of_its_field() {
        let schema = schemars::schema_for!(Fields).to_value();
        for (name, property) in schema["properties"].as_object().unwrap() {
            let example = example(property, &schema, 0);
            assert!(kind(name).accepts(&example), "{name}: {example}");
        }
        assert_eq!(example(&schema["properties"]["nested"], &schema, 0), json!({ "a": 0 }));
    }
}
