//! What differs between two JSON values, field by field, in a bounded number of entries.

use serde_json::{Map, Value};

use crate::projections::presenter::PresentedChange;

/// How deep objects are compared field by field.
const DEPTH: usize = 4;

/// The most differences that are looked for.
const MOST: usize = 200;

/// The text of a missing value.
const NOTHING: &str = "–";

/// Compares two states. Objects are compared field by field. Arrays are compared without order, because a set is written in any order;
/// of an array only the items that came and went are listed, unless just their order differs.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<PresentedChange> {
    let mut found = Vec::new();
    compare(&mut String::new(), before, after, 0, &mut found);
    found
}

fn compare(path: &mut String, before: &Value, after: &Value, depth: usize, found: &mut Vec<PresentedChange>) {
    if before == after || found.len() >= MOST {
        return;
    }
    match (before, after) {
        (Value::Object(before), Value::Object(after)) if depth < DEPTH => {
            for name in names(before, after) {
                let length = path.len();
                if length > 0 {
                    path.push('.');
                }
                path.push_str(name);
                let none = Value::Null;
                let [one, other] = [before, after].map(|fields| fields.get(name).unwrap_or(&none));
                match (before.contains_key(name), after.contains_key(name)) {
                    (true, true) => compare(path, one, other, depth + 1, found),
                    (one_is, other_is) => {
                        let shown = |is: bool, value: &Value| if is { text(value) } else { NOTHING.to_owned() };
                        found.push(change(path, shown(one_is, one), shown(other_is, other)));
                    }
                }
                path.truncate(length);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            let (gone, come) = (without(before, after), without(after, before));
            if !gone.is_empty() || !come.is_empty() {
                found.push(change(path, list(&gone), list(&come)));
            }
        }
        _ => found.push(change(path, text(before), text(after))),
    }
}

fn change(path: &str, from: String, to: String) -> PresentedChange {
    let label = if path.is_empty() { "the state" } else { path };
    PresentedChange { field: label.to_owned(), label: label.to_owned(), from, to }
}

fn names<'a>(before: &'a Map<String, Value>, after: &'a Map<String, Value>) -> Vec<&'a str> {
    let new = after.keys().filter(|name| !before.contains_key(*name));
    before.keys().chain(new).map(String::as_str).collect()
}

/// The items of one list that are not in the other, with how often they occur.
fn without(list: &[Value], other: &[Value]) -> Vec<String> {
    let mut left = std::collections::HashMap::<String, usize>::new();
    other.iter().for_each(|item| *left.entry(key(item)).or_default() += 1);
    let missing = list.iter().filter(|item| match left.get_mut(&key(item)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    missing.map(text).collect()
}

/// The same text for equal values, whatever the order of sets in them.
fn key(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let mut items: Vec<String> = items.iter().map(key).collect();
            items.sort_unstable();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let mut fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name:?}:{}", key(value))).collect();
            fields.sort_unstable();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { NOTHING.to_owned() } else { items.join(", ") }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(before: &Value, after: &Value) -> Vec<(String, String, String)> {
        differences(before, after).into_iter().map(|one| (one.label, one.from, one.to)).collect()
    }

    fn triple(label: &str, from: &str, to: &str) -> (String, String, String) {
        (label.to_owned(), from.to_owned(), to.to_owned())
    }

    #[test]
    fn fields_are_compared_one_by_one_and_sets_without_order() {
        let before = json!({ "name": "a", "open": true, "members": ["x", "y", "y"], "deep": { "n": 1, "gone": null }, "same": [2, 1] });
        let after = json!({ "name": "b", "open": true, "members": ["z", "y", "x"], "deep": { "n": 2 }, "same": [1, 2], "new": [1] });
        assert_eq!(
            found(&before, &after),
            [
                triple("name", "a", "b"),
                triple("members", "y", "z"),
                triple("deep.n", "1", "2"),
                triple("deep.gone", "null", "–"),
                triple("new", "–", "[1]"),
            ]
        );
        assert_eq!(found(&before, &before), []);
        assert_eq!(found(&json!(1), &json!("1")), [triple("the state", "1", "1")]);
        let nested = json!({ "sets": [{ "of": [1, 2] }] });
        assert_eq!(found(&nested, &json!({ "sets": [{ "of": [2, 1] }] })), []);
    }

    #[test]
    fn the_number_of_differences_is_bounded() {
        let many = |value: u64| Value::from_iter((0..10_000).map(|n| (n.to_string(), Value::from(value))));
        assert_eq!(found(&many(1), &many(2)).len(), MOST);
    }
}
