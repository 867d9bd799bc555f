//! The commands on the record of a reaction. They are not registered: no caller can execute them by name.

use std::convert::Infallible;

use annals_macros::Command;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::record::{ReactionEvent, ReactionId, ReactionRecord};
use crate::aggregates::Loaded;
use crate::commands::{Context, Handle};
use crate::events::Ref;

/// Start a version of a reaction
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_start_reaction")]
pub(crate) struct StartReaction {
    #[on(ReactionRecord)]
    pub(crate) reaction: ReactionId,
    pub(crate) version: u32,
}

impl Handle for StartReaction {
    fn handle(&self, record: &Loaded<ReactionRecord>, _: &Context) -> Result<Vec<ReactionEvent>, Infallible> {
        let version = self.version;
        Ok(if record.version < version { vec![ReactionEvent::Started { version }] } else { Vec::new() })
    }
}

/// Skip a step of a reaction: it takes the command id of the step, so that either the step takes effect or the skip.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_skip_step")]
pub struct SkipStep {
    #[on(ReactionRecord)]
    pub(crate) reaction: ReactionId,
    pub(crate) on: Ref,
    pub(crate) position: u64,
    #[schemars(with = "String", extend("format" = "uuid"))]
    pub(crate) step: Uuid,
    pub(crate) why: String,
}

impl Handle for SkipStep {
    fn handle(&self, _: &Loaded<ReactionRecord>, _: &Context) -> Result<Vec<ReactionEvent>, Infallible> {
        let Self { on, position, step, why, .. } = self.clone();
        Ok(vec![ReactionEvent::Skipped { on, position, step, why }])
    }
}
