//! Values for parameters, by name: the query string and the command line use the same names. A parameter without a value here is
//! filled from its schema (a choice, a flag, a number); one that cannot be filled fails the test.

use serde_json::{Value, json};

/// What has to be read from a log before its parameters can be filled.
#[derive(Clone, Debug)]
pub struct Known {
    /// A text that is in no event.
    pub absent: String,
    /// A text that is in an event: the secret.
    pub secret: String,
    /// A cursor of the audit log.
    pub cursor: String,
    /// A cursor of a stream that ends: a cursor belongs to its query.
    pub live_cursor: String,
    /// A cursor of the view.
    pub view_cursor: String,
    /// A position and the id of its event.
    pub head: String,
}

impl Known {
    /// The position after the last event: a stream with it as its end ends.
    pub fn end(&self) -> String {
        let last: u64 = self.head.split(':').next().unwrap().parse().unwrap();
        (last + 1).to_string()
    }
}

/// A value, and the name under which answers of two logs are compared.
pub type Filled = (String, Value);

/// Values of parameters whose schema is not enough.
fn named(name: &str) -> Option<Vec<Value>> {
    Some(match name {
        "actor" => vec![json!("user:ann"), json!("user:nobody")],
        "target" | "aggregate" => vec![json!("file:1"), json!("file:none")],
        "topic" | "topics" => vec![json!("vault"), json!("vault/owner/bob")],
        "action" => vec![json!("create"), json!("view")],
        "event" => vec![json!("file.stored"), json!("annals_read.viewed")],
        "correlation" => vec![json!("c-1"), json!("c-none")],
        "from" => vec![json!("2"), json!("2026-01-01T00:03:00Z")],
        "until" => vec![json!("9"), json!("2026-01-01T00:03:00Z")],
        "occurred_from" | "occurred_until" => vec![json!("2026-01-01T00:03:00Z")],
        "at" => vec![json!("9"), json!("2026-01-01T00:03:00Z")],
        "source" | "sink" => vec![json!("file:*"), json!("user:bob")],
        "width" => vec![json!("1h")],
        "outcome" => vec![json!("used"), json!("denied")],
        "depth" => vec![json!(1), json!(64)],
        "locale" => vec![json!("en"), json!("fr")],
        "order" | "by" | "count_by" => vec![json!("text"), json!("pages")],
        "of" => vec![json!("file:1"), json!("user:ann"), json!("user:bob")],
        "last" => vec![json!("day"), json!("all")],
        "limit" => vec![json!(1), json!(1_000)],
        "slices" | "busiest" => vec![json!(3)],
        "anomalies" => vec![json!("1h")],
        "name" => vec![json!("texts")],
        "key" => vec![json!("1")],
        "grantee" | "owner" => vec![json!("user:dan")],
        "party" => vec![json!("user:dan"), json!("user:meta")],
        "why" => vec![json!("another reason")],
        "delegable" => vec![json!(true)],
        "only" | "rights" => vec![json!("catalogue")],
        "aggregate_type" => vec![json!("file")],
        "expect" => vec![json!(format!("1:{}", "0".repeat(64)))],
        "checkpoint" | "policy" | "proofs_key" => vec![json!("no file")],
        _ => return None,
    })
}

/// The values of a parameter of `place` (a route or a subcommand).
///
/// # Panics
/// When it cannot be filled.
pub fn values(place: &str, name: &str, schema: &Value, known: &Known) -> Vec<Filled> {
    let listed = |all: Vec<Value>| all.into_iter().map(|value| (value.to_string(), value)).collect();
    match name {
        // Whether the text exists or not, the answers must be equal.
        "text" => vec![("secret".into(), json!(known.secret)), ("absent".into(), json!(known.absent))],
        "cursor" if place.contains("view") => {
            vec![("a cursor".into(), json!(known.view_cursor))]
        }
        "cursor" | "after" if place.starts_with("/live") && place != "/live audit" => {
            vec![("a cursor".into(), json!(known.live_cursor))]
        }
        "cursor" if place.contains("reactions") => vec![("a cursor".into(), json!("0_0_0"))],
        "cursor" => vec![("a cursor".into(), json!(known.cursor))],
        "after" => vec![("a position".into(), json!(known.head))],
        "Last-Event-ID" => vec![("a cursor".into(), json!(known.live_cursor)), ("done".into(), json!("done"))],
        "Idempotency-Key" => vec![("an id".into(), json!("0192f0c1-2d3e-7000-8000-000000000001"))],
        // The conditions of a view: a field and a value.
        "filter" | "any" | "prefix" => vec![
            // The field has the beginning of the text.
            ("secret".into(), json!(format!("text={}", known.secret.chars().take(50).collect::<String>()))),
            ("absent".into(), json!(format!("text={}", known.absent))),
        ],
        "from" | "until" if place.contains("view") => {
            vec![("a condition".into(), json!(if name == "from" { "pages=1" } else { "pages=9000000000000000" }))]
        }
        "from" if place.contains("/events") || place.contains("events ") => listed(vec![json!(2)]),
        // Flows have windows of time.
        "from" | "until" if place.contains("flows") => listed(vec![json!("2026-01-01T00:03:00Z")]),
        "aggregate" if place == "events " => listed(vec![json!("file/1")]),
        "aggregate" if place == "projections rebuild " => listed(vec![json!("file")]),
        _ => match named(name) {
            Some(all) => listed(all),
            None => from_schema(schema).map(listed).unwrap_or_else(|| {
                panic!("`{name}` of {place} cannot be filled from {schema}: add a value to `named` in tests/metadata/values.rs")
            }),
        },
    }
}

fn from_schema(schema: &Value) -> Option<Vec<Value>> {
    if let Some(choices) = schema["enum"].as_array() {
        return Some(choices.clone());
    }
    if schema["type"] == "array" {
        return from_schema(&schema["items"]);
    }
    let is = |kind: &str| {
        schema["type"] == kind || schema["type"].as_array().is_some_and(|all| all.contains(&kind.into()))
    };
    match () {
        () if schema["format"] == "uuid" => Some(vec![json!("0192f0c1-2d3e-7000-8000-000000000001")]),
        () if is("boolean") => Some(vec![json!(true), json!(false)]),
        () if is("integer") => Some(vec![schema["minimum"].clone()].into_iter().filter(Value::is_number).collect()),
        () => None,
    }
    .filter(|all: &Vec<Value>| !all.is_empty())
}

/// A value as it is in a query string, a header or on the command line.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
