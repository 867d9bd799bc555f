//! Names of things: [`Id`], typed, and [`Ref`], with the kind written out.

use std::borrow::Cow;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest id, in bytes: what an index of either store takes. Longer names: keep a prefix and hash the rest.
pub const MAX_ID_BYTES: usize = 1_024;

/// The kind of the crate's own actors, and what its other kinds begin with.
const OWN: &str = "annals";

/// A text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRef {
    /// There is no kind before a colon.
    #[error("`{0}` is not a reference: write its kind, a colon and its id, like `user:42`")]
    NoKind(String),
    /// The part after the colon is empty.
    #[error("`{0}` names nothing: an id must not be empty")]
    Empty(String),
    /// The id has a NUL byte, which no store takes.
    #[error("an id must not hold a NUL byte (in `{}`)", .0.escape_debug())]
    Nul(String),
    /// The id is too long.
    #[error(
        "an id of {bytes} bytes is too long: {MAX_ID_BYTES} at most; keep a prefix and hash the rest (`{start}…`)"
    )]
    TooLong {
        /// The id's length in bytes.
        bytes: usize,
        /// Its beginning.
        start: String,
    },
    /// The kind is one of the crate's own, which no caller can act as.
    #[error("`{0}` is of a kind that annals keeps for its own actors: name another, like `user:42`")]
    Reserved(String),
    /// A reference to another kind of thing was given.
    #[error("`{given}` is no reference to a {kind}: write `{kind}:…`")]
    OtherKind {
        /// What was given.
        given: String,
        /// The kind that was wanted.
        kind: &'static str,
    },
    /// The id's own type refused the text.
    #[error("`{given}` is not a {kind} id: {reason}")]
    Malformed {
        /// What was given.
        given: String,
        /// The kind that was wanted.
        kind: &'static str,
        /// Why it was refused.
        reason: String,
    },
}

/// A reference: a thing's kind and its id, written `user:42` or `file:src/lib.rs`.
///
/// Actors, targets and aggregates are references. The kind is of lower-case letters, digits, `_` and `-`, and
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
    /// The reference of `kind` and `id`, checked.
    ///
    /// # Errors
    /// When the kind or the id is malformed: see [`InvalidRef`].
    pub fn new(kind: &str, id: &str) -> Result<Self, InvalidRef> {
        let reference = Self::unchecked(kind, id);
        reference.check()?;
        Ok(reference)
    }

    /// The reference of `kind` and `id`, unchecked: [`Ref::check`] runs before anything is stored.
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

    /// The whole: `user:42`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this may be stored: a kind, and an id without NUL of a length that an index takes.
    ///
    /// # Errors
    /// What is wrong with it.
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

    /// Whether a caller may act as this: it may be stored, and its kind is not one of the crate's own (`annals`,
    /// `annals_…`).
    ///
    /// # Errors
    /// What is wrong with it.
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
            "pattern": "^[a-z][a-z0-9_-]*:.+",
            "description": "a reference: kind, colon, id"
        })
    }
}

/// A typed name of a thing: `ProjectId`, whose references read `project:7`. Derive it with `#[derive(Id)]`.
///
/// In JSON it is its whole reference (`"project:7"`), so that a reader of the log sees what it names; what is read
/// may also be the bare id (`"7"`), as long as that has no kind of its own.
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
    label = "names no kind of thing",
    note = "write `#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]` on a struct of one field"
)]
pub trait Id:
    Clone + Eq + Ord + Hash + fmt::Debug + fmt::Display + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The kind of thing it names: `project`.
    const KIND: &'static str;

    /// The bare id: `7`.
    fn text(&self) -> Cow<'_, str>;

    /// The id that [`Id::text`] gives back.
    ///
    /// # Errors
    /// When the inner type refuses the text.
    fn from_text(text: &str) -> Result<Self, InvalidRef>;

    /// The whole reference: `project:7`.
    fn reference(&self) -> Ref {
        Ref::unchecked(Self::KIND, &self.text())
    }

    /// Reads a whole reference (`project:7`) or a bare id (`7`).
    ///
    /// # Errors
    /// When it is a reference to another kind, or the inner type refuses it.
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
        // Its bytes are counted, not its characters: 1,024 of the id.
        "maxLength": kind.len() + 1 + MAX_ID_BYTES,
        // A bare id does not begin like another kind's. Without a look ahead, which many engines do not have, and others are
        // slow with: it begins with what no kind does, or goes on with it.
        "pattern": format!(
            "^({kind}:[^\\u0000]+|[^a-z\\u0000][^\\u0000]*|[a-z][a-z0-9_-]*([^a-z0-9_:\\u0000-][^\\u0000]*)?)$"
        ),
        "description": format!("a {kind}: `{kind}:…`, or the bare id")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a schema lets through can be read and stored; what it does not cannot.
    #[test]
    fn an_id_has_the_schema_that_it_is_read_by() {
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
    fn nobody_acts_as_a_kind_of_the_crates_own() {
        for own in ["annals:recorder", "annals_trail:2026-01-31", "annals_x:1"] {
            let reference: Ref = own.parse().expect("what lies in a log can be read");
            assert_eq!(reference.check_caller(), Err(InvalidRef::Reserved(own.to_owned())));
        }
        for other in ["user:annals", "annalsx:1", "annals-x:1", "user:annals:recorder"] {
            assert_eq!(other.parse::<Ref>().unwrap().check_caller(), Ok(()), "{other}");
        }
    }
}
