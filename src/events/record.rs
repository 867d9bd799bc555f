//! Rows of the log: [`Stored`], as in the database, and [`Recorded`], with the event decoded.

use std::ops::Deref;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DecodeError, Event, Ref};

/// A place in the log: the position and id of the last event up to it.
///
/// Cursors, receipts and checkpoints carry both. If a log was restored from an older backup and then written to, the same
/// position has another id, and the difference is detected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct LogPosition {
    /// The position of the last event: 0 in an empty log.
    pub position: u64,
    /// The id of the last event: nil in an empty log.
    pub event_id: Uuid,
}

/// Where a command came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Origin {
    /// The host of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The method: `POST`, `cli`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path: `/projects/7/members`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The format: `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// The circumstances of an event: the `metadata` column, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The actor.
    pub actor: Ref,
    /// The principal on whose behalf the actor acted, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Ref>,
    /// The correlation: the request, commit or import that the event belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// The causation: the command or event that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<String>,
    /// The origin of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// How many [reactions](crate::reactions) have led to each other up to this event: 0 for a command of a caller.
    #[serde(default, skip_serializing_if = "is_no_reaction")]
    pub depth: u32,
    /// What the command was decided on: only in the metadata of its first event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_on: Option<DecidedOn>,
    /// Random bytes in hexadecimal digits, of which no two events have the same: in an application that keeps proofs, so that nobody can
    /// try out what a payload is by the digest of the event. Only readers of the payload see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

/// What a command was decided on. Events of older programs lack `command`, `wrote` and `read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct DecidedOn {
    /// The command's name: `add_member`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The command's version: `#[command(version = 2)]`. Left out of JSON if it is 1.
    #[serde(default = "first_version", skip_serializing_if = "is_first_version")]
    pub version: u32,
    /// SHA-256 of the command's name, body and actor, as 64 hexadecimal digits: in an application that keeps proofs, so that the tree
    /// covers what the log says about commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_digest: Option<String>,
    /// The grants that allowed it: of the actor, and of the principal on whose behalf the actor acted. Owners need none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Uuid>,
    /// The aggregates in its scope that it also wrote, each with the sequence at which it was read: 0 if it had no event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrote: Vec<AggregateVersion>,
    /// The aggregates in its scope that it only read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<AggregateVersion>,
    /// The number of further aggregates in its scope: at most [`MAX`](Self::MAX) are named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// An aggregate as it was after one of its events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AggregateVersion {
    /// The aggregate.
    #[serde(rename = "ref")]
    #[cfg_attr(feature = "http", schema(value_type = String))]
    pub aggregate: Ref,
    /// The sequence of that event: 0 before the first.
    #[serde(rename = "at")]
    pub sequence: u64,
}

impl DecidedOn {
    /// The most aggregates that it names.
    pub const MAX: usize = 256;
}

impl Default for DecidedOn {
    fn default() -> Self {
        let version = first_version();
        Self {
            command: None,
            version,
            body_digest: None,
            grants: Vec::new(),
            wrote: Vec::new(),
            read: Vec::new(),
            more: 0,
        }
    }
}

fn first_version() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_first_version(version: &u32) -> bool {
    *version == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_no_reaction(depth: &u32) -> bool {
    *depth == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A row of the log, as in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// 1, 2, 3 … without a gap, in commit order.
    pub position: u64,
    /// A UUIDv7, strictly increasing with the position.
    pub event_id: Uuid,
    /// The aggregate's type and id.
    pub aggregate: Ref,
    /// 1, 2, 3 … within the aggregate.
    pub sequence: u64,
    /// `project_member.added`.
    pub event_type: String,
    /// `1.0`.
    pub event_version: String,
    /// The variant's content: JSON text, byte for byte as given.
    pub payload: String,
    /// A [`Metadata`] as JSON text, byte for byte as given.
    pub metadata: String,
    /// The id of the command that caused it.
    pub command_id: Uuid,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was recorded: never decreasing with the position.
    pub recorded_at: Timestamp,
    /// SHA-256 of what the writer gave.
    pub digest: [u8; 32],
}

impl Stored {
    /// Parses the metadata.
    ///
    /// # Errors
    /// When the column is not as this crate writes it.
    pub fn metadata(&self) -> Result<Metadata, DecodeError> {
        serde_json::from_str(&self.metadata)
            .map_err(|source| DecodeError::Metadata { position: self.position, source })
    }

    /// The size of payload and metadata, in bytes.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.payload.len() + self.metadata.len()
    }

    /// The position and id of this event.
    #[must_use]
    pub fn head(&self) -> LogPosition {
        LogPosition { position: self.position, event_id: self.event_id }
    }
}

/// A stored event with its payload and metadata decoded. Dereferences to the event.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded<E> {
    /// The event.
    pub event: E,
    /// The position in the log.
    pub position: u64,
    /// The event id.
    pub event_id: Uuid,
    /// The aggregate's type and id.
    pub aggregate: Ref,
    /// The event's number within the aggregate, from 1.
    pub sequence: u64,
    /// The actor, principal, correlation, causation and origin.
    pub metadata: Metadata,
    /// The id of the command that caused it.
    pub command_id: Uuid,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

impl<E: Event> Recorded<E> {
    /// Decodes a row.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn from_stored(stored: &Stored) -> Result<Self, DecodeError> {
        Ok(Self {
            event: E::from_stored(stored)?,
            position: stored.position,
            event_id: stored.event_id,
            aggregate: stored.aggregate.clone(),
            sequence: stored.sequence,
            metadata: stored.metadata()?,
            command_id: stored.command_id,
            occurred_at: stored.occurred_at,
            recorded_at: stored.recorded_at,
        })
    }

    /// Parses the aggregate's id as an `I`.
    ///
    /// # Errors
    /// When the id does not parse.
    pub fn id<I: super::Id>(&self) -> Result<I, super::InvalidRef> {
        I::from_text(self.aggregate.id())
    }
}

impl<E> Deref for Recorded<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.event
    }
}
