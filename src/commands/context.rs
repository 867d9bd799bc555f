//! [`Context`]: a command's actor, principal, command id, correlation and time.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{ExecuteError, internal_id};
use crate::events::{IntoRef, Metadata, Origin, Ref};
#[cfg(feature = "access")]
use crate::tokens::PresentedToken;

/// The circumstances of a command or a read: the actor, and optionally the principal, command id, correlation, causation,
/// origin and time. There is no context without an actor.
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
    /// Shared by all copies: each attempt at a command has one.
    metadata: Arc<Metadata>,
    /// The claims of the token that the actor was identified by. Not stored.
    claims: Option<Arc<Map<String, Value>>>,
    /// The access token that the actor was identified by, with its request. Not stored.
    #[cfg(feature = "access")]
    presented: Option<Arc<PresentedToken>>,
    command_id: Option<Uuid>,
    occurred_at: Option<Timestamp>,
    now: Timestamp,
    /// The grants that allowed a read, for the internal command that records it.
    grants: Arc<[Uuid]>,
    /// By which part of the crate the command is executed. Callers cannot set it.
    own: Own,
}

/// By which part of the crate a command is executed, if not by a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    Caller,
    /// It is one of the crate's internal commands.
    Internal,
    /// It is a command of the application that a reaction executes.
    Reaction,
    /// It is a command of the application that a message asks for: as from a caller, but with an id of the crate.
    #[cfg(feature = "feeds")]
    Intake,
}

impl Context {
    /// Creates a context with this actor: a [`Ref`] or an id.
    pub fn by(actor: impl IntoRef) -> Self {
        Self {
            metadata: Arc::new(Metadata {
                actor: actor.into_ref(),
                on_behalf_of: None,
                correlation: None,
                causation: None,
                origin: None,
                depth: 0,
                decided_on: None,
                salt: None,
            }),
            claims: None,
            #[cfg(feature = "access")]
            presented: None,
            command_id: None,
            occurred_at: None,
            now: Timestamp::now(),
            grants: Arc::default(),
            own: Own::Caller,
        }
    }

    /// Sets the principal on whose behalf the actor acts.
    #[must_use]
    pub fn on_behalf_of(mut self, principal: impl IntoRef) -> Self {
        self.metadata_mut().on_behalf_of = Some(principal.into_ref());
        self
    }

    /// Sets the correlation: the request, commit or import that the command belongs to.
    #[must_use]
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.metadata_mut().correlation = Some(correlation.into());
        self
    }

    /// Sets the causation: the command or event that led to this command.
    #[must_use]
    pub fn causation(mut self, causation: impl Into<String>) -> Self {
        self.metadata_mut().causation = Some(causation.into());
        self
    }

    /// Sets the origin: where the command came from.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.metadata_mut().origin = Some(origin);
        self
    }

    /// Sets the claims of the verified token that names the actor. Only the authoriser sees them; they are not stored.
    #[must_use]
    pub fn token_claims(mut self, claims: Map<String, Value>) -> Self {
        self.claims = Some(Arc::new(claims));
        self
    }

    /// Sets the access token that names the actor, together with its request. It restricts what the actor may do; it is not
    /// stored.
    #[cfg(all(feature = "access", feature = "http"))]
    #[must_use]
    pub(crate) fn access_token(mut self, presented: PresentedToken) -> Self {
        self.presented = Some(Arc::new(presented));
        self
    }

    /// Sets the command id, which makes the command idempotent: a repeated id has no second effect and returns the first
    /// receipt. So a caller that lost an answer retries with the same id. The id belongs to this command and actor; with
    /// another command or actor it is refused. Without one, every execution gets a new id. UUIDs of version 8 that begin with
    /// `616e6c73` are reserved for the crate's internal commands.
    #[must_use]
    pub fn command_id(mut self, id: Uuid) -> Self {
        self.command_id = Some(id);
        self
    }

    /// Sets the time at which it happened, if that is not now: for imports.
    #[must_use]
    pub fn occurred_at(mut self, time: Timestamp) -> Self {
        self.occurred_at = Some(time);
        self
    }

    /// The actor.
    #[must_use]
    pub fn actor(&self) -> &Ref {
        &self.metadata.actor
    }

    /// The actor, principal, correlation, causation and origin.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The command id. In a handler it is always set.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        self.command_id
    }

    /// The time of the command: [`occurred_at`](Self::occurred_at) if it is set, else the time of the first execution. It is
    /// the same on every retry.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.occurred_at.unwrap_or(self.now)
    }

    /// Returns the `n`th new id for things that this command creates. It is derived from the command id, so it is the same on
    /// every retry.
    #[must_use]
    pub fn new_id(&self, n: u64) -> Uuid {
        Uuid::new_v5(&self.command_id.unwrap_or_default(), &n.to_be_bytes())
    }

    pub(crate) fn claims(&self) -> Option<&Map<String, Value>> {
        self.claims.as_deref()
    }

    /// The access token that the actor was identified by, with its request.
    #[cfg(feature = "access")]
    pub(crate) fn presented_token(&self) -> Option<&Arc<PresentedToken>> {
        self.presented.as_ref()
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        Arc::make_mut(&mut self.metadata)
    }

    pub(crate) fn happened_at(&self) -> Option<Timestamp> {
        self.occurred_at
    }

    /// The context of an internal command about what this actor did.
    pub(crate) fn internal(&self, id: Uuid) -> Self {
        Self { command_id: Some(id), occurred_at: None, own: Own::Internal, ..self.clone() }
    }

    /// The context of a step of a reaction: the id of the step, and how many reactions have led to each other up to it.
    pub(crate) fn reaction_step(mut self, id: Uuid, depth: u32) -> Self {
        self.metadata_mut().depth = depth;
        Self { command_id: Some(id), own: Own::Reaction, ..self }
    }

    /// The context of the command of a message: with the id of the message.
    #[cfg(feature = "feeds")]
    pub(crate) fn intake_message(self, id: Uuid) -> Self {
        Self { command_id: Some(id), own: Own::Intake, ..self }
    }

    /// Checks that a command can be executed in this context.
    ///
    /// # Errors
    /// When the actor or principal is invalid or reserved, or the command id is reserved.
    pub(crate) fn check<E>(&self) -> Result<(), ExecuteError<E>> {
        let Metadata { actor, on_behalf_of, .. } = self.metadata();
        for party in std::iter::once(actor).chain(on_behalf_of) {
            match self.own {
                Own::Internal | Own::Reaction => party.check()?,
                _ => party.check_caller()?,
            }
        }
        match self.command_id {
            Some(id) if self.own == Own::Caller && internal_id::is_reserved(id) => {
                Err(ExecuteError::CommandIdReserved(id))
            }
            _ => Ok(()),
        }
    }

    /// The context of a read that these grants allowed.
    pub(crate) fn allowed_by(&self, grants: Vec<Uuid>) -> Self {
        Self { grants: grants.into(), ..self.clone() }
    }

    pub(crate) fn grants(&self) -> &[Uuid] {
        &self.grants
    }

    /// Whether the command is one of the crate's internal commands.
    pub(crate) fn is_internal(&self) -> bool {
        self.own == Own::Internal
    }

    /// Whether access control is not asked.
    pub(crate) fn has_own_right(&self) -> bool {
        matches!(self.own, Own::Internal | Own::Reaction)
    }

    /// The context as a handler sees it, with a command id and the time of execution.
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
