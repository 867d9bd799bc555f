//! Executes a step after all that was refused or skipped.
//!
//! The step's command is asked for again, of the event that led to it and the aggregate as it was then. It takes a command id that is
//! derived from the step and the number of its replays, so that of two operators at the same time one replays it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use uuid::Uuid;

use super::delivery::Delivery;
use super::executor::Executor;
use super::reaction::{Body, Step};
use super::record::ReactionEvent;
use super::step_error::StepError;
use super::steps::{replay_id, step_id};
use crate::commands::{Context, ExecuteError};
use crate::events::{Event, Stored};
use crate::store::Receipt;
use crate::text::{error_chain, panic_message};

/// A step that was executed after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Replay {
    /// Whether it was refused again. The event `annals_reaction.refused` has the reason.
    pub refused: bool,
    /// The receipt of the command.
    pub receipt: Receipt,
}

/// A step that was refused or skipped.
struct WithoutEffect {
    /// Its first command id: that of a replay is another one.
    step: Uuid,
    /// The position of the event that led to it.
    position: u64,
}

/// How often a step can be replayed.
const MAX_REPLAYS: u64 = 1_000;

/// The events of a commit in which the record of the reaction is looked for.
const MAX_EVENTS: u64 = 1_000;

impl Executor {
    /// Executes a step that was refused or skipped, on behalf of the context's actor.
    pub(crate) async fn replay(&self, step: Uuid, why: &str, context: &Context) -> Result<Replay, StepError> {
        let WithoutEffect { step, position } =
            self.without_effect(step).await?.ok_or(StepError::NotRefused(step))?;
        let id = self.next_replay(step).await?;
        let event = self.store.read_at(&[position]).await?.pop().ok_or(StepError::NoLonger { step, position })?;
        let body = self.body(step, &event).await?.ok_or(StepError::NoLonger { step, position })?;
        let json = body.json.map_err(|error| StepError::Command(error_chain(&error)))?;
        let parsed = self.registry.parse(body.command, &json);
        let command = parsed.map_err(|error| StepError::Command(error_chain(&error)))?;
        let metadata = event.metadata().map_err(|error| StepError::Command(error_chain(&error)))?;
        let delivery = Delivery {
            command,
            reaction: self.reaction.id(),
            version: self.reaction.version(),
            on: event.aggregate.clone(),
            event: event.event_id,
            position,
            noted: Some(ReactionEvent::Replayed { on: event.aggregate, step, why: why.to_owned() }),
            refused: None,
        };
        let mut by = Context::by(self.reaction.actor())
            .on_behalf_of(context.actor().clone())
            .causation(event.event_id.to_string());
        if let Some(correlation) = metadata.correlation {
            by = by.correlation(correlation);
        }
        let by = by.reaction_step(id, metadata.depth.saturating_add(1));
        match self.engine.execute(Box::new(delivery), &by).await {
            Err(ExecuteError::CommandIdReused(_)) => Err(StepError::Done(step)),
            Err(error) => Err(error.into()),
            Ok(receipt) if receipt.repeated => Err(StepError::Done(step)),
            Ok(receipt) => Ok(Replay { refused: self.without_effect(id).await?.is_some(), receipt }),
        }
    }

    /// What the log says of a step that was refused or skipped under this id, or whose replay was.
    async fn without_effect(&self, id: Uuid) -> Result<Option<WithoutEffect>, StepError> {
        let Some(known) = self.store.find_commands(&[id]).await?.pop().flatten() else { return Ok(None) };
        let Receipt { first_position, events, .. } = known.receipt;
        let positions: Vec<u64> = (0..events.min(MAX_EVENTS)).map(|n| first_position.saturating_add(n)).collect();
        let record = self.reaction.actor();
        let (mut step, mut found) = (id, None);
        for event in self.store.read_at(&positions).await? {
            if event.command_id != id || event.aggregate != record {
                continue;
            }
            match ReactionEvent::from_stored(&event).map_err(|error| StepError::Command(error_chain(&error)))? {
                ReactionEvent::Refused { position, .. } | ReactionEvent::Skipped { position, .. } => {
                    found = Some(position)
                }
                ReactionEvent::Replayed { step: first, .. } => step = first,
                ReactionEvent::Started { .. } | ReactionEvent::ChangedNothing { .. } => {}
            }
        }
        Ok(found.map(|position| WithoutEffect { step, position }))
    }

    /// The command id of the next replay of a step.
    async fn next_replay(&self, step: Uuid) -> Result<Uuid, StepError> {
        for number in 0..MAX_REPLAYS {
            let id = replay_id(step, number);
            if self.store.find_commands(&[id]).await?.pop().flatten().is_none() {
                return Ok(id);
            }
            if self.without_effect(id).await?.is_none() {
                return Err(StepError::Done(step));
            }
        }
        Err(StepError::Command(format!("it was replayed {MAX_REPLAYS} times")))
    }

    /// What the reaction says today of a step.
    async fn body(&self, step: Uuid, event: &Stored) -> Result<Option<Body>, StepError> {
        let reaction = &self.reaction;
        let state = self.engine.repository().load_at(reaction.on(), &event.aggregate, event.position).await?;
        let reacted = catch_unwind(AssertUnwindSafe(|| reaction.react(event, &state)));
        let then = match reacted {
            Ok(Ok(then)) => then,
            Ok(Err(error)) => return Err(StepError::Command(error_chain(&error))),
            Err(panic) => return Err(StepError::Command(format!("it panicked: {}", panic_message(&*panic)))),
        };
        let step =
            (0..).zip(then.steps).find(|(number, _)| step_id(reaction.name(), event.event_id, *number) == step);
        Ok(match step {
            Some((_, Step::Execute(body) | Step::Arm { body, .. })) => Some(body),
            Some((_, Step::Cancel { .. })) | None => None,
        })
    }
}
