//! [`Pattern`]: one thing, or everything below one.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The names that a right is about: one of them (`project:7`, `add_member`), everything below one (`project:*`,
/// `project/7/*`), or everything (`*`).
///
/// A `*` is only at the end, behind `:` or `/`, or alone. `project/7/*` is `project/7` and everything below it, not
/// `project/70`. Text is compared byte by byte. A space, `*`, `%` and control characters of a name are written percent-encoded:
/// `user:Jane%20Doe`.
///
/// ```
/// use annals::access::Pattern;
/// let of_project: Pattern = "project/7/*".parse()?;
/// assert!(of_project.matches("project/7/member") && of_project.matches("project/7") && !of_project.matches("project/70"));
/// # Ok::<(), annals::access::InvalidPattern>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    /// Decoded, with the separator before the `*`.
    literal: String,
    /// Whether it ends with a `*`.
    below: bool,
}

/// A text that is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// It has no text.
    #[error("a pattern must not be empty: write `*` for everything")]
    Empty,
    /// It has a `*` where none may stand.
    #[error(
        "`{0}` has a `*` that is not at its end behind `:` or `/`: write `project:*` or `project/7/*`; a `*` of a name is `%2A`"
    )]
    Star(String),
    /// It begins with a separator.
    #[error("`{0}` begins with a separator: write what is before it")]
    Separator(String),
    /// It has a `%` without the two hexadecimal digits of a character.
    #[error("`{0}` has a `%` without two hexadecimal digits: write a `%` of a name as `%25`")]
    Encoding(String),
    /// It is longer than a reference may be.
    #[error("a pattern has at most {MAX_BYTES} bytes")]
    TooLong,
}

/// As long as a reference with a few encoded characters.
const MAX_BYTES: usize = 2_048;

impl Pattern {
    /// The pattern of everything.
    #[must_use]
    pub fn everything() -> Self {
        Self { literal: String::new(), below: true }
    }

    /// The pattern of one name.
    pub fn exactly(name: impl Into<String>) -> Self {
        Self { literal: name.into(), below: false }
    }

    /// Whether it is the pattern of everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.below && self.literal.is_empty()
    }

    /// Whether it is about this name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.below {
            false => self.literal == name,
            true => name.starts_with(&self.literal) || self.literal.strip_suffix('/') == Some(name),
        }
    }

    /// Whether it is about a topic and everything below it.
    #[must_use]
    pub fn matches_topic(&self, topic: &str) -> bool {
        self.below && self.matches(topic)
    }

    /// Whether it is about everything that the other pattern is about.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match other.below {
            false => self.matches(&other.literal),
            true => self.below && other.literal.starts_with(&self.literal),
        }
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.len() > MAX_BYTES {
            return Err(InvalidPattern::TooLong);
        }
        let (literal, below) = match text.strip_suffix('*') {
            Some(before) => (before, true),
            None => (text, false),
        };
        let separated = literal.is_empty() || literal.ends_with([':', '/']);
        match () {
            () if text.is_empty() => Err(InvalidPattern::Empty),
            () if literal.contains('*') || (below && !separated) => Err(InvalidPattern::Star(text.to_owned())),
            () if literal.starts_with([':', '/']) => Err(InvalidPattern::Separator(text.to_owned())),
            () => {
                let literal = decode(literal).ok_or_else(|| InvalidPattern::Encoding(text.to_owned()))?;
                Ok(Self { literal, below })
            }
        }
    }
}

/// Decodes `%XX`; `None` if a `%` is not followed by two digits, or the bytes are not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
                value(digits[0])? << 4 | value(digits[1])?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Encodes the characters of a name that mean something else in a right.
fn encode(name: &str) -> Cow<'_, str> {
    let special = |letter: char| letter == '%' || letter == '*' || letter.is_whitespace() || letter.is_control();
    if !name.contains(special) {
        return name.into();
    }
    let mut encoded = String::with_capacity(name.len() + 8);
    for letter in name.chars() {
        match special(letter) {
            false => encoded.push(letter),
            true => {
                let mut buffer = [0; 4];
                let bytes = letter.encode_utf8(&mut buffer).bytes();
                bytes.for_each(|byte| encoded.push_str(&format!("%{byte:02X}")));
            }
        }
    }
    encoded.into()
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.literal))?;
        if self.below { f.write_str("*") } else { Ok(()) }
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl JsonSchema for Pattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_BYTES,
            "description": "A name, or everything below one: `project:7`, `project:*`, `*`."
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_is_about_a_name_or_what_is_below_it_and_never_about_a_longer_name() {
        let matches = |text: &str, name: &str| pattern(text).matches(name);
        assert!(matches("project:7", "project:7") && !matches("project:7", "project:70"));
        assert!(matches("project:*", "project:70") && !matches("project:*", "projects:7"));
        assert!(matches("project/7/*", "project/7/a") && matches("project/7/*", "project/7"));
        assert!(!matches("project/7/*", "project/70") && !matches("project/7", "project/7/a"));
        assert!(matches("*", "anything:at/all") && matches("user:%2A", "user:*") && !matches("user:%2A", "user:b"));
        assert!(!matches("user:bob", "user:b\u{43e}b"), "a Cyrillic o is another byte");
        assert!(matches("user:Jane%20Doe", "user:Jane Doe"));
    }

    #[test]
    fn text_that_only_looks_like_a_pattern_is_refused() {
        let refused = |text: &str| text.parse::<Pattern>().unwrap_err();
        assert_eq!(refused(""), InvalidPattern::Empty);
        for text in ["project*", "*:7", "pro*ject:7", "**", "a/*/b"] {
            assert_eq!(refused(text), InvalidPattern::Star(text.to_owned()));
        }
        for text in ["/*", "/", ":*", ":7"] {
            assert_eq!(refused(text), InvalidPattern::Separator(text.to_owned()));
        }
        for text in ["a%", "a%2", "a%zz", "%FF"] {
            assert_eq!(refused(text), InvalidPattern::Encoding(text.to_owned()));
        }
        assert_eq!(refused(&"a".repeat(MAX_BYTES + 1)), InvalidPattern::TooLong);
    }

    fn any_pattern() -> impl Strategy<Value = Pattern> {
        "[ab]{1,2}([:/][ab*% é]{0,3}){0,3}".prop_flat_map(|name| {
            any::<bool>().prop_map(move |below| match below && name.ends_with([':', '/']) {
                true => Pattern { literal: name.clone(), below: true },
                false => Pattern::exactly(name.clone()),
            })
        })
    }

    proptest! {
        #[test]
        fn a_pattern_reads_back_from_its_text(pattern in any_pattern()) {
            prop_assert_eq!(pattern.to_string().parse::<Pattern>(), Ok(pattern));
        }

        #[test]
        fn a_pattern_that_covers_another_is_about_all_that_the_other_is_about(
            wide in any_pattern(), narrow in any_pattern(), name in "[ab]{1,2}([:/][ab]{0,2}){0,3}",
        ) {
            if wide.covers(&narrow) && narrow.matches(&name) {
                prop_assert!(wide.matches(&name), "{} covers {}, {}", wide, narrow, name);
            }
        }
    }
}
