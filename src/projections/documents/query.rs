//! Queries for documents: one by its key, typed; any as plain JSON by the view's name.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use jiff::Timestamp;
use serde_json::Value;

use super::count::ViewCounts;
use super::document::{DocumentView, ViewKey};
use super::list::{Listing, ViewPage};
use super::reads::{Wait, parse, text};
use super::watched::{self, Watched};
use crate::events::LogPosition;
use crate::projections::engine::dead_letters;
use crate::projections::projection::DOCUMENTS;
use crate::projections::{ReadError, Reading, indexed_text};
use crate::store::{Clock, Row, ViewSnapshot};

/// A query for one document; await it.
#[must_use = "a query does nothing until it is awaited"]
pub struct ViewQuery<V: DocumentView> {
    reading: Result<Reading, ReadError>,
    key: String,
    wait: Wait,
    clock: Clock,
    view: PhantomData<fn() -> V>,
}

impl<V: DocumentView> ViewQuery<V> {
    /// A query for the document under `key`.
    pub fn new(reading: Result<Reading, ReadError>, key: &V::Key) -> Self {
        let (key, clock) = (key.key_text().into_owned(), Arc::new(Timestamp::now));
        Self { reading, key, wait: Wait::NONE, clock, view: PhantomData }
    }

    /// The clock that decides which moments have come: see [`at`](Self::at). It should be the store's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub(super) fn into_parts(self) -> (Result<Reading, ReadError>, String, Clock) {
        (self.reading, self.key, self.clock)
    }

    /// Waits until the view has processed the log up to here, for example to a receipt.
    pub fn after(mut self, place: impl Into<LogPosition>) -> Self {
        self.wait.after = Some(place.into());
        self
    }

    /// How long [`after`](Self::after) waits: ten seconds by default.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.wait.within = deadline;
        self
    }
}

impl<V: DocumentView> ViewQuery<V> {
    /// The document's current value, then each change, with the log position that each reflects. The reader folds
    /// events onto the stored document in memory, whichever process runs the projection. The stream ends when the
    /// application closes.
    ///
    /// # Errors
    /// When the view cannot be read, or events of this key were skipped: see
    /// [`Annals::skip`](crate::app::Annals::skip).
    pub async fn watch(
        self,
    ) -> Result<impl Stream<Item = Result<Watched<V>, ReadError>> + Send + use<V>, ReadError> {
        let Self { reading, key, wait, .. } = self;
        let reading = reading?;
        wait.over(&reading).await?;
        let mut snapshot = reading.snapshot().await?;
        if dead_letters::are_left_out(&key, &mut *snapshot).await? {
            return Err(ReadError::Invalid(format!(
                "events of the key `{key}` were skipped in `{name}`: replay them with `projections replay {name}`",
                name = reading.name()
            )));
        }
        let body = body(&mut *snapshot, &key).await?;
        let at = snapshot.head();
        drop(snapshot);
        Ok(watched::watch(reading, key, body, at))
    }
}

impl<V: DocumentView> IntoFuture for ViewQuery<V> {
    type Output = Result<Option<V>, ReadError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { reading, key, wait, .. } = self;
            let reading = reading?;
            wait.over(&reading).await?;
            match body(&mut *reading.snapshot().await?, &key).await? {
                Some(body) => parse(&reading, &key, &body).map(Some),
                None => Ok(None),
            }
        })
    }
}

impl<V: DocumentView> fmt::Debug for ViewQuery<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewQuery").field("reading", &self.reading).field("key", &self.key).finish_non_exhaustive()
    }
}

/// The documents of a view as plain JSON, by the view's name, as a command line shows them.
#[derive(Clone)]
pub struct JsonView {
    reading: Reading,
    wait: Wait,
    clock: Clock,
}

impl JsonView {
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    pub(super) fn given_clock(&self) -> &Clock {
        &self.clock
    }

    /// The documents of this projection.
    ///
    /// # Errors
    /// When the projection has no documents.
    pub fn new(reading: Reading) -> Result<Self, ReadError> {
        match reading.documents() {
            true => Ok(Self { reading, wait: Wait::NONE, clock: Arc::new(Timestamp::now) }),
            false => Err(ReadError::Invalid(format!(
                "`{}` is no document view: it has a way of its own to be read",
                reading.name()
            ))),
        }
    }

    /// The clock that decides which moments have come: see [`get_at`](Self::get_at). It should be the store's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Waits until the view has processed the log up to here, for example to a receipt.
    #[must_use]
    pub fn after(mut self, place: impl Into<LogPosition>) -> Self {
        self.wait.after = Some(place.into());
        self
    }

    /// How long [`after`](Self::after) waits: ten seconds by default.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.wait.within = deadline;
        self
    }

    /// The document under a key. A key that is an [`Id`](crate::events::Id) is the whole reference or the bare id.
    ///
    /// # Errors
    /// When the text is not a key of the view, or the view cannot be read: see [`ReadError`].
    pub async fn get(&self, key: &str) -> Result<Option<Value>, ReadError> {
        let key = self.reading.parse_key(key)?;
        self.wait.over(&self.reading).await?;
        match body(&mut *self.reading.snapshot().await?, &key).await? {
            Some(body) => {
                let mut document = parse(&self.reading, &key, &body)?;
                self.reading.types().open_json(&mut [&mut document]).await;
                Ok(Some(document))
            }
            None => Ok(None),
        }
    }

    /// At most `limit` documents (10,000 at most), after the key `from` if given.
    ///
    /// # Errors
    /// When the view cannot be read: see [`ReadError`].
    pub async fn page(&self, limit: usize, from: Option<&str>) -> Result<ViewPage<String, Value>, ReadError> {
        let from = from.map(|key| self.reading.parse_key(key)).transpose()?;
        self.read(&Listing::default().limit(limit), from.as_deref()).await
    }

    /// The documents of a listing.
    ///
    /// # Errors
    /// When the view cannot be read, or has no such field: see [`ReadError`].
    pub async fn list(&self, listing: &Listing) -> Result<ViewPage<String, Value>, ReadError> {
        self.read(listing, None).await
    }

    /// The number of documents of a listing, and with `by` the number with each value of that field.
    ///
    /// # Errors
    /// When the view cannot be read, or has no such field: see [`ReadError`].
    pub async fn count(&self, listing: &Listing, by: Option<&str>) -> Result<ViewCounts, ReadError> {
        self.wait.over(&self.reading).await?;
        listing.count(&self.reading, by).await
    }

    async fn read(&self, listing: &Listing, from: Option<&str>) -> Result<ViewPage<String, Value>, ReadError> {
        self.wait.over(&self.reading).await?;
        let ViewPage { documents, at, more, next } = listing.page(&self.reading, from).await?;
        let parsed = documents.into_iter().map(|(key, body)| {
            let document = parse(&self.reading, &key, &body)?;
            Ok((self.reading.write_key(&key), document))
        });
        let mut documents: Vec<(String, Value)> = parsed.collect::<Result<_, ReadError>>()?;
        let mut values: Vec<&mut Value> = documents.iter_mut().map(|(_, document)| document).collect();
        self.reading.types().open_json(&mut values).await;
        Ok(ViewPage { documents, at, more, next })
    }
}

impl fmt::Debug for JsonView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonView").field("name", &self.reading.name()).finish_non_exhaustive()
    }
}

async fn body(snapshot: &mut dyn ViewSnapshot, key: &str) -> Result<Option<String>, ReadError> {
    let table = snapshot.table(DOCUMENTS);
    let (sql, keys): (_, Row) = match indexed_text::indexed(key) {
        Cow::Borrowed(key) => (format!("SELECT key, body FROM {table} WHERE key = $1"), vec![key.into()]),
        // A projection of the application may store a long key whole.
        Cow::Owned(indexed) => {
            (format!("SELECT key, body FROM {table} WHERE key IN ($1, $2)"), vec![indexed.into(), key.into()])
        }
    };
    let rows = snapshot.query(&sql, keys).await?;
    let mut found = rows.into_iter().filter_map(|row| {
        let mut cells = row.into_iter().map(text);
        Some(indexed_text::document(cells.next()?, cells.next()?))
    });
    Ok(found.find(|(found, _)| found == key).map(|(_, body)| body))
}
