//! [`Circumstances`]: who caused an event, and when.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::sync::LazyLock;

use jiff::Timestamp;
use uuid::Uuid;

use crate::events::{DecodeError, Metadata, Ref, Stored};
use crate::store::micros;

/// The circumstances of an event as [`Aggregate::apply_with`](super::Aggregate::apply_with) sees them: actor, principal, command
/// id and the time of the commit.
///
/// They are the same when the command is decided and when the event is read from the log, or the state in memory would differ from
/// the one after a restart. So there is no position and no `recorded_at` here: a decision does not know them.
pub struct Circumstances<'a> {
    source: Source<'a>,
    /// Whether the time was read: a commit then stores it.
    time_was_read: Cell<bool>,
    /// The metadata of a stored event that does not decode.
    undecodable: Cell<Option<DecodeError>>,
}

enum Source<'a> {
    Given {
        metadata: &'a Metadata,
        command_id: Uuid,
        time: Timestamp,
    },
    /// The metadata is decoded when it is first asked for: most aggregates never do.
    Stored {
        stored: &'a Stored,
        metadata: OnceCell<Box<Metadata>>,
    },
}

/// The metadata of events without circumstances, and of those whose metadata does not decode.
static UNKNOWN: LazyLock<Metadata> = LazyLock::new(|| Metadata {
    actor: Ref::unchecked("system", "unknown"),
    on_behalf_of: None,
    correlation: None,
    causation: None,
    origin: None,
    depth: 0,
    decided_on: None,
    salt: None,
});

impl<'a> Circumstances<'a> {
    /// Creates circumstances: for unit tests of an `apply_with`.
    #[must_use]
    pub fn new(metadata: &'a Metadata, command_id: Uuid, time: Timestamp) -> Self {
        Self::from_source(Source::Given { metadata, command_id, time })
    }

    /// The circumstances of events that a test gives without any: the actor is `system:unknown`, the time 1970.
    pub(crate) fn unknown() -> Circumstances<'static> {
        Circumstances::new(&UNKNOWN, Uuid::nil(), Timestamp::UNIX_EPOCH)
    }

    pub(crate) fn of_stored(stored: &'a Stored) -> Self {
        Self::from_source(Source::Stored { stored, metadata: OnceCell::new() })
    }

    fn from_source(source: Source<'a>) -> Self {
        Self { source, time_was_read: Cell::new(false), undecodable: Cell::new(None) }
    }

    /// The actor.
    pub fn actor(&self) -> &Ref {
        &self.metadata().actor
    }

    /// The principal on whose behalf the actor acted, if any.
    pub fn principal(&self) -> Option<&Ref> {
        self.metadata().on_behalf_of.as_ref()
    }

    /// The id of the command that caused the event.
    pub fn command_id(&self) -> Uuid {
        match &self.source {
            Source::Given { command_id, .. } => *command_id,
            Source::Stored { stored, .. } => stored.command_id,
        }
    }

    /// The time of the commit, in whole microseconds: [`Context::now`](crate::commands::Context::now) of its command, which is
    /// stored as the event's `occurred_at`.
    pub fn time(&self) -> Timestamp {
        self.time_was_read.set(true);
        match &self.source {
            Source::Given { time, .. } => micros(*time),
            Source::Stored { stored, .. } => stored.occurred_at,
        }
    }

    fn metadata(&self) -> &Metadata {
        match &self.source {
            Source::Given { metadata, .. } => metadata,
            Source::Stored { stored, metadata } => metadata.get_or_init(|| {
                Box::new(stored.metadata().unwrap_or_else(|error| {
                    self.undecodable.set(Some(error));
                    UNKNOWN.clone()
                }))
            }),
        }
    }

    pub(crate) fn time_was_read(&self) -> bool {
        self.time_was_read.get()
    }

    /// Ends the fold of a stored event.
    ///
    /// # Errors
    /// When `apply_with` asked for metadata that does not decode: the state is wrong.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        self.undecodable.take().map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Circumstances<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circumstances")
            .field("actor", self.actor())
            .field("principal", &self.principal())
            .field("command_id", &self.command_id())
            .finish_non_exhaustive()
    }
}
