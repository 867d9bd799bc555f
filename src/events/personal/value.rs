//! [`Personal`]: a value about a person. [`Opened`]: what opening it gives.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::scope::{self, InScope};
use super::{ERASED, Envelope, KeyError, PERSONAL};

/// A value about a person: a field of an event, marked `#[event(personal)]` if it is about the aggregate, or
/// `#[event(personal = user)]` if it is about the thing that the field `user` names.
///
/// It is stored sealed under the key of that subject, from the first write on: in payloads, snapshots and documents of views. The
/// key lies apart from the log. When it is destroyed, the value is erased wherever a copy of it is.
///
/// A new value is made with [`new`](Self::new), and is sealed when the command that decided it is committed. It cannot be
/// serialized before that, so that it does not get anywhere by another way. [`open`](Self::open) gives the value back.
///
/// ```
/// use annals::events::{Opened, Personal};
/// let name = Personal::new("Ada".to_owned());
/// assert_eq!(name.open(), Opened::Known("Ada".to_owned()));
/// assert_eq!(format!("{name:?}"), "[personal]");
/// assert!(annals::serde_json::to_string(&name).is_err(), "it is written only as a field of an event");
/// ```
#[derive(Clone)]
pub struct Personal<T>(Content<T>);

#[derive(Clone)]
enum Content<T> {
    /// New: not yet sealed.
    New(T),
    Sealed(Envelope),
    /// A value that was stored readable before the field was personal: it is not read any more.
    Withheld,
}

/// What opening a [`Personal`] value gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened<T> {
    /// The value.
    Known(T),
    /// It was erased: the key of its subject was destroyed.
    Erased,
    /// It cannot be opened here: there are no keys at hand, as in a projection. Keep it sealed, and open it when it is read.
    Sealed,
}

impl<T> Opened<T> {
    /// The value, unless it is erased or cannot be opened here.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased | Self::Sealed => None,
        }
    }
}

impl<T: fmt::Display> fmt::Display for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => value.fmt(f),
            Self::Erased => f.write_str(ERASED),
            Self::Sealed => f.write_str(PERSONAL),
        }
    }
}

/// The JSON of a value that was stored readable before its field was personal, for the upcaster of that field. It reads as
/// [`Opened::Erased`].
///
/// ```
/// use annals::events::{Opened, Personal, withheld};
/// let old: Personal<String> = annals::serde_json::from_value(withheld())?;
/// assert_eq!(old.open(), Opened::Erased);
/// # Ok::<(), annals::serde_json::Error>(())
/// ```
#[must_use]
pub fn withheld() -> Value {
    json!({ "withheld": true })
}

impl<T> Personal<T> {
    /// A new value. It is sealed when the command that decided it is committed.
    pub fn new(value: T) -> Self {
        Self(Content::New(value))
    }

    /// The subject that the value is about; `None` before it is sealed.
    #[must_use]
    pub fn subject(&self) -> Option<&crate::events::Ref> {
        self.envelope().map(|envelope| &envelope.of)
    }

    pub(crate) fn envelope(&self) -> Option<&Envelope> {
        match &self.0 {
            Content::Sealed(envelope) => Some(envelope),
            Content::New(_) | Content::Withheld => None,
        }
    }

    /// Seals a new value.
    pub(super) fn seal(
        &mut self,
        of: &crate::events::Ref,
        event_type: &str,
        field: &str,
    ) -> Result<(), serde_json::Error>
    where
        T: Serialize,
    {
        let Content::New(value) = &self.0 else { return Ok(()) };
        let text = serde_json::to_string(value)?;
        match scope::seal(of, event_type, field, &text) {
            Some(envelope) => self.0 = Content::Sealed(envelope),
            None => {
                let message = format_args!("the key of {of} is not at hand");
                return Err(serde::ser::Error::custom(message));
            }
        }
        Ok(())
    }
}

impl<T: Clone + DeserializeOwned> Personal<T> {
    /// Opens the value. In a handler it is [known](Opened::Known) or [erased](Opened::Erased). In a projection, and wherever there are
    /// no keys at hand, it stays [sealed](Opened::Sealed): use `Annals::open_personal` there.
    pub fn open(&self) -> Opened<T> {
        let envelope = match &self.0 {
            Content::New(value) => return Opened::Known(value.clone()),
            Content::Withheld => return Opened::Erased,
            Content::Sealed(envelope) => envelope,
        };
        match scope::open(envelope) {
            InScope::Erased => Opened::Erased,
            InScope::Sealed => Opened::Sealed,
            InScope::Value(text) => match serde_json::from_str(&text) {
                Ok(value) => Opened::Known(value),
                // The error of serde may repeat the value.
                Err(_) => {
                    scope::fail(KeyError::Type { subject: envelope.of.clone() });
                    Opened::Sealed
                }
            },
        }
    }
}

/// New values are compared as they are, sealed ones opened; those that cannot be opened, by their envelopes.
impl<T: PartialEq + Clone + DeserializeOwned> PartialEq for Personal<T> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Content::New(one), Content::New(other)) => one == other,
            (Content::Withheld, Content::Withheld) => true,
            (Content::Sealed(one), Content::Sealed(other)) if one == other => true,
            (Content::Withheld, _) | (_, Content::Withheld) => false,
            _ => match (self.open(), other.open()) {
                (Opened::Known(one), Opened::Known(other)) => one == other,
                _ => false,
            },
        }
    }
}

impl<T: Eq + Clone + DeserializeOwned> Eq for Personal<T> {}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PERSONAL)
    }
}

impl<T> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Content::Sealed(envelope) => envelope.serialize(serializer),
            Content::Withheld => withheld().serialize(serializer),
            Content::New(_) => Err(serde::ser::Error::custom(
                "a personal value is written only as a field of an event that says whose it is: mark the field \
                 `#[event(personal)]`",
            )),
        }
    }
}

impl<'de, T> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename = "Personal")]
        struct Written {
            sealed: Option<String>,
            of: Option<crate::events::Ref>,
            withheld: Option<bool>,
        }
        match Written::deserialize(deserializer)? {
            Written { sealed: Some(sealed), of: Some(of), withheld: None } => {
                Ok(Self(Content::Sealed(Envelope { sealed, of })))
            }
            Written { sealed: None, of: None, withheld: Some(true) } => Ok(Self(Content::Withheld)),
            _ => Err(serde::de::Error::custom("a sealed value has the fields `sealed` and `of`")),
        }
    }
}
