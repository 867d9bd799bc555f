//! [`Context`]: who asks, for whom, why, and when.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::{ExecuteError, internal_id};
use crate::events::{Metadata, Origin, Ref};

/// Everything about a command that is not the command: above all, who gives it. There is none without an actor.
///
/// ```
/// use annals::prelude::*;
/// use uuid::Uuid;
/// let alice: Ref = "user:alice".parse()?;
/// let context = Context::by(alice).correlation("request-7").command_id(Uuid::new_v4());
/// assert_eq!(context.actor().id(), "alice");
/// # Ok::<(), annals::events::InvalidRef>(())
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    /// Shared by its copies: each attempt at a command has one.
    metadata: Arc<Metadata>,
    command_id: Option<Uuid>,
    occurred_at: Option<Timestamp>,
    now: Timestamp,
    /// Whether the crate itself gives the command, for the actor: nobody else can say so.
    internal: bool,
}

impl Context {
    /// A command given by `actor`.
    pub fn by(actor: impl Into<Ref>) -> Self {
        Self {
            metadata: Arc::new(Metadata {
                actor: actor.into(),
                on_behalf_of: None,
                correlation: None,
                causation: None,
                origin: None,
            }),
            command_id: None,
            occurred_at: None,
            now: Timestamp::now(),
            internal: false,
        }
    }

    /// For whom the actor acts.
    #[must_use]
    pub fn on_behalf_of(mut self, principal: impl Into<Ref>) -> Self {
        self.told().on_behalf_of = Some(principal.into());
        self
    }

    /// What the command belongs to: a request, a commit, an import.
    #[must_use]
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.told().correlation = Some(correlation.into());
        self
    }

    /// What led to the command: another command or event.
    #[must_use]
    pub fn causation(mut self, causation: impl Into<String>) -> Self {
        self.told().causation = Some(causation.into());
        self
    }

    /// Where the command came from.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.told().origin = Some(origin);
        self
    }

    /// The command's id. The same id again has no second effect, and gets the first receipt again; so a caller
    /// that lost an answer asks again with the id it used. It stands for this command by this actor: another's is
    /// refused. Without one, every execution gets an id of its own. Ids of version 8 that begin with `616e6c73` are kept for
    /// the crate's own records.
    #[must_use]
    pub fn command_id(mut self, id: Uuid) -> Self {
        self.command_id = Some(id);
        self
    }

    /// When it happened, where that is not now: for imports.
    #[must_use]
    pub fn occurred_at(mut self, time: Timestamp) -> Self {
        self.occurred_at = Some(time);
        self
    }

    /// Who gives the command.
    #[must_use]
    pub fn actor(&self) -> &Ref {
        &self.metadata.actor
    }

    /// Who, for whom, why, from where.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The command's id. In a handler it is always there.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        self.command_id
    }

    /// The time of the command: when it happened, if that was given, else when it was first executed. It stays the
    /// same when the command is decided again.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.occurred_at.unwrap_or(self.now)
    }

    /// The `n`th new id that this command may give out: made from the command's id, so equal on every retry.
    #[must_use]
    pub fn new_id(&self, n: u64) -> Uuid {
        Uuid::new_v5(&self.command_id.unwrap_or_default(), &n.to_be_bytes())
    }

    fn told(&mut self) -> &mut Metadata {
        Arc::make_mut(&mut self.metadata)
    }

    pub(crate) fn happened_at(&self) -> Option<Timestamp> {
        self.occurred_at
    }

    /// A command of the crate's own about what this actor did, in the same circumstances.
    pub(crate) fn internal(&self, id: Uuid) -> Self {
        Self { command_id: Some(id), occurred_at: None, internal: true, ..self.clone() }
    }

    /// An error if no command can be executed in this context: an actor or principal that cannot be stored or is the
    /// crate's own, or an id that is kept for the crate's own records.
    pub(crate) fn check<E>(&self) -> Result<(), ExecuteError<E>> {
        let Metadata { actor, on_behalf_of, .. } = self.metadata();
        for party in std::iter::once(actor).chain(on_behalf_of) {
            match self.internal {
                true => party.check()?,
                false => party.check_caller()?,
            }
        }
        match self.command_id {
            Some(id) if !self.internal && internal_id::is_reserved(id) => Err(ExecuteError::CommandIdReserved(id)),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_internal(&self) -> bool {
        self.internal
    }

    /// The context as a handler sees it: with an id and with the time of its execution.
    pub(crate) fn resolved(&self, fresh: impl FnOnce() -> Uuid, now: Timestamp) -> Self {
        let mut context = self.clone();
        context.command_id = Some(context.command_id.unwrap_or_else(fresh));
        context.now = now;
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_equal_on_retry_and_differ_by_number_and_command() {
        let context = Context::by(Ref::new("user", "a").unwrap());
        let (one, two) = (context.clone().command_id(Uuid::from_u128(1)), context.command_id(Uuid::from_u128(2)));
        assert_eq!(one.new_id(0), one.clone().new_id(0));
        assert_ne!(one.new_id(0), one.new_id(1));
        assert_ne!(one.new_id(0), two.new_id(0));
    }
}
