//! Reading documents: one by its key, or all in the order of their keys; typed, or as plain JSON by the view's name.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;

use super::documents::TABLE;
use super::{DocumentView, ReadError, Reading, ViewKey};
use crate::events::Head;
use crate::store::Cell;

/// How long a read waits for the write that it is to see, unless it says otherwise.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The most documents of a page.
const LARGEST_PAGE: usize = 10_000;

/// What a read waits for.
#[derive(Clone, Copy, Debug)]
struct Wait {
    after: Option<Head>,
    within: Duration,
}

impl Wait {
    const NONE: Self = Self { after: None, within: PATIENCE };

    async fn over(&self, reading: &Reading) -> Result<(), ReadError> {
        match self.after {
            Some(head) => reading.caught_up(head, Some(self.within)).await,
            None => Ok(()),
        }
    }
}

/// Documents in the order of their keys' text, and the place in the log that they are true at.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewPage<K, D> {
    /// The documents with their keys.
    pub documents: Vec<(K, D)>,
    /// The place in the log that they are true at.
    pub at: Head,
    /// Whether there are more: ask for the page after the last key.
    pub more: bool,
}

/// Asks for one document; await it.
#[must_use = "a query does nothing until it is awaited"]
#[derive(Debug)]
pub struct ViewQuery<V: DocumentView> {
    reading: Result<Reading, ReadError>,
    key: String,
    wait: Wait,
    view: PhantomData<fn() -> V>,
}

impl<V: DocumentView> ViewQuery<V> {
    /// Asks for the document under `key`.
    pub fn new(reading: Result<Reading, ReadError>, key: &V::Key) -> Self {
        Self { reading, key: key.key_text().into_owned(), wait: Wait::NONE, view: PhantomData }
    }

    /// The answer holds everything up to here: a receipt's write, above all.
    pub fn after(mut self, place: impl Into<Head>) -> Self {
        self.wait.after = Some(place.into());
        self
    }

    /// How long to wait for that: ten seconds, unless it is said.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.wait.within = deadline;
        self
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
            match body(&reading, &key).await? {
                Some(body) => parse(&reading, &key, &body).map(Some),
                None => Ok(None),
            }
        })
    }
}

/// Asks for documents in the order of their keys.
#[must_use = "ask for a page"]
#[derive(Debug)]
pub struct ViewList<V: DocumentView> {
    reading: Result<Reading, ReadError>,
    wait: Wait,
    view: PhantomData<fn() -> V>,
}

impl<V: DocumentView> ViewList<V> {
    /// Asks for the view's documents.
    pub fn new(reading: Result<Reading, ReadError>) -> Self {
        Self { reading, wait: Wait::NONE, view: PhantomData }
    }

    /// The answer holds everything up to here: a receipt's write, above all.
    pub fn after(mut self, place: impl Into<Head>) -> Self {
        self.wait.after = Some(place.into());
        self
    }

    /// How long to wait for that: ten seconds, unless it is said.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.wait.within = deadline;
        self
    }

    /// At most `limit` documents (10,000 at most), those after the key `from` if there is one.
    ///
    /// # Errors
    /// When the view cannot be read: see [`ReadError`].
    pub async fn page(self, limit: usize, from: Option<&V::Key>) -> Result<ViewPage<V::Key, V>, ReadError> {
        let reading = self.reading?;
        self.wait.over(&reading).await?;
        let after = from.map(ViewKey::key_text);
        let ViewPage { documents, at, more } = bodies(&reading, limit, after.as_deref()).await?;
        let typed = documents.into_iter().map(|(key, body)| {
            let document = parse(&reading, &key, &body)?;
            let invalid = |error| ReadError::Invalid(format!("the key `{key}` of `{}`: {error}", reading.name()));
            Ok((V::Key::from_key_text(&key).map_err(invalid)?, document))
        });
        Ok(ViewPage { documents: typed.collect::<Result<_, ReadError>>()?, at, more })
    }
}

/// The documents of a view as plain JSON, by the view's name alone: what a command line shows.
#[derive(Clone)]
pub struct JsonView {
    reading: Reading,
    wait: Wait,
}

impl JsonView {
    /// The documents of this projection.
    ///
    /// # Errors
    /// When it is one that keeps no documents.
    pub fn new(reading: Reading) -> Result<Self, ReadError> {
        match reading.documents() {
            true => Ok(Self { reading, wait: Wait::NONE }),
            false => Err(ReadError::Invalid(format!(
                "`{}` is no document view: it has a way of its own to be read",
                reading.name()
            ))),
        }
    }

    /// The answer holds everything up to here: a receipt's write, above all.
    #[must_use]
    pub fn after(mut self, place: impl Into<Head>) -> Self {
        self.wait.after = Some(place.into());
        self
    }

    /// How long to wait for that: ten seconds, unless it is said.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.wait.within = deadline;
        self
    }

    /// The document under the text of a key.
    ///
    /// # Errors
    /// When the view cannot be read: see [`ReadError`].
    pub async fn get(&self, key: &str) -> Result<Option<Value>, ReadError> {
        self.wait.over(&self.reading).await?;
        match body(&self.reading, key).await? {
            Some(body) => parse(&self.reading, key, &body).map(Some),
            None => Ok(None),
        }
    }

    /// At most `limit` documents (10,000 at most), those after the key `from` if there is one.
    ///
    /// # Errors
    /// When the view cannot be read: see [`ReadError`].
    pub async fn page(&self, limit: usize, from: Option<&str>) -> Result<ViewPage<String, Value>, ReadError> {
        self.wait.over(&self.reading).await?;
        let ViewPage { documents, at, more } = bodies(&self.reading, limit, from).await?;
        let parsed = documents.into_iter().map(|(key, body)| {
            let document = parse(&self.reading, &key, &body)?;
            Ok((key, document))
        });
        Ok(ViewPage { documents: parsed.collect::<Result<_, ReadError>>()?, at, more })
    }
}

impl fmt::Debug for JsonView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonView").field("name", &self.reading.name()).finish_non_exhaustive()
    }
}

fn parse<D: serde::de::DeserializeOwned>(reading: &Reading, key: &str, body: &str) -> Result<D, ReadError> {
    serde_json::from_str(body).map_err(|source| ReadError::Document {
        name: reading.name().to_owned(),
        key: key.to_owned(),
        source,
    })
}

async fn body(reading: &Reading, key: &str) -> Result<Option<String>, ReadError> {
    let mut snapshot = reading.snapshot().await?;
    let sql = format!("SELECT body FROM {} WHERE key = $1", snapshot.table(TABLE));
    let rows = snapshot.query(&sql, vec![Cell::from(key)]).await?;
    Ok(rows.into_iter().flatten().next().map(text))
}

async fn bodies(
    reading: &Reading,
    limit: usize,
    after: Option<&str>,
) -> Result<ViewPage<String, String>, ReadError> {
    let limit = limit.min(LARGEST_PAGE);
    let mut snapshot = reading.snapshot().await?;
    let table = snapshot.table(TABLE);
    let mut parameters = vec![Cell::from(limit as u64 + 1)];
    let mut range = "";
    if let Some(after) = after {
        parameters.push(Cell::from(after));
        range = "WHERE key > $2";
    }
    let sql = format!("SELECT key, body FROM {table} {range} ORDER BY key LIMIT $1");
    let mut rows = snapshot.query(&sql, parameters).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let documents = rows.into_iter().filter_map(|row| {
        let mut cells = row.into_iter().map(text);
        Some((cells.next()?, cells.next()?))
    });
    Ok(ViewPage { documents: documents.collect(), at: snapshot.head(), more })
}

fn text(cell: Cell) -> String {
    match cell {
        Cell::Text(text) => text,
        _ => String::new(),
    }
}
