//! [`Delivery`]: a message's command, decided together with the record of its intake.
//!
//! A refusal is an outcome too: it is an event of the record, under the command id of the message, committed with the states that it was
//! decided on. So a message that is delivered again stays refused.

use std::any::TypeId;

use futures::future::{BoxFuture, FutureExt};

use super::record::{IntakeEvent, IntakeId, IntakeRecord, shortened};
use crate::BoxError;
use crate::aggregates::AggregateType;
use crate::commands::{AnyCommand, Context, ExecuteError, Member, Refusal, Scope, Services, Undecided, unrecorded};
use crate::events::personal::{has_opened, take_erased};
use crate::events::{Id, Ref};
use crate::text::error_chain;

/// A message's command.
pub(super) struct Delivery {
    pub(super) command: Box<dyn AnyCommand>,
    pub(super) intake: IntakeId,
    /// The source and the id of the message.
    pub(super) source: String,
    pub(super) id: String,
    /// What the record says of it in any case.
    pub(super) noted: Option<IntakeEvent>,
    /// Why it is refused before it is decided.
    pub(super) refused: Option<String>,
}

impl Delivery {
    /// Decides the command on its own members. Returns why it is refused, if it is.
    fn decide_command(&self, members: &mut [Member], context: &Context) -> Result<Option<String>, Undecided> {
        if let Some(reason) = &self.refused {
            return Ok(Some(reason.clone()));
        }
        match self.command.decide(members, context) {
            Ok(()) => Ok(None),
            // The reason may repeat a value that the handler has opened.
            Err(Undecided::Refused(_)) if has_opened() => Ok(Some(unrecorded(&*self.command))),
            Err(Undecided::Refused(error)) => Ok(Some(error_chain(&*error))),
            Err(invalid) => match take_erased() {
                Some(subject) => {
                    members.iter_mut().for_each(Member::undo);
                    Ok(Some(ExecuteError::<Refusal>::Erased(subject).to_string()))
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
        aggregates.push((AggregateType::for_aggregate::<IntakeRecord>(), self.intake.reference()));
        aggregates
    }

    /// The record is the crate's own: rights on the command's aggregates suffice.
    fn asked_about(&self) -> Vec<Ref> {
        self.command.asked_about()
    }

    fn prepare<'a>(
        &'a mut self,
        context: &'a Context,
        services: &'a Services,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        async move {
            let prepared = self.command.prepare(context, services).await;
            self.refused = prepared.err().map(|error| error_chain(&*error));
            Ok(())
        }
        .boxed()
    }

    fn decide(&self, members: &mut [Member], context: &Context) -> Result<(), Undecided> {
        let Some((record, members)) = members.split_last_mut() else { return Ok(()) };
        let refused = self.decide_command(members, context)?.map(|reason| IntakeEvent::Refused {
            command: self.command.name().to_owned(),
            source: self.source.clone(),
            id: self.id.clone(),
            reason: shortened(&reason),
        });
        let events: Vec<_> = self.noted.iter().cloned().chain(refused).collect();
        if events.is_empty() {
            return Ok(());
        }
        let record = std::slice::from_mut(record);
        <IntakeRecord as Scope>::decide(record, events, context).map_err(Undecided::Invalid)
    }
}
