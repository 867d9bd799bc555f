//! Commands with their type erased: the engine is compiled once, not once for each command of an application.

use std::any::TypeId;

use futures::future::{BoxFuture, FutureExt};
use sha2::{Digest, Sha256};

use super::member::Member;
use super::scope::OutcomeError;
use super::{Command, Context, Handle, PrepareContext, Scope, Services, canonical, personal_body};
use crate::BoxError;
use crate::aggregates::AggregateType;
use crate::events::{Metadata, Ref};

/// Why a command has no decision.
pub(crate) enum Undecided {
    /// The handler refused the command: a boxed `Command::Error`.
    Refused(BoxError),
    /// The handler returned something that cannot be stored.
    Invalid(OutcomeError),
}

/// A command of any type.
pub(crate) trait AnyCommand: Send + Sync {
    fn name(&self) -> &'static str;
    fn version(&self) -> u32;
    /// The command's Rust type and its name.
    fn rust_type(&self) -> (TypeId, &'static str);
    /// SHA-256 of the command's name, actor, principal and canonical body: the content that its command id identifies. A personal
    /// field counts as its HMAC under the key of its subject, or not at all if that key is not at hand.
    fn digest(&self, context: &Context) -> Result<[u8; 32], serde_json::Error>;
    /// The subjects of its personal fields, each once.
    fn subjects(&self) -> Vec<Ref>;
    /// Whether it has personal fields: then its refusals are not recorded with their reasons, which may repeat the values.
    fn is_personal(&self) -> bool;
    /// The name of its error type.
    fn error_type(&self) -> &'static str;
    /// The aggregates in the command's scope.
    fn aggregates(&self) -> Vec<(AggregateType, Ref)>;
    /// The aggregates about which access control is asked.
    fn asked_about(&self) -> Vec<Ref> {
        self.aggregates().into_iter().map(|(_, aggregate)| aggregate).collect()
    }
    fn prepare<'a>(
        &'a mut self,
        context: &'a Context,
        services: &'a Services,
    ) -> BoxFuture<'a, Result<(), BoxError>>;
    /// Runs the handler, and stores the events that it returns in the members.
    fn decide(&self, members: &mut [Member], context: &Context) -> Result<(), Undecided>;
}

impl<C: Handle> AnyCommand for C {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn version(&self) -> u32 {
        C::VERSION
    }

    fn rust_type(&self) -> (TypeId, &'static str) {
        (TypeId::of::<C>(), std::any::type_name::<C>())
    }

    fn digest(&self, context: &Context) -> Result<[u8; 32], serde_json::Error> {
        let Metadata { actor, on_behalf_of, .. } = context.metadata();
        let mut hash = Sha256::new();
        // None of the parts contains a NUL.
        for part in [C::NAME, actor.as_str(), on_behalf_of.as_ref().map_or("", Ref::as_str)] {
            hash.update(part);
            hash.update([0]);
        }
        let body = canonical::canonical_body::<C>(serde_json::to_string(self)?);
        hash.update(match C::personal_fields() {
            [] => body,
            fields => personal_body::without_values(C::NAME, &body, fields, &self.personal_subjects()),
        });
        Ok(hash.finalize().into())
    }

    fn subjects(&self) -> Vec<Ref> {
        let mut subjects: Vec<Ref> = self.personal_subjects().into_iter().flatten().collect();
        subjects.sort_unstable();
        subjects.dedup();
        subjects
    }

    fn is_personal(&self) -> bool {
        !C::personal_fields().is_empty()
    }

    fn error_type(&self) -> &'static str {
        let name = std::any::type_name::<C::Error>();
        name.rsplit("::").next().unwrap_or(name)
    }

    fn aggregates(&self) -> Vec<(AggregateType, Ref)> {
        C::Scope::aggregates(self.ids())
    }

    fn prepare<'a>(
        &'a mut self,
        context: &'a Context,
        services: &'a Services,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        async move {
            let context = PrepareContext::<C>::new(context, services);
            Handle::prepare(self, &context).await.map_err(|error| Box::new(error) as BoxError)
        }
        .boxed()
    }

    fn decide(&self, members: &mut [Member], context: &Context) -> Result<(), Undecided> {
        let shape = OutcomeError::Shape { given: 0, wanted: members.len() };
        let view = <C::Scope as Scope>::view(members).ok_or(Undecided::Invalid(shape))?;
        let events = self.handle(view, context).map_err(|error| Undecided::Refused(Box::new(error)))?;
        <C::Scope as Scope>::decide(members, events, context).map_err(Undecided::Invalid)
    }
}

/// A command of any type with its context, for [`Annals::execute_all`](crate::app::Annals::execute_all).
pub struct Envelope {
    pub(crate) command: Box<dyn AnyCommand>,
    pub(crate) context: Context,
}

impl Envelope {
    /// Puts a command and its context together.
    pub fn new<C: Command + Handle>(command: C, context: Context) -> Self {
        Self { command: Box::new(command), context }
    }

    /// The command's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.command.name()
    }

    /// The command's context.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Envelope").field("command", &self.name()).field("context", &self.context).finish()
    }
}
