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
        /// A part of the fact: `from` or `to` of a change.
        part: Option<String>,
    },
}

/// A parsed sentence: `{actor} added {user}`. `{{` and `}}` are literal braces.
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
                let (name, part) = match rest[..end].split_once('.') {
                    Some((name, part)) => (name, Some(part.to_owned())),
                    None => (&rest[..end], None),
                };
                parts.push(SentencePart::Fact { name: name.to_owned(), part });
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

    /// Renders the sentence with its facts; a missing fact is `?`.
    #[must_use]
    pub fn render(&self, fact: impl Fn(&str) -> Option<Value>) -> String {
        let mut sentence = String::new();
        for part in &self.0 {
            match part {
                SentencePart::Text(text) => sentence.push_str(text),
                SentencePart::Fact { name, part } => {
                    let value = fact(name);
                    let value = match part {
                        Some(part) => value.and_then(|value| value.get(part).cloned()),
                        None => value,
                    };
                    sentence.push_str(&value.map_or_else(|| "?".to_owned(), |value| value_text(&value)));
                }
            }
        }
        sentence
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
        let rendered = sentence.render(|name| match name {
            "actor" => Some(json!("user:1")),
            "x" => Some(json!({"from": [], "to": ["a", 2]})),
            _ => None,
        });
        assert_eq!(rendered, "user:1 set {x} from nothing to a, 2, ?");
    }
}
