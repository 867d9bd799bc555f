//! The body of a command with personal fields, as its digest counts it: no digest is made of a value without a key, since names can
//! be guessed.

use crate::events::Ref;
use crate::events::json::{Content, Node, unquoted};
use crate::events::personal::{PERSONAL, keyed_digest};
use crate::text::hex;

/// The body with the HMAC of each personal value in place of the value; without the key of its subject, with a word.
pub(super) fn without_values(command: &str, body: &str, fields: &[&str], subjects: &[Option<Ref>]) -> String {
    let node = Node::parse(body);
    let Content::Object(values) = &node.content else { return String::new() };
    let mut text = String::with_capacity(body.len());
    for (key, value) in values {
        let name = unquoted(key);
        text.push_str(if text.is_empty() { "{" } else { "," });
        text.push_str(key);
        text.push(':');
        match fields.iter().position(|field| *field == name) {
            None => text.push_str(value.text),
            Some(at) => {
                let subject = subjects.get(at).and_then(Option::as_ref);
                let digest = subject.and_then(|subject| keyed_digest(subject, &[command, &name, value.text]));
                text.push_str(&digest.map_or_else(|| PERSONAL.to_owned(), |digest| hex(&digest)));
            }
        }
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_key_the_value_does_not_count() {
        let subject = [Some("user:7".parse().unwrap())];
        let without = |body: &str| without_values("rename", body, &["name"], &subject);
        assert_eq!(
            without(r#"{"user":"user:7","name":"Ada","age":4}"#),
            r#"{"user":"user:7","name":[personal],"age":4}"#
        );
        assert_eq!(without(r#"{"name":"Ada"}"#), without(r#"{"name":"Bob"}"#));
    }
}
