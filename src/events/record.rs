//! Rows of the log: [`Stored`], as they lie there, and [`Recorded`], with the event decoded.

use std::ops::Deref;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DecodeError, Event, Ref};

/// A place in the log: the position and id of the last event up to it.
///
/// Cursors, receipts and checkpoints carry both, so that a log restored from an older backup and written on is
/// noticed: the same position then has another id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct LogPosition {
    /// The position of the last event: 0 in an empty log.
    pub position: u64,
    /// Its id: nil in an empty log.
    pub event_id: Uuid,
}

/// Where a command came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Origin {
    /// The host that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How: `POST`, `cli`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// For what: `/projects/7/members`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// In which form: `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// Who caused an event, for whom and why: the `metadata` column, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Who did it.
    pub actor: Ref,
    /// For whom, where that is somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Ref>,
    /// What belongs together: a request, a commit, an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// What led to it: another command or event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<String>,
    /// Where the command came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// One row of the log, as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// 1, 2, 3 … without a gap, in commit order.
    pub position: u64,
    /// A UUIDv7, strictly increasing with the position.
    pub event_id: Uuid,
    /// The aggregate: type and id.
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
    /// The command that caused it.
    pub command_id: Uuid,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was recorded: never decreasing with the position.
    pub recorded_at: Timestamp,
    /// SHA-256 of what the writer gave.
    pub digest: [u8; 32],
}

impl Stored {
    /// The metadata, read.
    ///
    /// # Errors
    /// When the column does not hold what this crate writes.
    pub fn metadata(&self) -> Result<Metadata, DecodeError> {
        serde_json::from_str(&self.metadata)
            .map_err(|source| DecodeError::Metadata { position: self.position, source })
    }

    /// The place of this event in the log.
    #[must_use]
    pub fn head(&self) -> LogPosition {
        LogPosition { position: self.position, event_id: self.event_id }
    }
}

/// A stored event with its payload and metadata decoded. Dereferences to the event.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded<E> {
    /// What happened.
    pub event: E,
    /// Its position in the log.
    pub position: u64,
    /// Its id.
    pub event_id: Uuid,
    /// The aggregate it happened to.
    pub aggregate: Ref,
    /// Its number within the aggregate.
    pub sequence: u64,
    /// Who, for whom, why, from where.
    pub metadata: Metadata,
    /// The command that caused it.
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
    /// When this program cannot read it.
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

    /// The aggregate's id, typed.
    ///
    /// # Errors
    /// When the id does not parse as an `I`.
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
