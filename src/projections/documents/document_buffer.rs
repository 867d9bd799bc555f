//! [`DocumentBuffer`]: the documents of a view, folded in memory.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::document::{DocumentView, ViewKey};
use super::event_set::EventSet;
use crate::events::Stored;
use crate::projections::ProjectionError;
use crate::projections::fold::{Fold, FoldBase, KeyFilter};
use crate::projections::indexed_text::{self, indexed};
use crate::projections::projection::DOCUMENT_TABLE;
use crate::store::{Cell, OnConflict, Row, Table, Transaction};

/// The table of a view, with a column for each field.
pub(super) fn table<V: DocumentView>() -> Table {
    let fields = V::FIELDS.iter().map(|field| field.info().column());
    Table { columns: DOCUMENT_TABLE.columns.iter().copied().chain(fields).collect(), ..DOCUMENT_TABLE }
}

/// Fails if the view says that it is made of the events of the aggregates that its keys name, and this event is of another one.
pub(super) fn check_aggregate<V: DocumentView>(stored: &Stored, keys: &[V::Key]) -> Result<(), ProjectionError> {
    if !V::ONE_AGGREGATE {
        return Ok(());
    }
    let other = keys.iter().find(|key| key.named().as_ref() != Some(&stored.aggregate));
    other.map_or(Ok(()), |key| {
        let (view, position, aggregate) = (V::NAME, stored.position, &stored.aggregate);
        let problem = format!(
            "event {position} of {aggregate} touches the key `{}` of `{view}`, which says by ONE_AGGREGATE that only events of the \
             aggregate that a key names touch it: remove that constant",
            key.key_text()
        );
        Err(ProjectionError::Other(problem.into()))
    })
}

/// The most memory that written documents may keep. Small in tests, so that they exceed it.
const KEEP_BYTES: usize = if cfg!(all(test, debug_assertions)) { 2 << 10 } else { 32 << 20 };

/// Approximate size of a slot without its key and document.
const SLOT_BYTES: usize = 96;

/// Approximate ratio of a document's size in memory to its size as text.
const IN_MEMORY: usize = 4;

struct Slot<V> {
    document: Option<V>,
    stored: bool,
    changed: bool,
}

type Decoded<V> = <<V as DocumentView>::Events as EventSet<V>>::Decoded;

/// Documents as typed values: each is read from the table at most once, folded, and written as text once.
pub(super) struct DocumentBuffer<V: DocumentView> {
    documents: HashMap<V::Key, Slot<V>>,
    base: FoldBase,
    /// Whether a document that is not in memory is not in the table either.
    complete: bool,
    missing: Vec<V::Key>,
    gathered: Vec<(u64, Decoded<V>, Vec<V::Key>)>,
    position: u64,
    bytes: usize,
}

impl<V: DocumentView> DocumentBuffer<V> {
    pub fn new(base: FoldBase) -> Self {
        Self {
            documents: HashMap::new(),
            base,
            complete: base != FoldBase::Load,
            missing: Vec::new(),
            gathered: Vec::new(),
            position: 0,
            bytes: 0,
        }
    }

    fn slot_bytes(key: &V::Key) -> usize {
        SLOT_BYTES + size_of::<(V::Key, Slot<V>)>() + key.key_text().len()
    }

    /// Removes duplicate keys and keys that the filter excludes.
    fn sift(found: &mut Vec<V::Key>, keys: KeyFilter<'_>) {
        if !matches!(keys, KeyFilter::All) {
            found.retain(|key| keys.contain(&key.key_text()));
        }
        if found.len() > 1 {
            let mut seen = HashSet::with_capacity(found.len());
            found.retain(|key| seen.insert(key.clone()));
        }
    }

    /// The document as JSON text. It must decode again: otherwise the view would stop at a later, unrelated event.
    fn text(key: &str, document: &V) -> Result<String, ProjectionError> {
        let body = serde_json::to_string(document).map_err(|error| {
            ProjectionError::Other(format!("document `{key}` cannot be written as JSON: {error}").into())
        })?;
        match serde_json::from_str::<V>(&body) {
            Ok(_) => Ok(body),
            Err(source) => Err(ProjectionError::ReadBack { key: key.to_owned(), source }),
        }
    }

    fn apply(slot: &mut Slot<V>, key: &V::Key, event: &Decoded<V>) {
        V::Events::apply(&mut slot.document, key, event);
        slot.changed = true;
    }
}

#[async_trait]
impl<V: DocumentView> Fold for DocumentBuffer<V> {
    fn gather(&mut self, events: &[Stored], keys: KeyFilter<'_>) -> Result<(), ProjectionError> {
        for stored in events {
            self.position = stored.position;
            let event = V::Events::decode(stored)
                .map_err(|source| ProjectionError::Decode { position: stored.position, source })?;
            let Some(event) = event else { continue };
            let mut touched = V::Events::keys(&event);
            check_aggregate::<V>(stored, &touched)?;
            Self::sift(&mut touched, keys);
            // An event hardly adds more to a document than its own size.
            self.bytes += touched.len() * (stored.payload.len() + stored.metadata.len());
            if !self.complete {
                for key in &touched {
                    if !self.documents.contains_key(key) {
                        let slot = Slot { document: None, stored: false, changed: false };
                        self.bytes += Self::slot_bytes(key);
                        self.documents.insert(key.clone(), slot);
                        self.missing.push(key.clone());
                    }
                }
                self.gathered.push((stored.position, event, touched));
                continue;
            }
            let stored = self.base == FoldBase::Replace;
            for key in touched {
                if let Some(slot) = self.documents.get_mut(&key) {
                    Self::apply(slot, &key, &event);
                    continue;
                }
                let mut slot = Slot { document: None, stored, changed: false };
                Self::apply(&mut slot, &key, &event);
                self.bytes += Self::slot_bytes(&key);
                self.documents.insert(key, slot);
            }
        }
        Ok(())
    }

    fn lacks(&self) -> bool {
        !self.missing.is_empty()
    }

    async fn load(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let keys = std::mem::take(&mut self.missing);
        let rows = keys.iter().map(|key| vec![Cell::from(&*indexed(&key.key_text()))]).collect();
        let found = transaction.select_by_keys(&DOCUMENT_TABLE, &["key"], &["body"], rows).await?;
        for (key, row) in keys.into_iter().zip(found) {
            let Some(body) = row.as_ref().and_then(|row| row.first()) else { continue };
            let stored_key = indexed(&key.key_text()).into_owned();
            let (_, body) = indexed_text::document(stored_key, body.text().unwrap_or_default().to_owned());
            let document = serde_json::from_str(&body)
                .map_err(|source| ProjectionError::Document { key: key.key_text().into_owned(), source })?;
            self.bytes += IN_MEMORY * body.len();
            self.documents.insert(key, Slot { document: Some(document), stored: true, changed: false });
        }
        Ok(())
    }

    fn fold(&mut self) {
        for (position, event, keys) in self.gathered.drain(..) {
            self.position = position;
            for key in &keys {
                if let Some(slot) = self.documents.get_mut(key) {
                    Self::apply(slot, key, &event);
                }
            }
        }
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn document(&self, key: &str) -> Result<Option<String>, ProjectionError> {
        let typed = V::Key::from_key_text(key).map_err(ProjectionError::Other)?;
        let document = self.documents.get(&typed).and_then(|slot| slot.document.as_ref());
        document.map(|document| Self::text(key, document)).transpose()
    }

    async fn write(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut written: Vec<Row> = Vec::new();
        let mut deleted: Vec<Row> = Vec::new();
        let (mut bytes, mut sample) = (0, 0);
        for (key, slot) in self.documents.iter_mut().filter(|(_, slot)| slot.changed) {
            let key = key.key_text();
            match &slot.document {
                Some(document) => {
                    let body = Self::text(&key, document)?;
                    (bytes, sample) = (bytes + body.len(), sample + 1);
                    let fields = V::FIELDS.iter().map(|field| field.cell(document));
                    let row = [Cell::from(&*indexed(&key)), Cell::Text(indexed_text::body(&key, body))];
                    written.push(row.into_iter().chain(fields).collect());
                }
                None if slot.stored => deleted.push(vec![Cell::from(&*indexed(&key))]),
                None => {}
            }
            (slot.stored, slot.changed) = (slot.document.is_some(), false);
        }
        // In the order of the keys, so that the table is filled from left to right.
        written.sort_unstable_by(|one, other| one[0].text().cmp(&other[0].text()));
        transaction.insert_rows(&table::<V>(), written, OnConflict::Replace).await?;
        transaction.delete_keys(&DOCUMENT_TABLE, deleted).await?;
        self.settle(bytes, sample);
        Ok(())
    }
}

impl<V: DocumentView> DocumentBuffer<V> {
    /// Called after a write: keeps the documents in memory if they are small enough.
    fn settle(&mut self, bytes: usize, documents: usize) {
        let slots: usize = self.documents.len() * (SLOT_BYTES + size_of::<(V::Key, Slot<V>)>());
        let each = bytes.checked_div(documents).unwrap_or(0);
        self.bytes = slots + IN_MEMORY * each * self.documents.len();
        if self.bytes > KEEP_BYTES {
            self.documents = HashMap::new();
            self.bytes = 0;
            self.complete = false;
            self.base = FoldBase::Load;
        }
    }
}
