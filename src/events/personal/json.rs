//! Opens the envelopes inside of JSON: documents of views and states, which are shown as JSON.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::scope::{self, InScope};
use super::{ERASED, Envelope, PERSONAL};
use crate::events::{Declaration, Ref};

/// The envelope that an object is; `Some(None)` for a value that is withheld.
fn envelope(object: &Map<String, Value>) -> Option<Option<Envelope>> {
    if object.len() == 1 && object.get("withheld") == Some(&Value::Bool(true)) {
        return Some(None);
    }
    let (sealed, of) = (object.get("sealed")?.as_str()?, object.get("of")?.as_str()?);
    if object.len() != 2 {
        return None;
    }
    let envelope = Envelope { sealed: sealed.to_owned(), of: of.parse().ok()? };
    envelope.parts()?;
    Some(Some(envelope))
}

/// Opens each envelope inside, with the keys at hand. One that is erased becomes `[erased]`, one that cannot be opened `[personal]`.
pub(crate) fn open_json(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(open_json),
        Value::Object(object) => match envelope(object) {
            None => object.values_mut().for_each(open_json),
            Some(None) => *value = ERASED.into(),
            Some(Some(envelope)) => {
                *value = match scope::open(&envelope) {
                    InScope::Value(text) => serde_json::from_str(&text).unwrap_or_else(|_| PERSONAL.into()),
                    InScope::Erased => ERASED.into(),
                    InScope::Sealed => PERSONAL.into(),
                }
            }
        },
        _ => {}
    }
}

/// Adds the subjects of all envelopes inside.
pub(crate) fn subjects_in(value: &Value, found: &mut BTreeSet<Ref>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| subjects_in(item, found)),
        Value::Object(object) => match envelope(object) {
            None => object.values().for_each(|value| subjects_in(value, found)),
            Some(envelope) => found.extend(envelope.map(|envelope| envelope.of)),
        },
        _ => {}
    }
}

/// The personal fields of an event type whose values in this payload are not sealed.
pub(crate) fn readable_fields(declaration: &'static Declaration, payload: &str) -> Vec<&'static str> {
    if !declaration.is_personal() {
        return Vec::new();
    }
    // A payload that is not JSON is a finding of its own.
    let Ok(payload) = serde_json::from_str::<Value>(payload) else { return Vec::new() };
    let personal = declaration.fields.iter().filter(|field| field.personal);
    personal
        .filter(|field| payload.get(field.name).is_some_and(|value| !is_sealed(value)))
        .map(|field| field.name)
        .collect()
}

/// Whether nothing in it is readable: an envelope, a list of them, a change of them, or nothing.
fn is_sealed(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().all(is_sealed),
        Value::Object(object) if envelope(object).is_some() => true,
        Value::Object(object) => {
            object.len() == 2 && ["from", "to"].iter().all(|side| object.get(*side).is_some_and(is_sealed))
        }
        _ => false,
    }
}
