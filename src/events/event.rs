//! The [`Event`] trait and the [`Declaration`] that stands behind every variant.

use std::fmt;
use std::str::FromStr;

use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shape::VariantShape;
use super::{Ref, Stored};
use crate::BoxError;

/// What an event did to the thing it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It came to be.
    Create,
    /// It changed.
    Update,
    /// It went away.
    Delete,
    /// It was looked at.
    View,
    /// Somebody was not let do something to it.
    Refuse,
}

impl Action {
    /// All of them, in the order of a thing's life.
    pub const ALL: [Self; 5] = [Self::Create, Self::Update, Self::Delete, Self::View, Self::Refuse];

    /// Its name: `create`, `update`, `delete`, `view` or `refuse`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::View => "view",
            Self::Refuse => "refuse",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no action: write create, update, delete, view or refuse"))
    }
}

/// Turns a payload of one version into a payload of the next.
pub type Upcast = fn(Value) -> Result<Value, BoxError>;

/// One field of an event variant, as declared.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its Rust name, or its index in a tuple variant; sentences and topics use it.
    pub name: &'static str,
    /// Its type as written, with the serde attributes that shape it: what the lock file pins.
    pub shape: &'static str,
    /// Whether it names a target.
    pub target: bool,
    /// Whether it is a [`Change`](super::Change) (or an optional one).
    pub change: bool,
}

/// Everything that one variant of an event enum says about itself.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// Its name in the log: `project_member.added`.
    pub event_type: &'static str,
    /// The version of its payload's shape, from 1.
    pub version: u32,
    /// What it did.
    pub action: Action,
    /// The sentence about it: `{actor} added {user} to {project}`.
    pub sentence: &'static str,
    /// The patterns of its topics: `project/member`.
    pub topics: &'static [&'static str],
    /// Its fields in order.
    pub fields: &'static [Field],
    /// Names that it had before, whole: `project_member.left`.
    pub was: &'static [&'static str],
    /// What turns a payload of version *n* into one of version *n + 1*, by *n*.
    pub upcasts: &'static [(u32, Upcast)],
}

impl Declaration {
    /// The version as the log writes it: `1.0`.
    #[must_use]
    pub fn version_text(&self) -> String {
        format!("{}.0", self.version)
    }

    /// Brings a stored payload to the current version.
    ///
    /// # Errors
    /// When the version is newer than this program's, unreadable, or an upcaster is missing or fails.
    pub fn current(&self, version: &str, payload: &str) -> Result<Option<String>, DecodeError> {
        let stored = version
            .split_once('.')
            .map_or(version, |(major, _)| major)
            .parse::<u32>()
            .map_err(|_| self.version_error(version, "is not a version"))?;
        if stored == self.version {
            return Ok(None);
        }
        if stored > self.version {
            return Err(self.version_error(version, "was written by a newer program: update this one"));
        }
        let mut value = serde_json::from_str(payload)
            .map_err(|source| DecodeError::Payload { event_type: self.event_type.to_owned(), source })?;
        for from in stored..self.version {
            let (_, upcast) = self
                .upcasts
                .iter()
                .find(|(version, _)| *version == from)
                .ok_or_else(|| self.version_error(version, "has no upcaster: declare `from(… = function)`"))?;
            value = upcast(value).map_err(|source| DecodeError::Upcast {
                event_type: self.event_type.to_owned(),
                from,
                source,
            })?;
        }
        Ok(Some(value.to_string()))
    }

    fn version_error(&self, version: &str, problem: &'static str) -> DecodeError {
        DecodeError::Version { event_type: self.event_type.to_owned(), version: version.to_owned(), problem }
    }
}

/// A stored event that cannot be read as an event of this program.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No registered event has this name, now or before.
    #[error(
        "event type `{0}` is unknown to this program: it was written by another version, or renamed without `was(…)`"
    )]
    UnknownType(String),
    /// The payload does not have the declared shape.
    #[error("the payload of a `{event_type}` does not have its declared shape")]
    Payload {
        /// The event's type.
        event_type: String,
        /// What serde says.
        source: serde_json::Error,
    },
    /// The version is not one that can be read.
    #[error("version {version} of `{event_type}` {problem}")]
    Version {
        /// The event's type.
        event_type: String,
        /// The stored version.
        version: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An upcaster failed.
    #[error("`{event_type}` of version {from} could not be brought to the next version")]
    Upcast {
        /// The event's type.
        event_type: String,
        /// The version it failed on.
        from: u32,
        /// What the upcaster says.
        source: BoxError,
    },
    /// The metadata is not what this crate writes.
    #[error("the metadata of event {position} cannot be read")]
    Metadata {
        /// The event's position.
        position: u64,
        /// What serde says.
        source: serde_json::Error,
    },
    /// The aggregate id is not one of the aggregate's ids.
    #[error("the aggregate id of event {position} cannot be read")]
    Aggregate {
        /// The event's position.
        position: u64,
        /// What the id's type says.
        source: super::InvalidRef,
    },
}

/// A domain event: an enum whose variants say what can happen. Derive it with `#[derive(Event)]`.
///
/// ```
/// use annals::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// pub struct LampId(String);
///
/// #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// #[event(name = "lamp", topic = "house/lamp")]
/// pub enum LampEvent {
///     #[event(update, "{actor} turned the lamp to {level} percent")]
///     Dimmed { level: u8 },
/// }
///
/// let event = LampEvent::Dimmed { level: 40 };
/// assert_eq!(event.declaration().event_type, "lamp.dimmed");
/// assert_eq!(event.encode()?, r#"{"level":40}"#);
/// assert_eq!(LampEvent::decode("lamp.dimmed", r#"{"level":40}"#)?, event);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "declares no events",
    note = "write `#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]` on an enum"
)]
pub trait Event: DomainEvent + 'static {
    /// The declarations of all variants, those of nested enums included.
    fn declarations() -> Vec<&'static Declaration>;

    /// The declaration of the variant that the log calls `event_type`, or called so before.
    fn lookup(event_type: &str) -> Option<&'static Declaration>;

    /// This variant's declaration.
    fn declaration(&self) -> &'static Declaration;

    /// The variant's content as JSON text: the payload.
    ///
    /// # Errors
    /// When a field cannot be written as JSON.
    fn encode(&self) -> Result<String, serde_json::Error>;

    /// The event of a current type name and a payload of its current version.
    ///
    /// # Errors
    /// When the name is not one of this enum's, or the payload does not have the declared shape.
    fn decode(event_type: &str, payload: &str) -> Result<Self, serde_json::Error>;

    /// The fields by their Rust names, each as JSON: what sentences and topics are made of.
    ///
    /// # Errors
    /// When a field cannot be written as JSON.
    fn facts(&self) -> Result<Vec<(&'static str, Value)>, serde_json::Error>;

    /// The things that its `target` fields name. (The aggregate itself is always a target.)
    fn targets(&self) -> Vec<Ref>;

    /// The shape of the payload of the variant with this current name: what the lock file pins. None for an event that
    /// is not derived: the lock file then says that it cannot see its shape.
    fn shape(event_type: &str) -> Option<VariantShape> {
        let _ = event_type;
        None
    }

    /// The event of a stored row: old names and versions are brought up to date first.
    ///
    /// # Errors
    /// When this program cannot read it: see [`DecodeError`].
    fn from_stored(stored: &Stored) -> Result<Self, DecodeError> {
        decode_columns(&stored.event_type, &stored.event_version, &stored.payload)
    }
}

/// The event of these three columns of the log.
pub(super) fn decode_columns<E: Event>(event_type: &str, version: &str, payload: &str) -> Result<E, DecodeError> {
    let declaration = E::lookup(event_type).ok_or_else(|| DecodeError::UnknownType(event_type.to_owned()))?;
    let upcast = declaration.current(version, payload)?;
    E::decode(declaration.event_type, upcast.as_deref().unwrap_or(payload))
        .map_err(|source| DecodeError::Payload { event_type: event_type.to_owned(), source })
}

/// What a field marked `#[event(target)]` may be: an [`Id`](super::Id), a [`Ref`], or `Option` or `Vec` of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a target",
    label = "names nothing",
    note = "a field marked `#[event(target)]` is an id (`#[derive(Id)]`), a `Ref`, or an `Option` or `Vec` of them"
)]
pub trait Target {
    /// Adds what it names.
    fn add_to(&self, targets: &mut Vec<Ref>);
}

impl Target for Ref {
    fn add_to(&self, targets: &mut Vec<Ref>) {
        targets.push(self.clone());
    }
}

impl<T: Target> Target for Option<T> {
    fn add_to(&self, targets: &mut Vec<Ref>) {
        self.iter().for_each(|target| target.add_to(targets));
    }
}

impl<T: Target> Target for Vec<T> {
    fn add_to(&self, targets: &mut Vec<Ref>) {
        self.iter().for_each(|target| target.add_to(targets));
    }
}
