//! [`RebuildError`]: why a rebuild ended early.

use crate::events::LogPosition;
use crate::projections::ProjectionError;
use crate::projections::engine::progress::Progress;
use crate::projections::engine::read_error::ReadError;
use crate::store::StoreError;

/// An error that ended a rebuild. The live version is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is no such projection.
    #[error(transparent)]
    Unknown(ReadError),
    /// A rebuild of the projection is already running.
    #[error("a rebuild of `{name}` is already running{}: wait for it, or cancel it", so_far(*.elsewhere, *.progress))]
    Running {
        /// The projection's name.
        name: String,
        /// Whether it runs in another process.
        elsewhere: bool,
        /// Its progress, if published.
        progress: Option<Progress>,
    },
    /// The live version has dead letters, which the rebuild would either miss or fail on.
    #[error(
        "{events} event{} skipped in `{name}`: replay them (`projections replay {name}`), or skip them again \
         (`projections rebuild {name} --keep-skips`)", if *.events == 1 { " is" } else { "s are" }
    )]
    Skips {
        /// The projection's name.
        name: String,
        /// The number of dead letters.
        events: usize,
    },
    /// The projection has no keys, so parts of it cannot be rebuilt.
    #[error("the projection `{0}` has no keys: rebuild it as a whole")]
    NoKeys(String),
    /// There is nothing to rebuild.
    #[error("nothing of `{name}` was rebuilt: {what}")]
    Nothing {
        /// The projection's name.
        name: String,
        /// The selection in words.
        what: String,
    },
    /// The projection fails on an event.
    #[error("the rebuild of `{name}` failed at event {position}; the live version is unchanged")]
    Event {
        /// The projection's name.
        name: String,
        /// The event's position.
        position: u64,
        /// The projection's error.
        source: ProjectionError,
    },
    /// The projection or the database failed.
    #[error("the rebuild of `{name}` failed; the live version is unchanged")]
    Failed {
        /// The projection's name.
        name: String,
        /// The cause.
        source: ProjectionError,
    },
    /// The log was replaced during the rebuild.
    #[error(
        "the log no longer holds event {} at position {}: start the rebuild of `{name}` again",
        .head.event_id, .head.position
    )]
    Diverged {
        /// The projection's name.
        name: String,
        /// The event that the log held before.
        head: LogPosition,
    },
    /// Another process took over the rebuild and its tables.
    #[error("another process took over the rebuild of `{0}`: wait for it, or stop that process and start again")]
    Elsewhere(String),
    /// The rebuild was cancelled, or the application closed. The next rebuild continues it.
    #[error("the rebuild of `{0}` was cancelled: start it again to continue")]
    Cancelled(String),
}

fn so_far(elsewhere: bool, progress: Option<Progress>) -> String {
    let by = if elsewhere { " in another process" } else { "" };
    match progress {
        Some(Progress { position, head, .. }) if head > 0 => format!("{by}, at event {position} of {head}"),
        _ => by.to_owned(),
    }
}

/// What a rebuild does with dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SkipPolicy {
    /// Fails while there are any.
    #[default]
    Refuse,
    /// Skips the events again.
    Keep,
    /// Applies the events: the cause of the failure may be fixed.
    Replay,
}

/// Another process continued with the same tables.
#[derive(Debug, thiserror::Error)]
#[error("another process continued this rebuild")]
pub(super) struct Fenced;

impl RebuildError {
    /// An error of the projection or the database, unless it only says that the rebuild ended.
    pub(super) fn failed(name: &str, error: impl Into<ProjectionError>) -> Self {
        match error.into() {
            ProjectionError::Store(StoreError::Closed) => Self::Cancelled(name.to_owned()),
            ProjectionError::Other(error) if error.is::<Fenced>() => Self::Elsewhere(name.to_owned()),
            source => Self::Failed { name: name.to_owned(), source },
        }
    }

    /// Whether the tables made so far are useless: after a failure of the projection the fixed code must build all
    /// rows.
    pub(super) fn spoils(&self) -> bool {
        match self {
            Self::Event { .. } | Self::Diverged { .. } => true,
            Self::Failed { source, .. } => !matches!(source, ProjectionError::Store(_)),
            _ => false,
        }
    }
}
