//! The commands on the record of an intake. They are not registered: no caller can execute them by name.

use std::any::TypeId;
use std::convert::Infallible;

use annals_macros::Command;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::record::{DeadLetter, IntakeEvent, IntakeId, IntakeRecord};
use crate::BoxError;
use crate::aggregates::{AggregateType, Loaded};
use crate::commands::{AnyCommand, Context, Handle, Member, Services, Undecided};
use crate::events::Ref;

/// Pause an intake: it receives nothing until it is resumed
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_pause_intake")]
pub struct PauseIntake {
    #[on(IntakeRecord)]
    pub(crate) intake: IntakeId,
    pub(crate) why: String,
}

impl Handle for PauseIntake {
    fn handle(&self, _: &Loaded<IntakeRecord>, _: &Context) -> Result<Vec<IntakeEvent>, Infallible> {
        Ok(vec![IntakeEvent::Paused { why: self.why.clone() }])
    }
}

/// Resume an intake that is paused
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_resume_intake")]
pub struct ResumeIntake {
    #[on(IntakeRecord)]
    pub(crate) intake: IntakeId,
    pub(crate) why: String,
}

impl Handle for ResumeIntake {
    fn handle(&self, _: &Loaded<IntakeRecord>, _: &Context) -> Result<Vec<IntakeEvent>, Infallible> {
        Ok(vec![IntakeEvent::Resumed { why: self.why.clone() }])
    }
}

/// Record that a message has no outcome
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_record_dead_letter")]
pub(super) struct RecordDeadLetter {
    #[on(IntakeRecord)]
    pub(super) intake: IntakeId,
    pub(super) reason: String,
    pub(super) letter: DeadLetter,
}

impl Handle for RecordDeadLetter {
    fn handle(&self, _: &Loaded<IntakeRecord>, _: &Context) -> Result<Vec<IntakeEvent>, Infallible> {
        let Self { reason, letter, .. } = self.clone();
        Ok(vec![IntakeEvent::DeadLettered { reason, letter }])
    }
}

/// Record that the command of a message was denied
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_record_denied_message")]
pub(super) struct RecordDenied {
    #[on(IntakeRecord)]
    pub(super) intake: IntakeId,
    pub(super) command: String,
    pub(super) source: String,
    pub(super) id: String,
    pub(super) reason: String,
}

impl Handle for RecordDenied {
    fn handle(&self, _: &Loaded<IntakeRecord>, _: &Context) -> Result<Vec<IntakeEvent>, Infallible> {
        let Self { command, source, id, reason, .. } = self.clone();
        Ok(vec![IntakeEvent::Refused { command, source, id, reason }])
    }
}

/// A command that has the digest of a message in place of its own: the message has one outcome, whichever it is.
pub(super) struct OfMessage<C> {
    pub(super) command: C,
    pub(super) digest: [u8; 32],
}

impl<C: AnyCommand> AnyCommand for OfMessage<C> {
    fn name(&self) -> &'static str {
        self.command.name()
    }

    fn version(&self) -> u32 {
        self.command.version()
    }

    fn rust_type(&self) -> (TypeId, &'static str) {
        self.command.rust_type()
    }

    fn digest(&self, _: &Context) -> Result<[u8; 32], serde_json::Error> {
        Ok(self.digest)
    }

    fn subjects(&self) -> Vec<Ref> {
        self.command.subjects()
    }

    fn is_personal(&self) -> bool {
        self.command.is_personal()
    }

    fn error_type(&self) -> &'static str {
        self.command.error_type()
    }

    fn aggregates(&self) -> Vec<(AggregateType, Ref)> {
        self.command.aggregates()
    }

    fn asked_about(&self) -> Vec<Ref> {
        self.command.asked_about()
    }

    fn prepare<'a>(
        &'a mut self,
        context: &'a Context,
        services: &'a Services,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        self.command.prepare(context, services)
    }

    fn decide(&self, members: &mut [Member], context: &Context) -> Result<(), Undecided> {
        self.command.decide(members, context)
    }
}
