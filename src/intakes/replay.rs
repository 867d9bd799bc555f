//! Executes a dead letter after all, once the program can take it.

use super::error::IntakeError;
use super::executing::{Executor, Taken};
use super::identity::Identity;
use super::intake::{Readable, Unreadable};
use super::record::IntakeEvent;
use crate::commands::{Context, ExecuteError};
use crate::events::Event;
use crate::store::Store;

impl Executor {
    /// Executes the dead letter at a position. The command's actor is the message's; who replays it, and why, is an event in the same
    /// commit.
    pub(super) async fn replay(
        &self,
        store: &dyn Store,
        position: u64,
        why: &str,
        context: &Context,
    ) -> Result<Taken, IntakeError> {
        let none = || IntakeError::NoDeadLetter(position);
        let stored = store.read_at(&[position]).await?.pop().ok_or_else(none)?;
        if stored.aggregate != self.intake.reference() {
            return Err(none());
        }
        let Ok(IntakeEvent::DeadLettered { letter, .. }) = IntakeEvent::from_stored(&stored) else {
            return Err(none());
        };
        let message = letter.message().ok_or(IntakeError::NotWhole(position))?;
        let Readable { event, identity, envelope } = self
            .intake
            .read(&message)
            .map_err(|Unreadable { reason, .. }| IntakeError::Unreadable { position, reason })?;
        // The dead letter may have taken the id of the message; if not, a second one of the publisher must be a repeat.
        let identity =
            if identity.id == stored.command_id { Identity::of_replay(stored.event_id) } else { identity };
        let noted = IntakeEvent::Replayed {
            dead_letter: position,
            event: stored.event_id,
            by: context.actor().clone(),
            why: why.to_owned(),
        };
        match self.deliver(envelope, identity, (event.source(), event.id()), Some(noted)).await {
            Ok(receipt) if receipt.repeated => Err(IntakeError::Done(position)),
            Ok(receipt) => self.taken(store, receipt).await,
            Err(ExecuteError::CommandIdReused(_)) => {
                let reason = "another message of this publisher has the same source and id".to_owned();
                Err(IntakeError::Unreadable { position, reason })
            }
            Err(error) => Err(error.into()),
        }
    }
}
