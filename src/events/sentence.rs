//! [`Sentence`]: a template of text and `{placeholders}`, filled in on read.

use serde_json::Value;

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SentencePart {
    /// Literal text.
    Text(String),
    /// `{name}` or `{name.part}`.
    Fact {
        /// A field, `actor`, or the aggregate's type.
        name: String,
        /// A part of the fact: `from` or `to` of a change, `id` of a reference, or fields of a struct, joined by dots.
        part: Option<String>,
    },
    /// `{name|one|many}`: a word that depends on a number, or on the length of a list.
    Counted {
        /// A field.
        name: String,
        /// A part of it.
        part: Option<String>,
        /// The word for one.
        one: String,
        /// The word for any other number.
        many: String,
    },
}

/// A parsed sentence: `{actor} gave {dose.amount} {dose.amount|pill|pills} to {patient} ({patient.id})`. `{{` and `}}`
/// are literal braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence(Vec<SentencePart>);

impl Sentence {
    /// Parses a template. `derive(Event)` has checked it: an unclosed brace is taken as text.
    #[must_use]
    pub fn parse(template: &str) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                text.push_str(brace);
                rest = after;
            } else if let Some(end) = rest.find('}').filter(|_| brace == "{") {
                if !text.is_empty() {
                    parts.push(SentencePart::Text(std::mem::take(&mut text)));
                }
                let (whole, words) = match rest[..end].split_once('|') {
                    Some((whole, words)) => (whole, words.split_once('|')),
                    None => (&rest[..end], None),
                };
                let (name, part) = match whole.split_once('.') {
                    Some((name, part)) => (name.to_owned(), Some(part.to_owned())),
                    None => (whole.to_owned(), None),
                };
                parts.push(match words {
                    Some((one, many)) => {
                        SentencePart::Counted { name, part, one: one.to_owned(), many: many.to_owned() }
                    }
                    None => SentencePart::Fact { name, part },
                });
                rest = &rest[end + 1..];
            } else {
                text.push_str(brace);
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(SentencePart::Text(text));
        }
        Self(parts)
    }

    /// The parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[SentencePart] {
        &self.0
    }

    /// Renders the sentence with its facts, each given by its name and its part; a missing fact is `?`.
    #[must_use]
    pub fn render(&self, fact: impl Fn(&str, Option<&str>) -> Option<Value>) -> String {
        let mut sentence = String::new();
        for part in &self.0 {
            match part {
                SentencePart::Text(text) => sentence.push_str(text),
                SentencePart::Fact { name, part } => {
                    let value = fact(name, part.as_deref());
                    sentence.push_str(&value.map_or_else(|| "?".to_owned(), |value| value_text(&value)));
                }
                SentencePart::Counted { name, part, one, many } => {
                    let value = fact(name, part.as_deref());
                    sentence.push_str(if value.is_some_and(|value| is_one(&value)) { one } else { many });
                }
            }
        }
        sentence
    }
}

/// Whether a value is the number one or a list with one item. Any other value than a number or a list is one thing.
#[must_use]
pub fn is_one(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64() == Some(1.0),
        Value::Array(items) => items.len() == 1,
        Value::Null => false,
        _ => true,
    }
}

/// Renders a JSON value as text: strings as they are, lists with commas, `nothing` for null and empty lists.
#[must_use]
pub fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "nothing".to_owned(),
        Value::Array(items) => items.iter().map(value_text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sentence_fills_in_facts_parts_and_braces() {
        let sentence = Sentence::parse("{actor} set {{x}} from {x.from} to {x.to}, {nobody}");
        let rendered = sentence.render(|name, part| match (name, part) {
            ("actor", None) => Some(json!("user:1")),
            ("x", Some("from")) => Some(json!([])),
            ("x", Some("to")) => Some(json!(["a", 2])),
            _ => None,
        });
        assert_eq!(rendered, "user:1 set {x} from nothing to a, 2, ?");
    }

    #[test]
    fn a_word_follows_a_number_or_the_length_of_a_list() {
        let sentence = Sentence::parse("{n} {n|file|files}, {x.y||s}");
        for (value, rendered) in [
            (json!(1), "1 file, "),
            (json!(0), "0 files, s"),
            (json!(1.0), "1.0 file, "),
            (json!(21), "21 files, s"),
            (json!(["a"]), "a file, "),
            (json!(["a", "b"]), "a, b files, s"),
            (json!([]), "nothing files, s"),
            (json!(null), "nothing files, s"),
            (json!("a"), "a file, "),
        ] {
            assert_eq!(sentence.render(|_, _| Some(value.clone())), rendered);
        }
        assert_eq!(sentence.render(|_, _| None), "? files, s");
    }
}
