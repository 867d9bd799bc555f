//! [`Delivery`]: a step's command, decided together with the record of its reaction.
//!
//! A step always leaves an event with its command id, so that the projection of pending steps knows from the log alone what is done: if
//! the command decides no event or is refused, the record gets one. Both are committed with the states that they were decided on.

use std::any::TypeId;

use futures::future::{BoxFuture, FutureExt};
use uuid::Uuid;

use super::reaction::MAX_DEPTH;
use super::record::{ReactionEvent, ReactionId, ReactionRecord};
use crate::BoxError;
use crate::aggregates::{AggregateType, Loaded};
use crate::commands::{AnyCommand, Context, ExecuteError, Member, Refusal, Scope, Services, Undecided, unrecorded};
use crate::events::personal::{has_opened, take_erased};
use crate::events::{Id, Ref};
use crate::text::error_chain;

/// The most bytes of the reason of a refusal that are recorded.
const MAX_REASON: usize = 1_024;

/// A newer version of the reaction was started: this program must no longer react.
#[derive(Debug, thiserror::Error)]
#[error("version {newer} of the reaction was started, and this program has version {own}: use the newer program")]
pub(super) struct Superseded {
    own: u32,
    newer: u32,
}

/// A step's command.
pub(super) struct Delivery {
    pub(super) command: Box<dyn AnyCommand>,
    pub(super) reaction: ReactionId,
    pub(super) version: u32,
    /// The aggregate whose event led to it, and the id and position of that event.
    pub(super) on: Ref,
    pub(super) event: Uuid,
    pub(super) position: u64,
    /// What the record says of it in any case.
    pub(super) noted: Option<ReactionEvent>,
    /// Why it is refused before it is decided.
    pub(super) refused: Option<String>,
}

impl Delivery {
    fn refused(&self, reason: String) -> ReactionEvent {
        let mut reason = reason;
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        ReactionEvent::Refused {
            command: self.command.name().to_owned(),
            on: self.on.clone(),
            event: self.event,
            position: self.position,
            reason,
        }
    }

    /// Decides the command on its own members. Returns what the record says about it, if the command has no events.
    fn decide_command(
        &self,
        members: &mut [Member],
        context: &Context,
    ) -> Result<Option<ReactionEvent>, Undecided> {
        let depth = context.metadata().depth;
        if depth > MAX_DEPTH {
            let reason = format!("{depth} reactions have led to each other, and at most {MAX_DEPTH} may");
            return Ok(Some(self.refused(reason)));
        }
        if let Some(reason) = &self.refused {
            return Ok(Some(self.refused(reason.clone())));
        }
        match self.command.decide(members, context) {
            Ok(()) if members.iter().all(|member| member.events.is_empty()) => {
                Ok(Some(ReactionEvent::ChangedNothing {
                    command: self.command.name().to_owned(),
                    on: self.on.clone(),
                    event: self.event,
                }))
            }
            Ok(()) => Ok(None),
            // The reason may repeat a value that the handler has opened.
            Err(Undecided::Refused(_)) if has_opened() => Ok(Some(self.refused(unrecorded(&*self.command)))),
            Err(Undecided::Refused(error)) => Ok(Some(self.refused(error_chain(&*error)))),
            Err(invalid) => match take_erased() {
                Some(subject) => {
                    members.iter_mut().for_each(Member::undo);
                    Ok(Some(self.refused(ExecuteError::<Refusal>::Erased(subject).to_string())))
                }
                None => Err(invalid),
            },
        }
    }
}

impl AnyCommand for Delivery {
    fn name(&self) -> &'static str {
        self.command.name()
    }

    fn version(&self) -> u32 {
        self.command.version()
    }

    fn rust_type(&self) -> (TypeId, &'static str) {
        self.command.rust_type()
    }

    fn digest(&self, context: &Context) -> Result<[u8; 32], serde_json::Error> {
        self.command.digest(context)
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
        let mut aggregates = self.command.aggregates();
        aggregates.push((AggregateType::for_aggregate::<ReactionRecord>(), self.reaction.reference()));
        aggregates
    }

    fn prepare<'a>(
        &'a mut self,
        context: &'a Context,
        services: &'a Services,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        async move {
            if context.metadata().depth <= MAX_DEPTH {
                let prepared = self.command.prepare(context, services).await;
                self.refused = prepared.err().map(|error| error_chain(&*error));
            }
            Ok(())
        }
        .boxed()
    }

    fn decide(&self, members: &mut [Member], context: &Context) -> Result<(), Undecided> {
        let Some((record, members)) = members.split_last_mut() else { return Ok(()) };
        let newer = record.before.downcast_ref::<Loaded<ReactionRecord>>().map_or(0, |record| record.version);
        if newer > self.version {
            return Err(Undecided::Refused(Box::new(Superseded { own: self.version, newer })));
        }
        let outcome = self.decide_command(members, context)?;
        let events: Vec<_> = self.noted.iter().cloned().chain(outcome).collect();
        if events.is_empty() {
            return Ok(());
        }
        let record = std::slice::from_mut(record);
        <ReactionRecord as Scope>::decide(record, events, context).map_err(Undecided::Invalid)
    }
}
