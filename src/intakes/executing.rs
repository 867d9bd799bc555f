//! Executes the command of a message, up to an outcome that is in the log.

use std::sync::Arc;

use serde::Serialize;

use super::commands::{OfMessage, RecordDeadLetter, RecordDenied};
use super::delivery::Delivery;
use super::error::IntakeError;
use super::identity::Identity;
use super::intake::{Intake, Readable, Unreadable};
use super::record::{DeadLetter, IntakeEvent, shortened};
use super::source::{IncomingMessage, Settle};
use crate::commands::{Command, Context, Engine, Envelope, ExecuteError, Handle, Refusal, TRY_AGAIN};
#[cfg(feature = "http")]
use crate::events::Origin;
use crate::store::{Receipt, Store, StoreError};
use crate::text::error_chain;

/// The type of the event of a refusal.
const REFUSED: &str = "annals_intake.refused";

/// Executes the commands of messages.
#[derive(Clone)]
pub(super) struct Executor {
    pub(super) engine: Arc<Engine>,
    pub(super) intake: Intake,
}

/// A message that was executed while its caller waits: over HTTP, or as a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Taken {
    /// Whether its command was refused. The event `annals_intake.refused` has the reason.
    pub refused: bool,
    /// The receipt of the command.
    pub receipt: Receipt,
}

/// An outcome that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Whether it was in the log already.
    pub(super) repeated: bool,
    pub(super) settle: Settle,
}

/// Why there is no outcome.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may succeed later.
    Passing(String),
    /// The application closes.
    Closed,
}

impl Executor {
    /// Executes the command of a message.
    pub(super) async fn execute(&self, message: &IncomingMessage) -> Result<Outcome, Failure> {
        let Readable { event, identity, envelope } = match self.intake.read(message) {
            Ok(readable) => readable,
            Err(Unreadable { reason, letter, identity }) => {
                return self.record_dead_letter(reason, *letter, identity).await;
            }
        };
        let name = envelope.name();
        let context = envelope.context().clone();
        let letter = || DeadLetter::new(Some(&event), message, self.intake.limit());
        let error = match self.deliver(envelope, identity, (event.source(), event.id()), None).await {
            Ok(receipt) => return Ok(acknowledged(&receipt)),
            Err(error) => error,
        };
        match error {
            ExecuteError::CommandIdReused(_) => {
                let reason = "another message of this publisher has the same source and id, with another content";
                let identity = Identity::of_content(self.intake.name(), message);
                self.record_dead_letter(reason.to_owned(), letter(), identity).await
            }
            ExecuteError::Denied { reason } if !reason.ends_with(TRY_AGAIN) => {
                let denied = RecordDenied {
                    intake: self.intake.id(),
                    command: name.to_owned(),
                    source: event.source().to_owned(),
                    id: event.id().to_owned(),
                    reason: shortened(&reason),
                };
                self.record(denied, identity, &context).await.map(|receipt| acknowledged(&receipt))
            }
            error => match failure(&error) {
                Some(failure) => Err(failure),
                None => {
                    let reason = format!("its command `{name}` failed: {}", error_chain(&error));
                    self.record_dead_letter(reason, letter(), identity).await
                }
            },
        }
    }

    /// Executes the command of a message while its caller waits for the outcome.
    #[cfg(feature = "http")]
    pub(super) async fn take(
        &self,
        store: &dyn Store,
        message: &IncomingMessage,
        origin: Option<Origin>,
    ) -> Result<Taken, IntakeError> {
        let read = self.intake.read(message);
        let Readable { event, identity, mut envelope } =
            read.map_err(|Unreadable { reason, .. }| IntakeError::Message(reason))?;
        if let Some(origin) = origin {
            envelope.context = envelope.context.origin(origin);
        }
        let receipt = self.deliver(envelope, identity, (event.source(), event.id()), None).await?;
        self.taken(store, receipt).await
    }

    pub(super) async fn taken(&self, store: &dyn Store, receipt: Receipt) -> Result<Taken, IntakeError> {
        let last = if receipt.events > 0 { store.read_at(&[receipt.head.position]).await? } else { Vec::new() };
        let record = self.intake.reference();
        let refused = last.iter().any(|event| event.aggregate == record && event.event_type == REFUSED);
        Ok(Taken { refused, receipt })
    }

    /// Executes a command under the identity of its message.
    pub(super) async fn deliver(
        &self,
        envelope: Envelope,
        identity: Identity,
        (source, id): (&str, &str),
        noted: Option<IntakeEvent>,
    ) -> Result<Receipt, ExecuteError<Refusal>> {
        let context = envelope.context().clone().intake_message(identity.id);
        let delivery = Delivery {
            command: envelope.command,
            intake: self.intake.id(),
            source: source.to_owned(),
            id: id.to_owned(),
            noted,
            refused: None,
        };
        let command = OfMessage { command: delivery, digest: identity.digest };
        self.engine.execute(Box::new(command), &context).await
    }

    async fn record_dead_letter(
        &self,
        reason: String,
        letter: DeadLetter,
        identity: Identity,
    ) -> Result<Outcome, Failure> {
        let settle = if letter.whole { Settle::Acknowledge } else { Settle::Reject };
        let recorded = RecordDeadLetter { intake: self.intake.id(), reason: shortened(&reason), letter };
        let receipt = self.record(recorded, identity, &Context::by(self.intake.reference())).await?;
        if !receipt.repeated {
            tracing::warn!(
                intake = self.intake.name(),
                reason,
                position = receipt.head.position,
                "a message is a dead letter"
            );
        }
        Ok(Outcome { repeated: receipt.repeated, settle })
    }

    /// Executes a command on the record under the identity of a message.
    async fn record<C: Command + Handle>(
        &self,
        command: C,
        identity: Identity,
        context: &Context,
    ) -> Result<Receipt, Failure> {
        let command = OfMessage { command, digest: identity.digest };
        let executed = self.engine.execute(Box::new(command), &context.internal(identity.id)).await;
        executed.map_err(|error| failure(&error).unwrap_or_else(|| Failure::Passing(error_chain(&error))))
    }
}

fn acknowledged(receipt: &Receipt) -> Outcome {
    Outcome { repeated: receipt.repeated, settle: Settle::Acknowledge }
}

/// Why a command has no outcome yet; `None` if it never has one.
fn failure(error: &ExecuteError<Refusal>) -> Option<Failure> {
    match error {
        ExecuteError::NotExecuted => Some(Failure::Closed),
        ExecuteError::Store(store) => match **store {
            StoreError::Closed => Some(Failure::Closed),
            StoreError::Rejected { .. } => None,
            _ => Some(Failure::Passing(error_chain(error))),
        },
        // Access control could not decide.
        ExecuteError::Denied { .. }
        | ExecuteError::Conflict { .. }
        | ExecuteError::OutcomeUnknown { .. }
        | ExecuteError::PrepareTimedOut { .. }
        | ExecuteError::Load(_) => Some(Failure::Passing(error_chain(error))),
        _ => None,
    }
}
