//! The [`Event`] trait and the [`Declaration`] of each variant.

use std::fmt;
use std::str::FromStr;

use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shape::VariantShape;
use super::{Change, Ref, SourceRole, Stored};
use crate::BoxError;

/// The kind of change that an event makes to its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Created.
    Create,
    /// Changed.
    Update,
    /// Deleted.
    Delete,
    /// Read.
    View,
    /// Something was refused or denied.
    Refuse,
}

impl Action {
    /// All actions.
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
            .ok_or_else(|| format!("`{text}` is not an action: write create, update, delete, view or refuse"))
    }
}

/// Converts a payload of one version to the next version.
pub type Upcast = fn(Value) -> Result<Value, BoxError>;

/// One field of an event variant, as declared.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The field's Rust name, or its index in a tuple variant. Sentences and topics use it.
    pub name: &'static str,
    /// The field's type as written, with the serde attributes that change its JSON. The lock file pins it.
    pub shape: &'static str,
    /// Whether the field is a target.
    pub target: bool,
    /// Whether the field is a source.
    pub source: bool,
    /// Whether the field is a [`Change`](super::Change) or an optional one.
    pub change: bool,
    /// Whether the field is personal: [`Personal`](super::Personal).
    pub personal: bool,
}

/// The declaration of one variant of an event enum.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// The event type, its name in the log: `project_member.added`.
    pub event_type: &'static str,
    /// The version of the payload's shape, from 1.
    pub version: u32,
    /// The action.
    pub action: Action,
    /// The sentence template: `{actor} added {user} to {project}`.
    pub sentence: &'static str,
    /// The topic patterns: `project/member`.
    pub topics: &'static [&'static str],
    /// The fields, in order.
    pub fields: &'static [Field],
    /// Former event types, in full: `project_member.left`.
    pub was: &'static [&'static str],
    /// The upcasters, each from version *n* to *n + 1*, by *n*.
    pub upcasts: &'static [(u32, Upcast)],
}

impl Declaration {
    /// The version as the log writes it: `1.0`.
    #[must_use]
    pub fn version_text(&self) -> String {
        format!("{}.0", self.version)
    }

    /// Whether it has a personal field.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.fields.iter().any(|field| field.personal)
    }

    /// Upcasts a stored payload to the current version. Returns `None` if it has that version.
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

/// An error when a stored event is decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No registered event has this event type, current or former.
    #[error(
        "unknown event type `{0}`: another version of the program wrote it, or it was renamed without `was(…)`"
    )]
    UnknownType(String),
    /// The payload does not have the declared shape.
    #[error("the payload of a `{event_type}` does not have its declared shape")]
    Payload {
        /// The event type.
        event_type: String,
        /// The error of serde.
        source: serde_json::Error,
    },
    /// The version cannot be read.
    #[error("version {version} of `{event_type}` {problem}")]
    Version {
        /// The event type.
        event_type: String,
        /// The stored version.
        version: String,
        /// The problem.
        problem: &'static str,
    },
    /// An upcaster failed.
    #[error("the upcaster of `{event_type}` from version {from} failed")]
    Upcast {
        /// The event type.
        event_type: String,
        /// The version that it converts from.
        from: u32,
        /// The upcaster's error.
        source: BoxError,
    },
    /// The metadata is not as this crate writes it.
    #[error("the metadata of event {position} cannot be read")]
    Metadata {
        /// The event's position.
        position: u64,
        /// The error of serde.
        source: serde_json::Error,
    },
    /// The aggregate id does not parse.
    #[error("the aggregate id of event {position} cannot be read")]
    Aggregate {
        /// The event's position.
        position: u64,
        /// The error of the id's type.
        source: super::InvalidRef,
    },
}

/// A domain event: an enum with a variant for each thing that can happen. Derive it with `#[derive(Event)]`.
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
    label = "no `Event` implementation",
    note = "write `#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]` on an enum"
)]
pub trait Event: DomainEvent + 'static {
    /// The declarations of all variants, including those of nested enums.
    fn declarations() -> Vec<&'static Declaration>;

    /// Finds a declaration by its current or former event type.
    fn lookup(event_type: &str) -> Option<&'static Declaration>;

    /// The declaration of this variant.
    fn declaration(&self) -> &'static Declaration;

    /// Encodes the payload: the variant's content as JSON text.
    ///
    /// # Errors
    /// When a field cannot be written as JSON.
    fn encode(&self) -> Result<String, serde_json::Error>;

    /// Decodes an event from its current event type and a payload of the current version.
    ///
    /// # Errors
    /// When the event type is not one of this enum's, or the payload does not have the declared shape.
    fn decode(event_type: &str, payload: &str) -> Result<Self, serde_json::Error>;

    /// The fields by their Rust names, each as JSON, for sentences and topics.
    ///
    /// # Errors
    /// When a field cannot be written as JSON.
    fn facts(&self) -> Result<Vec<(&'static str, Value)>, serde_json::Error>;

    /// The parts of structs that the sentence names, by their placeholders (`dose.amount`), each as JSON.
    ///
    /// # Errors
    /// When a part cannot be written as JSON.
    fn parts(&self) -> Result<Vec<(&'static str, Value)>, serde_json::Error> {
        Ok(Vec::new())
    }

    /// The references in the `target` fields. (The aggregate itself is always a target.)
    fn targets(&self) -> Vec<Ref>;

    /// The references in the `source` fields: what came to be was derived from these things, as they were then.
    fn sources(&self) -> Vec<Ref> {
        Vec::new()
    }

    /// The references in the fields that are sources in a role: `source = "member"`.
    fn source_roles(&self) -> Vec<(SourceRole, Ref)> {
        Vec::new()
    }

    /// Seals the new values in the `personal` fields, for an event of this aggregate.
    ///
    /// # Errors
    /// When a key is not at hand, a field does not name one subject, or a value cannot be written as JSON.
    fn seal(&mut self, aggregate: &Ref) -> Result<(), serde_json::Error> {
        let _ = aggregate;
        Ok(())
    }

    /// The shape of the payload of the variant with this current event type, for the lock file. `None` if the event is not
    /// derived: the lock file then reports that it cannot see the shape.
    fn shape(event_type: &str) -> Option<VariantShape> {
        let _ = event_type;
        None
    }

    /// Decodes the event of a stored row, with former names and versions upcast.
    ///
    /// # Errors
    /// See [`DecodeError`].
    fn from_stored(stored: &Stored) -> Result<Self, DecodeError> {
        decode_columns(&stored.event_type, &stored.event_version, &stored.payload)
    }
}

/// Decodes an event from three columns of the log.
pub(super) fn decode_columns<E: Event>(event_type: &str, version: &str, payload: &str) -> Result<E, DecodeError> {
    let declaration = E::lookup(event_type).ok_or_else(|| DecodeError::UnknownType(event_type.to_owned()))?;
    let upcast = declaration.current(version, payload)?;
    E::decode(declaration.event_type, upcast.as_deref().unwrap_or(payload))
        .map_err(|source| DecodeError::Payload { event_type: event_type.to_owned(), source })
}

/// A type for fields marked `#[event(target)]`: an [`Id`](super::Id), a [`Ref`], or an `Option`, `Vec` or [`Change`] of
/// them. Both sides of a change are targets.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a target",
    label = "not an id",
    note = "the type of a field marked `#[event(target)]` is an id (`#[derive(Id)]`), a `Ref`, or an `Option`, `Vec` or `Change` of them"
)]
pub trait Target {
    /// Adds its references.
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

impl<T: Target> Target for Change<T> {
    fn add_to(&self, targets: &mut Vec<Ref>) {
        self.from.add_to(targets);
        self.to.add_to(targets);
    }
}
