//! [`Notes`]: what all processes know of an intake, in the tables of projections.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::status::IntakeProblem;
use crate::feeds::VERSION;
use crate::store::{NoteKind, StoreError, Views};

/// The name under which an intake has its lease and its note. The prefix keeps it apart from projections.
pub(crate) fn projection_name(intake: &str) -> String {
    format!("annals_intake_{intake}")
}

/// What the process that receives notes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) problem: Option<IntakeProblem>,
    /// The messages at the broker that are not settled.
    pub(super) backlog: Option<u64>,
}

/// The notes of the intakes of a store.
#[derive(Clone)]
pub(crate) struct Notes(Arc<dyn Views>);

impl Notes {
    pub(crate) fn new(views: Arc<dyn Views>) -> Self {
        Self(views)
    }

    /// Makes the place where the lease shows.
    pub(super) async fn prepare(&self, intake: &str) -> Result<(), StoreError> {
        self.0.live(&projection_name(intake), VERSION).await.map(drop)
    }

    pub(super) async fn write(&self, intake: &str, note: &Note) -> Result<(), StoreError> {
        let text = serde_json::to_string(note).ok();
        self.0.set_note(&projection_name(intake), VERSION, NoteKind::Stop, text).await
    }

    pub(super) async fn read(&self, intake: &str) -> Result<Note, StoreError> {
        let note = self.0.note(&projection_name(intake), VERSION, NoteKind::Stop).await?;
        Ok(note.and_then(|note| serde_json::from_str(&note).ok()).unwrap_or_default())
    }

    /// The process that receives.
    pub(super) async fn leader(&self, intake: &str) -> Result<Option<Uuid>, StoreError> {
        let name = projection_name(intake);
        let all = self.0.generations().await?;
        Ok(all.into_iter().find(|one| one.live && one.id.name == name).and_then(|one| one.leader))
    }
}
