//! The command by which an owner confirms the rights in a log that is older than their last withdrawal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::authority::{check_own_name, check_why};
use super::settings::Access;
use super::{AccessError, AccessEvent, AccessId, AccessRecord};
use crate::aggregates::Loaded;
use crate::commands::{Command, Context, Handle, PrepareContext};

/// Confirm the rights in a log that was restored from a backup
///
/// They were suspended, because a right may have been withdrawn since. For owners.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConfirmAccess {
    /// The reason.
    pub why: String,
    /// Whether the application itself names the actor as an owner.
    #[serde(skip)]
    named: bool,
    /// The withdrawal that the log does not have, if this program knows it.
    #[serde(skip)]
    missing: Option<Uuid>,
}

impl ConfirmAccess {
    /// A confirmation of the rights in the log, with its reason.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), named: false, missing: None }
    }
}

impl Command for ConfirmAccess {
    const NAME: &'static str = "confirm_access";
    const SUMMARY: &'static str = "Confirm the rights in a log that was restored from a backup";
    type Scope = AccessRecord;
    type Error = AccessError;

    fn ids(&self) -> AccessId {
        AccessId::owners()
    }
}

impl Handle for ConfirmAccess {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), AccessError> {
        if let Some(settings) = context.services().get::<Access>() {
            self.named = settings.owners.contains(context.actor());
            self.missing = settings.withdrawals.missing().map(|missing| missing.event_id);
        }
        Ok(())
    }

    fn handle(&self, record: &Loaded<AccessRecord>, context: &Context) -> Result<Vec<AccessEvent>, AccessError> {
        let Self { why, named, missing } = self.clone();
        check_why(&why)?;
        let actor = check_own_name(context)?;
        if !named && !record.owners.contains(actor) {
            return Err(AccessError::NotOwner(actor.clone()));
        }
        Ok(vec![AccessEvent::Confirmed { missing, why }])
    }
}
