//! [`Documents`]: the projection that keeps the documents of a [`DocumentView`].

use std::collections::HashMap;
use std::marker::PhantomData;

use async_trait::async_trait;

use super::{DocumentView, EventBatch, EventSet, Projection, ProjectionError, ViewKey};
use crate::events::Stored;
use crate::store::{Cell, Dialect, Interest, Row, Transaction};

/// The table of every document view, and of every projection whose [`Projection::documents`] says so.
pub(super) const TABLE: &str = "documents";

/// How many events are decoded at a time: a batch of any size needs memory for its documents and for these.
const DECODED_AT_ONCE: usize = 1_024;

/// The projection of a document view: a table `documents (key, body)`.
///
/// A batch reads each document that it touches once, folds in memory, and writes each once. It stands on the public
/// [`Projection`] and [`Transaction`] alone.
#[derive(Debug)]
pub struct Documents<V>(PhantomData<fn() -> V>);

impl<V: DocumentView> Documents<V> {
    /// The projection of the view `V`.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<V: DocumentView> Default for Documents<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// The documents that a batch has touched so far.
struct Touched<V: DocumentView> {
    documents: HashMap<V::Key, Slot<V>>,
    /// Whether the table had nothing when the batch began: then there is nothing to load.
    fresh: bool,
}

struct Slot<V> {
    document: Option<V>,
    stored: bool,
}

type Decoded<V> = <<V as DocumentView>::Events as EventSet<V>>::Decoded;

impl<V: DocumentView> Touched<V> {
    /// Takes in some events: loads what they touch and is not there yet, then folds.
    async fn take(&mut self, events: &[Stored], transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut decoded: Vec<(Decoded<V>, Vec<V::Key>)> = Vec::with_capacity(events.len());
        let mut missing = Vec::new();
        for stored in events {
            let event = V::Events::decode(stored)
                .map_err(|source| ProjectionError::Decode { position: stored.position, source })?;
            let Some(event) = event else { continue };
            let mut keys = V::Events::keys(&event);
            if keys.len() > 1 {
                let mut seen = std::collections::HashSet::new();
                keys.retain(|key| seen.insert(key.clone()));
            }
            for key in &keys {
                if !self.documents.contains_key(key) {
                    self.documents.insert(key.clone(), Slot { document: None, stored: false });
                    missing.push(key.clone());
                }
            }
            decoded.push((event, keys));
        }
        if !self.fresh && !missing.is_empty() {
            self.load(missing, transaction).await?;
        }
        for (event, keys) in &decoded {
            for key in keys {
                if let Some(slot) = self.documents.get_mut(key) {
                    V::Events::apply(&mut slot.document, key, event);
                }
            }
        }
        Ok(())
    }

    async fn load(&mut self, keys: Vec<V::Key>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let sql = format!("SELECT body FROM {} WHERE key = $1", transaction.table(TABLE));
        let rows = keys.iter().map(|key| vec![Cell::from(key.key_text().into_owned())]).collect();
        for (key, found) in keys.iter().zip(transaction.query_many(&sql, rows).await?) {
            let Some(body) = found.first().and_then(|row| row.first()) else { continue };
            let document = serde_json::from_str(body.text().unwrap_or_default())
                .map_err(|source| ProjectionError::Document { key: key.key_text().into_owned(), source })?;
            self.documents.insert(key.clone(), Slot { document: Some(document), stored: true });
        }
        Ok(())
    }

    /// Writes what the batch made, in the order of the keys.
    async fn write(self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut written: Vec<Row> = Vec::with_capacity(self.documents.len());
        let mut deleted: Vec<Row> = Vec::new();
        for (key, slot) in self.documents {
            let key = key.key_text().into_owned();
            match slot.document {
                Some(document) => {
                    let body = serde_json::to_string(&document).map_err(|error| {
                        ProjectionError::Other(
                            format!("document `{key}` cannot be written as JSON: {error}").into(),
                        )
                    })?;
                    written.push(vec![Cell::Text(key), Cell::Text(body)]);
                }
                None if slot.stored => deleted.push(vec![Cell::Text(key)]),
                None => {}
            }
        }
        written.sort_unstable_by(|one, other| one[0].text().cmp(&other[0].text()));
        let table = transaction.table(TABLE);
        if !written.is_empty() {
            let upsert = format!(
                "INSERT INTO {table} (key, body) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET body = excluded.body"
            );
            transaction.execute_many(&upsert, written).await?;
        }
        if !deleted.is_empty() {
            transaction.execute_many(&format!("DELETE FROM {table} WHERE key = $1"), deleted).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl<V: DocumentView> Projection for Documents<V> {
    fn name(&self) -> &str {
        V::NAME
    }

    fn version(&self) -> u64 {
        V::VERSION
    }

    fn interest(&self) -> Interest {
        Interest::EventTypes(V::Events::names())
    }

    fn documents(&self) -> bool {
        true
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let (key, storage) = match transaction.dialect() {
            Dialect::Sqlite => ("TEXT", " WITHOUT ROWID"),
            Dialect::Postgres => ("TEXT COLLATE \"C\"", ""),
        };
        let table = transaction.table(TABLE);
        let sql = format!("CREATE TABLE {table} (key {key} NOT NULL PRIMARY KEY, body TEXT NOT NULL){storage}");
        transaction.execute(&sql, Vec::new()).await?;
        Ok(())
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut touched = Touched::<V> { documents: HashMap::new(), fresh: batch.from.position == 0 };
        for events in batch.events.chunks(DECODED_AT_ONCE) {
            touched.take(events, transaction).await?;
            tokio::task::yield_now().await;
        }
        touched.write(transaction).await
    }
}
