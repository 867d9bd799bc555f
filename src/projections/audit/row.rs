//! [`AuditRow`]: one event, as a reader of the audit log gets it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::AuditError;
use crate::events::{Action, DecodeError, Origin, Ref, Stored, Topic, Types};
use crate::projections::presenter::{FieldChange, present};

/// One event. As JSON its fields come in this order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AuditRow {
    /// Its position in the log.
    pub position: u64,
    /// Its id.
    pub event_id: Uuid,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Who did it.
    pub actor: Ref,
    /// What was done.
    pub action: Action,
    /// To what: the aggregate first.
    pub targets: Vec<Ref>,
    /// Its topic: the first, if it has several.
    pub topic: Topic,
    /// Its name now, whatever it was called when it was stored.
    pub event_type: String,
    /// The aggregate that it happened to.
    pub aggregate: Ref,
    /// What happened, in words, as given: see [`plain`](crate::projections::presenter::plain) before a terminal
    /// gets it.
    pub sentence: String,
    /// The fields that changed.
    pub changes: Vec<FieldChange>,
    /// What is stored, byte for byte.
    #[cfg_attr(feature = "http", schema(value_type = serde_json::Value))]
    pub payload: Box<RawValue>,
    /// All its topics.
    pub topics: Vec<Topic>,
    /// Its number within the aggregate.
    pub sequence: u64,
    /// The version of the payload's shape.
    pub event_version: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// For whom, where that is somebody else.
    pub on_behalf_of: Option<Ref>,
    /// What it belongs to.
    pub correlation: Option<String>,
    /// What led to it.
    pub causation: Option<String>,
    /// The command that caused it.
    pub command_id: Uuid,
    /// Where the command came from.
    pub origin: Option<Origin>,
}

impl AuditRow {
    /// The row of a stored event, made from the event's own declaration.
    ///
    /// # Errors
    /// [`AuditError::Decode`] when this program cannot read the event.
    pub fn new(types: &Types, stored: Stored) -> Result<Self, AuditError> {
        let position = stored.position;
        Self::present(types, stored).map_err(|source| AuditError::at_event(position, source))
    }

    fn present(types: &Types, stored: Stored) -> Result<Self, DecodeError> {
        let shown = present(types, &stored)?;
        let payload = RawValue::from_string(stored.payload)
            .map_err(|source| DecodeError::Payload { event_type: stored.event_type, source })?;
        Ok(Self {
            position: stored.position,
            event_id: stored.event_id,
            recorded_at: stored.recorded_at,
            actor: shown.metadata.actor,
            action: shown.action,
            targets: shown.targets,
            topic: shown.topics.first().cloned().unwrap_or_default(),
            event_type: shown.event_type.to_owned(),
            aggregate: stored.aggregate,
            sentence: shown.sentence,
            changes: shown.changes,
            payload,
            topics: shown.topics,
            sequence: stored.sequence,
            event_version: stored.event_version,
            occurred_at: stored.occurred_at,
            on_behalf_of: shown.metadata.on_behalf_of,
            correlation: shown.metadata.correlation,
            causation: shown.metadata.causation,
            command_id: stored.command_id,
            origin: shown.metadata.origin,
        })
    }
}
