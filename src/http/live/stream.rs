//! [`LiveStream`]: the items of a stream, and why it ends.

use std::sync::Arc;

use axum::http::StatusCode;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde::Serialize;

use super::row_batch::RowBatch;
use crate::http::Problem;
use crate::projections::audit::Cursor;
use crate::projections::metrics::Metric;

/// A stream of items. The last one is [`LiveItem::End`].
pub(super) type LiveStream = BoxStream<'static, LiveItem>;

/// The source of a stream's items.
pub(super) trait Subscription: Sized + Send + 'static {
    /// The next item. It is not called after [`LiveItem::End`].
    fn next(&mut self) -> impl Future<Output = LiveItem> + Send;

    /// The items, up to the end.
    fn items(self) -> LiveStream {
        stream::unfold(Some(self), |subscription| async {
            let mut subscription = subscription?;
            match subscription.next().await {
                item @ LiveItem::End(_) => Some((item, None)),
                item => Some((item, Some(subscription))),
            }
        })
        .boxed()
    }
}

/// An item of a stream.
pub(super) enum LiveItem {
    /// Rows of the audit log.
    Rows(Rows),
    /// The current value of a metric.
    Metric(Arc<Metric>, Option<Cursor>),
    /// The end.
    End(StreamEnd),
}

/// Selected rows of a batch, each by its index, with the cursor after it.
pub(super) struct Rows {
    pub batch: Arc<RowBatch>,
    pub selected: Vec<(usize, Cursor)>,
}

impl Rows {
    /// Each row as JSON, with the cursor after it.
    pub(super) fn json(&self) -> impl Iterator<Item = (Cursor, &str)> {
        self.selected.iter().map(|(index, cursor)| (*cursor, self.batch.json(*index)))
    }
}

/// Why a stream ends, and the cursor to resume from.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StreamEnd {
    pub reason: EndReason,
    /// Resumes after everything that was sent. None: resume without a cursor.
    pub cursor: Option<Cursor>,
    /// The problem, if the reason is `denied` or `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EndReason {
    /// Everything that was asked for has been sent.
    Done,
    /// The server stops.
    Shutdown,
    /// The token has expired.
    Expired,
    /// The key that the token is signed with was withdrawn.
    Revoked,
    /// Access control denies it, or does not allow it any more.
    Denied,
    /// The client reads too slowly.
    Slow,
    /// An error.
    Failed,
}

impl EndReason {
    /// The reason for people.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Done => "complete: everything that was asked for has been sent",
            Self::Shutdown => "the server stops: reconnect and resume from the cursor",
            Self::Expired => "the token has expired: resume from the cursor with a new one",
            Self::Revoked => "the key of the token was withdrawn: resume from the cursor with a new token",
            Self::Denied => "access was denied: see `problem`",
            Self::Slow => "the client reads too slowly: resume from the cursor",
            Self::Failed => "the stream failed: see `problem`",
        }
    }
}

impl StreamEnd {
    pub(super) fn new(reason: EndReason, cursor: Option<Cursor>) -> Self {
        Self { reason, cursor, problem: None }
    }

    /// The end of a stream that fails, or that may not be followed any longer.
    pub(super) fn failed(problem: Problem, cursor: Option<Cursor>) -> Self {
        let denied = problem.status() == StatusCode::FORBIDDEN;
        let reason = if denied { EndReason::Denied } else { EndReason::Failed };
        Self { reason, cursor, problem: Some(problem) }
    }
}
