//! [`Step`]: what a stream brings next, and how it ends.

use std::sync::Arc;

use futures::stream::BoxStream;
use serde::Serialize;

use super::batch::Batch;
use crate::http::Problem;
use crate::projections::audit::Cursor;
use crate::projections::metrics::Metric;

/// Steps, up to and with the end.
pub(super) type Steps = BoxStream<'static, Step>;

/// What comes next.
pub(super) enum Step {
    /// Rows of the audit log.
    Rows(Rows),
    /// A metric as it is now.
    Metric(Arc<Metric>, Option<Cursor>),
    /// Nothing any more.
    End(Ending),
}

/// Some rows of a batch, each with the cursor behind it.
pub(super) struct Rows {
    pub batch: Arc<Batch>,
    pub chosen: Vec<(usize, Cursor)>,
}

impl Rows {
    /// Each row as JSON, with its cursor.
    pub(super) fn texts(&self) -> impl Iterator<Item = (Cursor, &str)> {
        self.chosen.iter().map(|(index, cursor)| (*cursor, self.batch.text(*index)))
    }
}

/// Why a stream ends, and where to go on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ending {
    pub reason: Reason,
    /// Goes on behind all that was seen; none: begin at the beginning.
    pub cursor: Option<Cursor>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reason {
    /// All that was asked for is there.
    Done,
    /// The server stops.
    Shutdown,
    /// The token has expired.
    Expired,
    /// What was there was not taken in time.
    Slow,
    /// Something went wrong.
    Failed,
}

impl Reason {
    /// The same to people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Done => "all that was asked for is there",
            Self::Shutdown => "the server stops: go on elsewhere, or later",
            Self::Expired => "the token has expired: go on from the cursor with a new one",
            Self::Slow => "what was there was not taken in time: go on from the cursor",
            Self::Failed => "something went wrong",
        }
    }
}

impl Ending {
    pub(super) fn new(reason: Reason, cursor: Option<Cursor>) -> Self {
        Self { reason, cursor, problem: None }
    }

    pub(super) fn failed(problem: Problem, cursor: Option<Cursor>) -> Self {
        Self { reason: Reason::Failed, cursor, problem: Some(problem) }
    }
}
