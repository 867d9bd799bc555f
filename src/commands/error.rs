//! Why a command was not executed.

use std::sync::Arc;

use uuid::Uuid;

use super::scope::OutcomeError;
use crate::BoxError;
use crate::aggregates::LoadError;
use crate::events::{InvalidRef, ReadBackError, Ref};
use crate::store::StoreError;
use crate::text::name_list;

/// What comes of a command that did not end with a receipt. `E` is the command's own error.
///
/// Unless it is [`ExecuteError::OutcomeUnknown`], nothing happened.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<E> {
    /// The handler refused it.
    #[error(transparent)]
    Refused(E),
    /// The authoriser did not let it in. Nothing was loaded.
    #[error("denied: {reason}")]
    Denied {
        /// Why.
        reason: String,
    },
    /// An actor, an aggregate or another reference in it cannot be stored.
    #[error(transparent)]
    Reference(#[from] InvalidRef),
    /// It names one aggregate twice.
    #[error("the command names {0} twice: it can be decided on an aggregate only once")]
    SameAggregateTwice(Ref),
    /// Its id was used before, with another command or another body, or by another actor.
    #[error(
        "command id {0} was used before with another command or body, or by another actor: give each command an id of its own"
    )]
    CommandIdReused(Uuid),
    /// The id is of the range that is kept for the crate's own records. Nothing was loaded.
    #[error("command id {0} is of the range that annals keeps for its own records: give a UUID of version 4 or 7")]
    CommandIdReserved(Uuid),
    /// A projection executed it: a projection records what happened and decides nothing.
    #[error(
        "the command `{0}` was executed by a projection, which only records: execute commands outside of projections"
    )]
    InProjection(&'static str),
    /// Other writers were faster every time.
    #[error("the command was decided {attempts} times, and another writer was faster every time: try again")]
    Conflict {
        /// How often it was decided.
        attempts: u32,
    },
    /// It may or may not have been executed: execute it again under the same id to hear which.
    #[error("it is not known whether command {command_id} was executed: execute it again with this command id")]
    OutcomeUnknown {
        /// The id to use again.
        command_id: Uuid,
        /// What the store says.
        source: Arc<StoreError>,
    },
    /// The program shut down before it was executed.
    #[error("the command was not executed: the store is being closed")]
    NotExecuted,
    /// The handler, or `apply`, panicked.
    #[error("the command `{0}` panicked while it was decided; nothing was written")]
    Panicked(&'static str),
    /// An aggregate that it names could not be loaded.
    #[error("an aggregate could not be loaded")]
    Load(#[source] BoxError),
    /// The handler answered with something that cannot be stored.
    #[error("what the command decided cannot be stored")]
    Unstorable(#[source] BoxError),
    /// An event that it decided could not be read back from the log. Nothing was written.
    #[error("a `{event_type}` cannot be written, because it could not be read back")]
    ReadBack {
        /// The event's type.
        event_type: &'static str,
        /// What is wrong with it.
        source: ReadBackError,
    },
    /// The application does not list the command. Nothing was loaded.
    #[error(
        "the command `{command}` ({rust_type}) is not registered: add `.command::<{rust_type}>()` to the App before it \
         is opened"
    )]
    Unregistered {
        /// The command's name.
        command: &'static str,
        /// Its type in Rust.
        rust_type: &'static str,
    },
    /// The command cannot be written as JSON.
    #[error("the command cannot be written as JSON")]
    Body(#[source] serde_json::Error),
    /// The store could not do it. Nothing was written.
    #[error("the store could not append")]
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

/// A command's own error with its type forgotten, as where commands of many types are executed.
#[derive(Debug)]
pub struct Refusal(pub(crate) BoxError);

impl Refusal {
    /// The error as the type that it is, if it is an `E`.
    #[must_use]
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl ExecuteError<Refusal> {
    /// The same with the refusal as the command's own type.
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
            // What a command names, its events name.
            OutcomeError::Target { source, .. } => Self::Reference(source),
            OutcomeError::ReadBack { event_type, source } => Self::ReadBack { event_type, source },
            other => Self::Unstorable(Box::new(other)),
        }
    }
}

/// Why a name and a JSON text are not a command.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// No command has this name.
    #[error("there is no command `{name}`; the application has: {}", name_list(.known))]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// The text is no JSON, or not of the command's shape.
    #[error("the body of `{command}` is not right: {source}; see its schema with `commands {command}`")]
    Body {
        /// The command.
        command: &'static str,
        /// What serde says.
        source: serde_json::Error,
    },
    /// The body has a field that the command does not.
    #[error("`{command}` has no field `{field}`; it has: {}", name_list(.known))]
    UnknownField {
        /// The command.
        command: &'static str,
        /// The field.
        field: String,
        /// The fields it has.
        known: Vec<String>,
    },
}
