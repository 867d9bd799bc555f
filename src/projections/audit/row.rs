//! [`AuditRow`]: one event of the audit log, as a query returns it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{AuditError, Detail};
use crate::events::{Action, DecodeError, Origin, Ref, Stored, Topic, Types};
use crate::projections::presenter::{
    FieldChange, SHORT_SENTENCE, present, present_metadata, short, short_json, short_value,
};

/// One event. The JSON object has the fields in this order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AuditRow {
    /// The position in the log.
    pub position: u64,
    /// The id of the event.
    pub event_id: Uuid,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The actor.
    pub actor: Ref,
    /// The action.
    pub action: Action,
    /// The targets, the aggregate first.
    pub targets: Vec<Ref>,
    /// The topic: the first, if it has several.
    pub topic: Topic,
    /// The current name of the event type, whatever it was when the event was stored.
    pub event_type: String,
    /// The aggregate.
    pub aggregate: Ref,
    /// The sentence, unescaped: apply [`plain`](crate::projections::presenter::plain) before printing it to a terminal. With
    /// metadata, values are `[redacted]` and things are references.
    pub sentence: String,
    /// The fields that changed; none with metadata.
    pub changes: Vec<FieldChange>,
    /// The stored payload, byte for byte; `null` with metadata.
    #[cfg_attr(feature = "http", schema(value_type = serde_json::Value))]
    pub payload: Box<RawValue>,
    /// All topics.
    pub topics: Vec<Topic>,
    /// The sequence number within the aggregate.
    pub sequence: u64,
    /// The version of the payload.
    pub event_version: String,
    /// When it occurred.
    pub occurred_at: Timestamp,
    /// The principal on whose behalf the actor acted.
    pub on_behalf_of: Option<Ref>,
    /// The correlation: the request, import or commit that it belongs to.
    pub correlation: Option<String>,
    /// The causation: what led to it.
    pub causation: Option<String>,
    /// The id of the command.
    pub command_id: Uuid,
    /// The origin of the command; with metadata, without the path, which may contain values.
    pub origin: Option<Origin>,
    /// How much of the event the row shows. Left out of JSON if it is `full`.
    #[serde(default, skip_serializing_if = "Detail::is_full")]
    #[cfg_attr(feature = "http", schema(required = false))]
    pub detail: Detail,
}

impl AuditRow {
    /// Makes the row of a stored event, from its declaration.
    ///
    /// # Errors
    /// [`AuditError::Decode`] when this program cannot decode the event.
    pub fn new(types: &Types, stored: Stored) -> Result<Self, AuditError> {
        let position = stored.position;
        Self::present(types, stored, Detail::Full).map_err(|source| AuditError::from_decode(position, source))
    }

    /// Makes the row of a stored event with this detail.
    ///
    /// # Errors
    /// When this program cannot decode the event. With metadata, the error has no value of it.
    pub fn with_detail(detail: Detail, types: &Types, stored: Stored) -> Result<Self, AuditError> {
        let position = stored.position;
        Self::present(types, stored, detail)
            .map_err(|source| AuditError::from_decode(position, source).with_detail(detail))
    }

    /// The approximate size of its texts, in bytes.
    pub(crate) fn text_bytes(&self) -> usize {
        // The values of a change are in the payload.
        let shown = if self.changes.is_empty() { 1 } else { 2 };
        let targets: usize = self.targets.iter().map(|target| target.as_str().len()).sum();
        shown * self.payload.get().len() + self.sentence.len() + targets
    }

    /// Shortens sentence, changes and payload for people to read.
    pub(crate) fn shorten(&mut self) {
        self.sentence = short(&self.sentence, SHORT_SENTENCE).into_owned();
        for change in &mut self.changes {
            short_value(&mut change.from);
            short_value(&mut change.to);
        }
        // Text that is not JSON stays as it is.
        if let Some(short) = short_json(self.payload.get()) {
            self.payload = short;
        }
    }

    fn present(types: &Types, stored: Stored, detail: Detail) -> Result<Self, DecodeError> {
        let (shown, payload) = match detail {
            Detail::Full => (present(types, &stored)?, stored.payload),
            Detail::Metadata => (present_metadata(types, &stored)?, "null".to_owned()),
        };
        let payload = RawValue::from_string(payload)
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
            detail,
        })
    }
}
