//! Events: what happened, and their declarations.
//!
//! An event enum is declared once, with `#[derive(Event)]`; its attributes carry the sentence, the topic, the
//! action, the targets, old names and upcasters. The audit row, the sentence, the metric, the live stream and the command
//! line all use that one [`Declaration`] of each variant.
//!
//! ## Layout
//! - `event`: the [`Event`] trait that the derive implements, and [`Declaration`]
//! - `id`: [`Id`], typed ids of things, and [`Ref`], an id with its kind (`user:42`)
//! - `conversions`: [`IntoRef`] and [`IntoId`], what an actor and an id are created from
//! - `change`: [`Change`], the previous and the next value of a field
//! - [`personal`]: [`Personal`], a value about a person, stored sealed under that person's key
//! - `source`: [`Source`], what a field that is a source names, and [`SourceRole`]
//! - `topic`: [`Topic`] paths, and the patterns that produce them
//! - `sentence`: sentence templates
//! - `payload`: an enum variant's content as JSON text, without serde's outer tag
//! - `json`: scans JSON text without building values
//! - `read_back`: the check before an event is written: it must decode to an equal event
//! - `shape`: the shape of a type, as its `Deserialize` requests it
//! - `record`: [`Stored`], a row of the log, and [`Recorded`], a row with its event decoded
//! - `types`: [`Types`], the event types of an application
//! - `id_support`: functions that `derive(Id)` calls

mod change;
mod conversions;
mod event;
mod id;
pub(crate) mod json;
#[doc(hidden)]
pub mod payload;
pub mod personal;
mod read_back;
mod record;
mod sentence;
#[doc(hidden)]
pub mod shape;
mod source;
mod topic;
mod types;

pub use change::Change;
pub use conversions::{IntoId, IntoRef};
pub use event::{Action, Declaration, DecodeError, Event, Field, Target, Upcast};
#[cfg(feature = "http")]
pub(crate) use id::REF_PATTERN;
pub use id::{Id, InvalidRef, MAX_ID_BYTES, Ref};
#[doc(inline)]
pub use personal::{Opened, Personal, withheld};
pub use read_back::ReadBackError;
pub(crate) use read_back::read_back;
pub use record::{AggregateVersion, DecidedOn, LogPosition, Metadata, Origin, Recorded, Stored};
pub use sentence::{Sentence, SentencePart, is_one, value_text};
pub use source::{Source, SourceRole};
pub use topic::{InvalidTopic, Topic, TopicPattern};
pub use types::{Described, Known, Types, TypesError};

/// Functions that `derive(Id)` calls; not for direct use.
#[doc(hidden)]
pub mod id_support {
    pub use super::id::{deserialize, json_schema, serialize};
}
