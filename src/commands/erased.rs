//! Commands behind a pointer: the engine is compiled once, whatever commands an application has.

use std::any::TypeId;

use futures::future::{BoxFuture, FutureExt};
use sha2::{Digest, Sha256};

use super::scope::{Change, Members, OutcomeError};
use super::{Command, Context, Handle, Scope, canonical};
use crate::BoxError;
use crate::aggregates::Kind;
use crate::events::{Metadata, Ref};

/// Why a command was not decided.
pub(crate) enum Undecided {
    /// Its handler refused it: a `Command::Error` in a box.
    Refused(BoxError),
    /// Its handler answered with something that cannot be stored.
    Broken(OutcomeError),
}

/// A command whose type the engine cannot name.
pub(crate) trait AnyCommand: Send + Sync {
    fn name(&self) -> &'static str;
    /// Its type in Rust, and what that is called.
    fn rust_type(&self) -> (TypeId, &'static str);
    /// SHA-256 of name and body in its canonical form, and of who gives it for whom: what its id stands for.
    fn digest(&self, context: &Context) -> Result<[u8; 32], serde_json::Error>;
    fn members(&self) -> Vec<(Kind, Ref)>;
    fn prepare<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<(), BoxError>>;
    fn decide(&self, states: &Members, context: &Context) -> Result<Vec<Change>, Undecided>;
}

impl<C: Handle> AnyCommand for C {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn rust_type(&self) -> (TypeId, &'static str) {
        (TypeId::of::<C>(), std::any::type_name::<C>())
    }

    fn digest(&self, context: &Context) -> Result<[u8; 32], serde_json::Error> {
        let Metadata { actor, on_behalf_of, .. } = context.metadata();
        let mut hash = Sha256::new();
        // None of them holds a NUL.
        for part in [C::NAME, actor.as_str(), on_behalf_of.as_ref().map_or("", Ref::as_str)] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(canonical::of::<C>(serde_json::to_string(self)?));
        Ok(hash.finalize().into())
    }

    fn members(&self) -> Vec<(Kind, Ref)> {
        C::Scope::members(self.ids())
    }

    fn prepare<'a>(&'a mut self, context: &'a Context) -> BoxFuture<'a, Result<(), BoxError>> {
        async move { Handle::prepare(self, context).await.map_err(|error| Box::new(error) as BoxError) }.boxed()
    }

    fn decide(&self, states: &Members, context: &Context) -> Result<Vec<Change>, Undecided> {
        let shape = OutcomeError::Shape { given: 0, wanted: states.0.len() };
        let view = <C::Scope as Scope>::view(states).ok_or(Undecided::Broken(shape))?;
        let events = self.handle(view, context).map_err(|error| Undecided::Refused(Box::new(error)))?;
        <C::Scope as Scope>::outcome(states, events).map_err(Undecided::Broken)
    }
}

/// A command with its context, whatever its type: what [`Annals::execute_all`](crate::app::Annals::execute_all) takes.
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
