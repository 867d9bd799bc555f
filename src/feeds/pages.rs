//! [`Pages`]: the next messages of a feed.

use std::sync::Arc;

use super::sink::Message;
use crate::events::{LogPosition, Types};
use crate::projections::audit::{AuditError, AuditQuery};
use crate::projections::export::{ExportError, cloud_events};
use crate::projections::presenter::Presenter;
use crate::projections::{ReadError, Reading};
use crate::store::{Store, StoreError};

/// The most events of a page; about a megabyte of text ends one too.
const ROWS: u64 = 256;

/// What reads the events that a feed sends.
#[derive(Clone)]
pub(super) struct Pages {
    pub(super) query: AuditQuery,
    pub(super) audit: Reading,
    pub(super) store: Arc<dyn Store>,
    pub(super) types: Arc<Types>,
    pub(super) presenter: Option<Presenter>,
    /// The `source` of CloudEvents.
    pub(super) source: String,
}

/// The next messages, with the position up to which nothing else matches.
pub(super) struct NextMessages {
    pub(super) messages: Vec<Message>,
    pub(super) to: LogPosition,
}

/// Why a page cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// The log is another one than that of the checkpoint.
    #[error("the log no longer holds event {0}, up to which the feed has sent: was an older backup restored?")]
    Diverged(u64),
    #[error(transparent)]
    Read(#[from] AuditError),
    #[error(transparent)]
    Write(#[from] ExportError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Pages {
    /// The messages after this event. `last_sent` is the position of the message before them.
    pub(super) async fn after(&self, at: LogPosition, last_sent: u64) -> Result<NextMessages, PageError> {
        let page = match self.query.clone().since(at).limit(ROWS).page().await {
            Ok(page) => page,
            Err(error) => return Err(self.explain(at, error.into()).await),
        };
        // After it was read, so that it follows this event.
        if !self.holds(at).await? {
            return Err(PageError::Diverged(at.position));
        }
        let presenter = self.presenter.as_ref();
        let bodies = match cloud_events(&self.store, &self.types, presenter, &self.source, &page).await {
            Ok(bodies) => bodies,
            Err(error) => return Err(self.explain(at, error.into()).await),
        };
        let mut previous = last_sent;
        let rows = page.rows.into_iter().zip(bodies).map(|(row, body)| Message {
            position: row.position,
            previous: std::mem::replace(&mut previous, row.position),
            event_id: row.event_id,
            event_type: row.event_type,
            aggregate: row.aggregate,
            body,
        });
        let messages = rows.collect();
        let to = page.next.map_or(page.head, |next| next.last());
        Ok(NextMessages { messages, to: if to.position < at.position { at } else { to } })
    }

    /// Says so if the cause is that the log is another one.
    async fn explain(&self, at: LogPosition, error: PageError) -> PageError {
        match self.holds(at).await {
            Ok(false) => PageError::Diverged(at.position),
            _ => error,
        }
    }

    /// Whether the log holds this event.
    pub(super) async fn holds(&self, at: LogPosition) -> Result<bool, StoreError> {
        if at.position == 0 {
            return Ok(true);
        }
        Ok(self.store.read_at(&[at.position]).await?.first().is_some_and(|stored| stored.head() == at))
    }

    /// The event at a position; the log's head if it has no such event yet.
    pub(super) async fn event_at(&self, position: u64) -> Result<LogPosition, StoreError> {
        match position {
            0 => Ok(LogPosition::default()),
            _ => match self.store.read_at(&[position]).await?.first() {
                Some(stored) => Ok(stored.head()),
                None => self.store.head().await,
            },
        }
    }
}

impl PageError {
    pub(super) fn is_closed(&self) -> bool {
        let store = match self {
            Self::Store(error) => Some(error),
            Self::Read(AuditError::Read(ReadError::Store(error))) => Some(error),
            _ => None,
        };
        matches!(store, Some(StoreError::Closed))
    }
}
