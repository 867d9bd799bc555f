//! Ids of things: [`Id`], typed, and [`Ref`], with the kind as text.

use std::borrow::Cow;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest id, in bytes: the limit of the stores' indexes. For longer names, keep a prefix and hash the rest.
pub const MAX_ID_BYTES: usize = 1_024;

/// A reference as a pattern of JSON Schema. It has no length: [`MAX_ID_BYTES`] counts bytes, a pattern counts characters.
pub(crate) const REF_PATTERN: &str = "^[a-z][a-z0-9_-]*:[^\\u0000]+$";

/// The kind of the crate's own actors, and the prefix of its other kinds.
const OWN: &str = "annals";

/// A text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRef {
    /// The kind is missing or malformed.
    #[error("`{0}` is not a reference: write its kind, a colon and its id, like `user:42`")]
    NoKind(String),
    /// The part after the colon is empty.
    #[error("`{0}` has an empty id: write `kind:id`")]
    Empty(String),
    /// The id has a NUL byte, which no store accepts.
    #[error("an id must not contain a NUL byte (in `{}`)", .0.escape_debug())]
    Nul(String),
    /// The id is too long.
    #[error(
        "an id of {bytes} bytes is too long: {MAX_ID_BYTES} at most; keep a prefix and hash the rest (`{start}…`)"
    )]
    TooLong {
        /// The id's length in bytes.
        bytes: usize,
        /// The beginning of the id.
        start: String,
    },
    /// The kind is reserved for the crate's own actors.
    #[error("the kind of `{0}` is reserved for annals' own actors: use another kind, like `user:42`")]
    Reserved(String),
    /// The reference is of another kind.
    #[error("`{given}` is not a reference to a {kind}: write `{kind}:…`")]
    OtherKind {
        /// The given text.
        given: String,
        /// The expected kind.
        kind: &'static str,
    },
    /// The id's type rejected the text.
    #[error("`{given}` is not a {kind} id: {reason}")]
    Malformed {
        /// The given text.
        given: String,
        /// The expected kind.
        kind: &'static str,
        /// The reason.
        reason: String,
    },
}

/// A reference: the kind and id of a thing, written `user:42` or `file:src/lib.rs`.
///
/// Actors, targets and aggregates are references. The kind consists of lower-case letters, digits, `_` and `-`, and
/// begins with a letter; the id is any text without NUL, of at most [`MAX_ID_BYTES`] bytes.
///
/// ```
/// use annals::events::Ref;
/// let file: Ref = "file:a:b.txt".parse()?;
/// assert_eq!((file.kind(), file.id()), ("file", "a:b.txt"));
/// assert!("nobody".parse::<Ref>().is_err());
/// # Ok::<(), annals::events::InvalidRef>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ref {
    text: String,
    colon: usize,
}

impl Ref {
    /// Creates a reference from a kind and an id, and checks it.
    ///
    /// # Errors
    /// When the kind or the id is malformed: see [`InvalidRef`].
    pub fn new(kind: &str, id: &str) -> Result<Self, InvalidRef> {
        let reference = Self::unchecked(kind, id);
        reference.check()?;
        Ok(reference)
    }

    /// Creates a reference without a check: [`Ref::check`] runs before anything is stored.
    pub(crate) fn unchecked(kind: &str, id: &str) -> Self {
        let mut text = String::with_capacity(kind.len() + 1 + id.len());
        text.push_str(kind);
        text.push(':');
        text.push_str(id);
        Self { text, colon: kind.len() }
    }

    /// The kind: `user` of `user:42`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.text[..self.colon]
    }

    /// The id: `42` of `user:42`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.text[self.colon + 1..]
    }

    /// The whole reference: `user:42`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Checks that the reference can be stored: it has a valid kind, and an id without NUL of at most [`MAX_ID_BYTES`].
    ///
    /// # Errors
    /// See [`InvalidRef`].
    pub fn check(&self) -> Result<(), InvalidRef> {
        let id = self.id();
        if !is_kind(self.kind()) {
            return Err(InvalidRef::NoKind(self.text.clone()));
        }
        if id.is_empty() {
            return Err(InvalidRef::Empty(self.text.clone()));
        }
        if id.contains('\0') {
            return Err(InvalidRef::Nul(self.text.clone()));
        }
        if id.len() > MAX_ID_BYTES {
            return Err(InvalidRef::TooLong { bytes: id.len(), start: self.text.chars().take(40).collect() });
        }
        Ok(())
    }

    /// Checks that a caller may act as this: it can be stored, and its kind is not reserved (`annals`, `annals_…`).
    ///
    /// # Errors
    /// See [`InvalidRef`].
    pub fn check_caller(&self) -> Result<(), InvalidRef> {
        self.check()?;
        match self.kind().strip_prefix(OWN) {
            Some(rest) if rest.is_empty() || rest.starts_with('_') => Err(InvalidRef::Reserved(self.text.clone())),
            _ => Ok(()),
        }
    }
}

fn is_kind(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

impl FromStr for Ref {
    type Err = InvalidRef;

    fn from_str(text: &str) -> Result<Self, InvalidRef> {
        let colon = text.find(':').ok_or_else(|| InvalidRef::NoKind(text.to_owned()))?;
        let reference = Self { text: text.to_owned(), colon };
        reference.check()?;
        Ok(reference)
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ref({})", self.text)
    }
}

impl Serialize for Ref {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Ref {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl serde::de::Visitor<'_> for Text {
            type Value = Ref;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a reference: kind, colon, id")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ref, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl schemars::JsonSchema for Ref {
    fn schema_name() -> Cow<'static, str> {
        "Ref".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": REF_PATTERN,
            "description": "a reference: kind, colon, id of at most 1,024 bytes"
        })
    }
}

/// A typed id: `ProjectId`, whose references are `project:7`. Derive it with `#[derive(Id)]`.
///
/// In JSON it is the whole reference (`"project:7"`), so that the log shows the kind. It also deserializes from the bare id
/// (`"7"`), unless that looks like a reference of another kind.
///
/// ```
/// use annals::prelude::*;
///
/// #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// pub struct ProjectId(String);
///
/// let id = ProjectId::new("7");
/// assert_eq!(id.to_string(), "project:7");
/// assert_eq!("project:7".parse::<ProjectId>()?, id);
/// assert_eq!("7".parse::<ProjectId>()?, id);
/// assert!("user:7".parse::<ProjectId>().is_err());
/// # Ok::<(), annals::events::InvalidRef>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an id",
    label = "no `Id` implementation",
    note = "write `#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]` on a struct of one field"
)]
pub trait Id:
    Clone + Eq + Ord + Hash + fmt::Debug + fmt::Display + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The kind of the things that it identifies: `project`.
    const KIND: &'static str;

    /// The bare id: `7`.
    fn text(&self) -> Cow<'_, str>;

    /// Parses a bare id, the inverse of [`Id::text`].
    ///
    /// # Errors
    /// When the inner type rejects the text.
    fn from_text(text: &str) -> Result<Self, InvalidRef>;

    /// The whole reference: `project:7`.
    fn reference(&self) -> Ref {
        Ref::unchecked(Self::KIND, &self.text())
    }

    /// Parses a whole reference (`project:7`) or a bare id (`7`).
    ///
    /// # Errors
    /// When it is a reference of another kind, or the inner type rejects it.
    fn from_reference(text: &str) -> Result<Self, InvalidRef> {
        match text.split_once(':') {
            Some((kind, id)) if kind == Self::KIND => Self::from_text(id),
            Some((kind, _)) if is_kind(kind) => {
                Err(InvalidRef::OtherKind { given: text.to_owned(), kind: Self::KIND })
            }
            _ => Self::from_text(text),
        }
    }
}

#[doc(hidden)]
pub fn serialize<I: Id, S: Serializer>(id: &I, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}:{}", I::KIND, id.text()))
}

#[doc(hidden)]
pub fn deserialize<'de, I: Id, D: Deserializer<'de>>(deserializer: D) -> Result<I, D::Error> {
    I::from_reference(&Cow::<str>::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[doc(hidden)]
#[must_use]
pub fn json_schema(kind: &str) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        // An upper bound: the limit of 1,024 is in bytes, `maxLength` in characters.
        "maxLength": kind.len() + 1 + MAX_ID_BYTES,
        // A bare id must not look like a reference of another kind. Without look-ahead, which many engines lack or are slow
        // with: it begins with a character that no kind has, or contains one before the first colon.
        "pattern": format!(
            "^({kind}:[^\\u0000]+|[^a-z\\u0000][^\\u0000]*|[a-z][a-z0-9_-]*([^a-z0-9_:\\u0000-][^\\u0000]*)?)$"
        ),
        "description": format!("{kind} id: `{kind}:…` or the bare id")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schema accepts a text if and only if it can be read and stored.
    #[test]
    fn the_schema_of_an_id_accepts_what_the_parser_accepts() {
        #[derive(annals_macros::Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        struct UserId(String);
        let schema = json_schema("user").to_value();
        let pattern = regex::Regex::new(schema["pattern"].as_str().unwrap()).unwrap();
        for (text, good) in [
            ("42", true),
            ("user", true),
            ("user:42", true),
            ("user:42:7", true),
            ("user:", false),
            ("A:b", true),
            (":b", true),
            ("a b:c", true),
            ("aé:b", true),
            ("a-b_7", true),
            ("a-b_7:c", false),
            ("project:42", false),
            ("", false),
            ("a\0b", false),
            ("user:a\0b", false),
        ] {
            assert_eq!(pattern.is_match(text), good, "{text:?}");
            let taken = UserId::from_reference(text).is_ok_and(|id| Ref::new("user", &id.text()).is_ok());
            assert_eq!(taken, good, "{text:?}");
        }
    }

    #[test]
    fn a_reference_is_a_kind_a_colon_and_an_id_in_bounds() {
        assert!("user:42".parse::<Ref>().is_ok());
        for bad in ["", "user", ":42", "user:", "User:42", "us er:42", "user:a\0b"] {
            assert!(bad.parse::<Ref>().is_err(), "{bad:?}");
        }
        assert!(format!("user:{}", "x".repeat(MAX_ID_BYTES)).parse::<Ref>().is_ok());
        let error = format!("user:{}", "x".repeat(MAX_ID_BYTES + 1)).parse::<Ref>().unwrap_err();
        assert!(error.to_string().contains("1025 bytes"), "{error}");
    }

    #[test]
    fn no_caller_acts_as_a_reserved_kind() {
        for own in ["annals:recorder", "annals_trail:2026-01-31", "annals_x:1"] {
            let reference: Ref = own.parse().expect("references in a log can be read");
            assert_eq!(reference.check_caller(), Err(InvalidRef::Reserved(own.to_owned())));
        }
        for other in ["user:annals", "annalsx:1", "annals-x:1", "user:annals:recorder"] {
            assert_eq!(other.parse::<Ref>().unwrap().check_caller(), Ok(()), "{other}");
        }
    }
}
