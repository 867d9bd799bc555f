//! One document, live: its current value, then each change. Each process that watches folds it in memory.

use std::panic::AssertUnwindSafe;

use futures::{Stream, stream};
use tokio::sync::watch;

use super::reads::parse;
use super::{DocumentView, EventSet, ViewKey};
use crate::events::{LogPosition, Stored};
use crate::projections::engine::page_size::PageSize;
use crate::projections::{ReadError, Reading};
use crate::store::{StoreError, project_at_once};
use crate::text::error_chain;

/// The most events that are read at a time, and about their bytes.
const PAGE: usize = 1_000;
const PAGE_BYTES: usize = 1 << 20;

/// A document, and the log position that it reflects.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched<V> {
    /// The document; `None` while there is none.
    pub document: Option<V>,
    /// The position of the event that changed it last.
    pub at: LogPosition,
}

struct Watching<V> {
    reading: Reading,
    key: String,
    document: Option<V>,
    /// The value that was returned last.
    returned: Option<String>,
    at: LogPosition,
    grown: watch::Receiver<LogPosition>,
    size: PageSize,
    page: std::vec::IntoIter<Stored>,
    /// The position up to which the buffered events cover the log.
    to: LogPosition,
}

/// The document as read at `at`, then after each event that changes it.
pub(super) fn watch<V: DocumentView>(
    reading: Reading,
    key: String,
    body: Option<String>,
    at: LogPosition,
) -> impl Stream<Item = Result<Watched<V>, ReadError>> + Send {
    let grown = reading.log().watch();
    let (size, page) = (PageSize::new(PAGE, PAGE_BYTES), Vec::new().into_iter());
    let watching = Watching { reading, key, document: None, returned: body, at, grown, size, page, to: at };
    stream::try_unfold((watching, true), |(mut watching, first)| async move {
        let next = if first { Some(watching.first()?) } else { watching.next().await? };
        Ok(next.map(|watched| (watched, (watching, false))))
    })
}

impl<V: DocumentView> Watching<V> {
    fn current(&self) -> Result<Watched<V>, ReadError> {
        let document = self.returned.as_deref().map(|body| parse(&self.reading, &self.key, body)).transpose()?;
        Ok(Watched { document, at: self.at })
    }

    fn first(&mut self) -> Result<Watched<V>, ReadError> {
        self.document = self.current()?.document;
        self.current()
    }

    /// The next change; `None` when the application closes.
    async fn next(&mut self) -> Result<Option<Watched<V>>, ReadError> {
        loop {
            while let Some(stored) = self.page.next() {
                if self.apply(&stored)? {
                    return self.current().map(Some);
                }
            }
            self.at = self.to;
            self.grown.borrow_and_update();
            let reading = self.reading.clone();
            let page = self.size.read(&**reading.log(), self.at.position, reading.interest()).await;
            let page = match page {
                Err(StoreError::Closed) => return Ok(None),
                page => page?,
            };
            if !reading.holds(self.at).await? {
                return Err(ReadError::Diverged(self.at));
            }
            self.size.adapt(&page.events);
            if page.to.position > self.at.position {
                (self.to, self.page) = (page.to, page.events.into_iter());
                continue;
            }
            tokio::select! {
                () = reading.closed() => return Ok(None),
                changed = self.grown.changed() => if changed.is_err() { return Ok(None) },
            }
        }
    }

    /// Folds an event; returns whether it changed the document.
    fn apply(&mut self, stored: &Stored) -> Result<bool, ReadError> {
        let name = self.reading.name();
        let invalid = |what: String| ReadError::Invalid(format!("`{name}` at event {}: {what}", stored.position));
        let decoded = V::Events::decode(stored).map_err(|error| invalid(error_chain(&error)))?;
        let Some(event) = decoded else { return Ok(false) };
        let document = &mut self.document;
        let key = &self.key;
        let fold = || {
            let found = V::Events::keys(&event).into_iter().find(|touched| touched.key_text() == *key);
            if let Some(touched) = &found {
                V::Events::apply(document, touched, &event);
            }
            found.is_some()
        };
        let folded = std::panic::catch_unwind(AssertUnwindSafe(|| project_at_once(fold)));
        if !folded.map_err(|_| invalid("the view panicked".to_owned()))? {
            return Ok(false);
        }
        self.at = stored.head();
        let now = self.document.as_ref().map(serde_json::to_string).transpose();
        let now = now.map_err(|error| invalid(error.to_string()))?;
        let changed = now != self.returned;
        self.returned = now;
        Ok(changed)
    }
}
