//! The commands on the record of a subject. They are not registered: no caller can execute them by name.

use std::convert::Infallible;

use annals_macros::Command;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::aggregates::Loaded;
use crate::commands::{Context, Handle, SubjectEvent, SubjectId, SubjectRecord};
use crate::events::Ref;

/// Decide to erase the personal data of a subject
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_erase_subject")]
pub(crate) struct EraseSubject {
    #[on(SubjectRecord)]
    pub(crate) record: SubjectId,
    pub(crate) subject: Ref,
    pub(crate) reason: String,
}

impl Handle for EraseSubject {
    fn handle(&self, record: &Loaded<SubjectRecord>, _: &Context) -> Result<Vec<SubjectEvent>, Infallible> {
        let Self { subject, reason, .. } = self.clone();
        Ok(match **record {
            SubjectRecord::Present => vec![SubjectEvent::Erasing { subject, reason }],
            SubjectRecord::Erasing | SubjectRecord::Erased => Vec::new(),
        })
    }
}

/// Record that the erasure of a subject is complete
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_complete_erasure")]
pub(crate) struct CompleteErasure {
    #[on(SubjectRecord)]
    pub(crate) record: SubjectId,
    pub(crate) subject: Ref,
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub(crate) decided: Uuid,
    pub(crate) keys: String,
    pub(crate) weak: Option<String>,
}

impl Handle for CompleteErasure {
    fn handle(&self, record: &Loaded<SubjectRecord>, _: &Context) -> Result<Vec<SubjectEvent>, Infallible> {
        let Self { subject, decided, keys, weak, .. } = self.clone();
        Ok(match **record {
            SubjectRecord::Erasing => vec![SubjectEvent::Erased { subject, decided, keys, weak }],
            SubjectRecord::Present | SubjectRecord::Erased => Vec::new(),
        })
    }
}
