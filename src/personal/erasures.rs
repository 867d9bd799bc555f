//! [`Erasure`]: what the log says about the erasure of a subject.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::commands::SubjectEvent;
use crate::events::{DecodeError, LogPosition, Recorded, Ref, Stored};

/// The erasure of a subject, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Erasure {
    /// The subject.
    #[cfg_attr(feature = "http", schema(value_type = String))]
    pub subject: Ref,
    /// The position of the event that decided it.
    pub position: u64,
    /// The id of that event.
    pub event_id: Uuid,
    /// Who decided it.
    #[cfg_attr(feature = "http", schema(value_type = String))]
    pub actor: Ref,
    /// The reason.
    pub reason: String,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// The key store in which the key was destroyed; `None` until the erasure is complete.
    #[cfg_attr(feature = "http", schema(required = true))]
    pub keys: Option<String>,
    /// Why copies of the key may remain, if so.
    #[cfg_attr(feature = "http", schema(required = true))]
    pub weak: Option<String>,
    /// When it was complete.
    #[cfg_attr(feature = "http", schema(required = true))]
    pub completed_at: Option<Timestamp>,
}

impl Erasure {
    /// Whether the key is destroyed and no process opens the values any more.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.completed_at.is_some()
    }
}

/// All erasures of a log, as far as it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Erasures {
    /// The log was read up to here.
    pub(super) at: LogPosition,
    pub(super) by_subject: BTreeMap<Ref, Erasure>,
}

impl Erasures {
    /// Adds an event. Returns the subject, if its erasure is new.
    pub(super) fn add(&mut self, stored: &Stored) -> Result<Option<Ref>, DecodeError> {
        let recorded = Recorded::<SubjectEvent>::from_stored(stored)?;
        match recorded.event {
            SubjectEvent::Erasing { subject, reason } => {
                let erasure = Erasure {
                    subject: subject.clone(),
                    position: recorded.position,
                    event_id: recorded.event_id,
                    actor: recorded.metadata.actor,
                    reason,
                    decided_at: recorded.recorded_at,
                    keys: None,
                    weak: None,
                    completed_at: None,
                };
                self.by_subject.insert(subject.clone(), erasure);
                Ok(Some(subject))
            }
            SubjectEvent::Erased { subject, keys, weak, .. } => {
                if let Some(erasure) = self.by_subject.get_mut(&subject) {
                    erasure.completed_at = Some(recorded.recorded_at);
                    (erasure.keys, erasure.weak) = (Some(keys), weak);
                }
                Ok(None)
            }
        }
    }
}
