//! Shortened texts: how a text or a JSON value of any length is shown to people.
//!
//! The shown length is bounded, whatever an event holds: a text by its beginning and its length, a list or an object by its
//! first entries and the number of the others. The whole is in the stored event.

use std::borrow::Cow;
use std::mem::take;

use serde_json::Value;
use serde_json::value::RawValue;
use unicode_normalization::char::is_combining_mark;

/// The most characters of a name, a reference, or one value in a sentence.
pub const SHORT_NAME: usize = 120;

/// The most characters of a sentence or of a changed value.
pub const SHORT_SENTENCE: usize = 600;

/// The most characters of a text in a JSON value, of all its texts together, and the most entries of a list.
const VALUE_TEXT: usize = 300;
const VALUE_TOTAL: usize = 6_000;
const VALUE_ENTRIES: usize = 50;

/// The text, or its beginning and its length if it has more than `most` characters.
///
/// ```
/// use annals::projections::presenter::short;
/// assert_eq!(short("a name", 10), "a name");
/// assert_eq!(short(&"n".repeat(1_000_000), 5), "nnnnn… (1,000,000 characters)");
/// ```
#[must_use]
pub fn short(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let Some((mut end, _)) = text.char_indices().nth(most) else { return Cow::Borrowed(text) };
    // Marks stay with their letter.
    while end > 0 && text[end..].starts_with(is_combining_mark) {
        end = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
    }
    Cow::Owned(format!("{}… ({})", &text[..end], counted(text.chars().count(), "characters")))
}

/// Shortens the texts, lists and objects in a JSON value.
pub fn short_value(value: &mut Value) {
    let mut left = VALUE_TOTAL;
    shorten(value, &mut left);
}

/// A JSON text with its values shortened; `None` if it is short enough, or is not JSON.
#[must_use]
pub fn short_json(json: &str) -> Option<Box<RawValue>> {
    if json.len() <= VALUE_TEXT {
        return None;
    }
    let mut value: Value = serde_json::from_str(json).ok()?;
    short_value(&mut value);
    serde_json::value::to_raw_value(&value).ok()
}

fn shorten(value: &mut Value, left: &mut usize) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(shorter) = short(text, VALUE_TEXT.min(*left)) {
                *text = shorter;
            }
            *left = left.saturating_sub(text.chars().count());
        }
        Value::Array(items) => {
            let count = items.len();
            let mut kept = 0;
            for item in items.iter_mut().take(VALUE_ENTRIES) {
                if *left == 0 {
                    break;
                }
                shorten(item, left);
                *left = left.saturating_sub(2);
                kept += 1;
            }
            if kept < count {
                items.truncate(kept);
                items.push(format!("… and {}", counted(count - kept, "more entries")).into());
            }
        }
        Value::Object(fields) => {
            let count = fields.len();
            let mut kept = serde_json::Map::new();
            for (name, mut value) in take(fields).into_iter().take(VALUE_ENTRIES) {
                if *left == 0 {
                    break;
                }
                let name = short(&name, SHORT_NAME).into_owned();
                *left = left.saturating_sub(name.chars().count());
                shorten(&mut value, left);
                kept.insert(name, value);
            }
            if kept.len() < count {
                kept.insert("…".to_owned(), format!("and {}", counted(count - kept.len(), "more fields")).into());
            }
            *fields = kept;
        }
        _ => *left = left.saturating_sub(8),
    }
}

/// A number with thousands separators, and its noun.
fn counted(number: usize, noun: &str) -> String {
    let digits = number.to_string();
    let mut written = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    format!("{written} {noun}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_text_is_cut_before_a_letter_with_its_marks() {
        assert_eq!(short("abe\u{301}\u{302}fgh", 4), "ab… (8 characters)");
        assert_eq!(short("abe\u{301}\u{302}fgh", 5), "abe\u{301}\u{302}… (8 characters)");
        assert_eq!(short(&"\u{301}".repeat(9), 3), "… (9 characters)");
        assert_eq!(short("ééé", 3), "ééé");
    }

    #[test]
    fn a_value_is_shortened_in_all_its_parts() {
        let mut value = json!({ "name": "n".repeat(1_000), "list": (0..60).collect::<Vec<_>>(), "n": 1.5 });
        short_value(&mut value);
        let (name, list) = (value["name"].as_str().unwrap(), value["list"].as_array().unwrap());
        assert!(name.starts_with("nnn") && name.ends_with("n… (1,000 characters)"), "{name}");
        assert_eq!((list.len(), &list[50]), (51, &json!("… and 10 more entries")));
        assert_eq!(value["n"], 1.5);
        let many: serde_json::Map<String, Value> = (0..1_000).map(|n| (format!("field {n}"), n.into())).collect();
        let mut value = Value::from(many);
        short_value(&mut value);
        assert_eq!(value["…"], "and 950 more fields");
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<f64>().prop_map(Value::from),
            "(?s).{0,400}".prop_map(Value::from)
        ];
        leaf.prop_recursive(5, 4_000, 80, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..80).prop_map(Value::from),
                proptest::collection::btree_map(".{0,200}", inner, 0..80)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_shortened_value_is_short_whatever_it_holds(mut value in values()) {
            short_value(&mut value);
            let length = value.to_string().chars().filter(|c| *c != '\\').count();
            prop_assert!(length < 6 * VALUE_TOTAL, "{length} characters");
        }

        #[test]
        fn a_shortened_text_has_few_characters_more_than_its_bound(text in "(?s).{0,900}", most in 0_usize..700) {
            let shown = short(&text, most);
            prop_assert!(shown.chars().count() <= most + 20, "{shown}");
            prop_assert!(shown == text || text.chars().count() > most);
        }
    }
}
