//! [`ExecuteError`]: why a command was not executed.

use std::sync::Arc;

use uuid::Uuid;

use super::scope::OutcomeError;
use crate::BoxError;
use crate::aggregates::LoadError;
use crate::events::personal::KeyError;
use crate::events::{InvalidRef, ReadBackError, Ref};
use crate::store::StoreError;
use crate::text::name_list;

/// An error when a command is executed. `E` is the command's own error type.
///
/// Nothing was written, unless it is [`ExecuteError::OutcomeUnknown`].
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<E> {
    /// The handler refused the command.
    #[error(transparent)]
    Refused(E),
    /// The authoriser denied the command. Nothing was loaded.
    #[error("denied: {reason}")]
    Denied {
        /// The authoriser's reason.
        reason: String,
    },
    /// An actor, an aggregate or another reference in the command cannot be stored.
    #[error(transparent)]
    Reference(#[from] InvalidRef),
    /// The command names one aggregate twice.
    #[error("the command names {0} twice: name each aggregate once")]
    SameAggregateTwice(Ref),
    /// The command id was used before with another command or body, or by another actor.
    #[error(
        "command id {0} was used before with another command or body, or by another actor: use a new id for each command"
    )]
    CommandIdReused(Uuid),
    /// The command id is reserved for internal commands. Nothing was loaded.
    #[error(
        "command id {0} is in the range that annals reserves for its own records: use a UUID of version 4 or 7"
    )]
    CommandIdReserved(Uuid),
    /// A projection tried to execute the command. Projections only read the log.
    #[error("a projection tried to execute the command `{0}`: execute commands outside of projections")]
    InProjection(&'static str),
    /// The command's `prepare` took too long. Nothing was written.
    #[error("the command `{command}` was not prepared within {limit:?}: try again")]
    PrepareTimedOut {
        /// The command's name.
        command: &'static str,
        /// The time limit.
        limit: std::time::Duration,
    },
    /// The command has new personal values of a subject that is erased. Nothing was written.
    #[error("{0} is erased: no new personal data of it is recorded")]
    Erased(Ref),
    /// A personal value cannot be sealed or opened. Nothing was written.
    #[error("the command's personal values cannot be sealed or opened")]
    Keys(#[source] Arc<KeyError>),
    /// Every attempt conflicted with another writer.
    #[error("all {attempts} attempts at the command conflicted with other writers: try again")]
    Conflict {
        /// The number of attempts.
        attempts: u32,
    },
    /// The command may or may not have been executed. Execute it again with the same id to find out.
    #[error("the outcome of command {command_id} is unknown: execute it again with this command id")]
    OutcomeUnknown {
        /// The id for the retry.
        command_id: Uuid,
        /// The store's error.
        source: Arc<StoreError>,
    },
    /// The store was closed before the command was executed.
    #[error("the command was not executed: the store is closed")]
    NotExecuted,
    /// `prepare`, the handler or `apply` panicked.
    #[error("the handler of the command `{0}` panicked; nothing was written")]
    Panicked(&'static str),
    /// An aggregate could not be loaded.
    #[error("an aggregate could not be loaded")]
    Load(#[source] BoxError),
    /// The handler returned events that cannot be stored.
    #[error("the command's events cannot be stored")]
    Unstorable(#[source] BoxError),
    /// An event would not read back from the log as it was written. Nothing was written.
    #[error("a `{event_type}` cannot be written, because it could not be read back")]
    ReadBack {
        /// The event type.
        event_type: &'static str,
        /// What differs.
        source: ReadBackError,
    },
    /// The command is not registered in the application. Nothing was loaded.
    #[error(
        "the command `{command}` ({rust_type}) is not registered: add `.command::<{rust_type}>()` to the App before it \
         is opened"
    )]
    Unregistered {
        /// The command's name.
        command: &'static str,
        /// The command's Rust type.
        rust_type: &'static str,
    },
    /// The command cannot be written as JSON.
    #[error("the command cannot be written as JSON")]
    Body(#[source] serde_json::Error),
    /// The store failed. Nothing was written.
    #[error("the store could not append the command's events")]
    Store(#[source] Arc<StoreError>),
}

impl<E> ExecuteError<E> {
    pub(crate) fn store(command_id: Uuid, error: Arc<StoreError>) -> Self {
        match &*error {
            StoreError::OutcomeUnknown(_) => Self::OutcomeUnknown { command_id, source: error },
            StoreError::Closed => Self::NotExecuted,
            _ => Self::Store(error),
        }
    }
}

/// A command's own error with its type erased, for callers that execute commands of many types.
pub struct Refusal(pub(crate) BoxError);

impl Refusal {
    /// Returns the error as an `E`, if it is one.
    #[must_use]
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl std::fmt::Debug for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.0, f)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl ExecuteError<Refusal> {
    /// Gives the refusal the command's own error type.
    pub(crate) fn typed<E: std::error::Error + 'static>(self) -> ExecuteError<E> {
        match self {
            Self::Refused(error) => match error.0.downcast::<E>() {
                Ok(error) => ExecuteError::Refused(*error),
                Err(other) => ExecuteError::Unstorable(other),
            },
            Self::Denied { reason } => ExecuteError::Denied { reason },
            Self::Reference(error) => ExecuteError::Reference(error),
            Self::SameAggregateTwice(aggregate) => ExecuteError::SameAggregateTwice(aggregate),
            Self::CommandIdReused(id) => ExecuteError::CommandIdReused(id),
            Self::CommandIdReserved(id) => ExecuteError::CommandIdReserved(id),
            Self::InProjection(command) => ExecuteError::InProjection(command),
            Self::PrepareTimedOut { command, limit } => ExecuteError::PrepareTimedOut { command, limit },
            Self::Erased(subject) => ExecuteError::Erased(subject),
            Self::Keys(error) => ExecuteError::Keys(error),
            Self::Conflict { attempts } => ExecuteError::Conflict { attempts },
            Self::OutcomeUnknown { command_id, source } => ExecuteError::OutcomeUnknown { command_id, source },
            Self::NotExecuted => ExecuteError::NotExecuted,
            Self::Panicked(name) => ExecuteError::Panicked(name),
            Self::Load(error) => ExecuteError::Load(error),
            Self::Unstorable(error) => ExecuteError::Unstorable(error),
            Self::ReadBack { event_type, source } => ExecuteError::ReadBack { event_type, source },
            Self::Unregistered { command, rust_type } => ExecuteError::Unregistered { command, rust_type },
            Self::Body(error) => ExecuteError::Body(error),
            Self::Store(error) => ExecuteError::Store(error),
        }
    }
}

impl<E> From<KeyError> for ExecuteError<E> {
    fn from(error: KeyError) -> Self {
        Self::Keys(Arc::new(error))
    }
}

impl<E> From<LoadError> for ExecuteError<E> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Id(error) => Self::Reference(error),
            LoadError::Store(StoreError::Closed) => Self::NotExecuted,
            other => Self::Load(Box::new(other)),
        }
    }
}

impl<E> From<OutcomeError> for ExecuteError<E> {
    fn from(error: OutcomeError) -> Self {
        match error {
            // The events name what the command names.
            OutcomeError::Target { source, .. } | OutcomeError::Source { source, .. } => Self::Reference(source),
            OutcomeError::ReadBack { event_type, source } => Self::ReadBack { event_type, source },
            other => Self::Unstorable(Box::new(other)),
        }
    }
}

/// An error when a command is parsed from its name and a JSON body.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// The application has no command with this name.
    #[error("there is no command `{name}`; the application has: {}", name_list(.known))]
    Unknown {
        /// The name.
        name: String,
        /// The names of the application's commands.
        known: Vec<&'static str>,
    },
    /// The body is not JSON, or does not match the command.
    #[error("invalid body of the command `{command}`: {source} (`commands {command}` prints its fields)")]
    Body {
        /// The command.
        command: &'static str,
        /// The error of serde.
        source: serde_json::Error,
    },
    /// The body has a field that the command does not have.
    #[error("the command `{command}` has no field `{field}`; it has: {}", name_list(.known))]
    UnknownField {
        /// The command.
        command: &'static str,
        /// The field.
        field: String,
        /// The command's fields.
        known: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_its_type_keeps_its_text_and_its_cause() {
        let refusal = Refusal(Box::new(StoreError::OutcomeUnknown("the connection was cut".into())));
        let cause = std::error::Error::source(&refusal).expect("the error's cause");
        assert_eq!(cause.to_string(), "the connection was cut");
        assert!(matches!(refusal.downcast_ref(), Some(StoreError::OutcomeUnknown(_))));
    }
}
