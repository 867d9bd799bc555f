//! Document views: JSON documents by key, made from events and read by key, by field or live.
//!
//! ## Layout
//! - `document`, `event_set`: the [`DocumentView`] trait, and the events that a view is made of
//! - `field`: [`Field`], what documents can be filtered and ordered by
//! - `document_buffer`: documents folded in memory
//! - `query`, `list`, `watched`: reading one document, many documents, and one document live
//! - `past`: one document as of a moment
//! - `condition`, `count`: which documents a list has, and how many
//! - `fitting`: how many documents fit into a page
//! - `reads`: parts that these share

mod condition;
mod count;
mod document;
mod document_buffer;
mod event_set;
mod field;
mod fitting;
mod list;
mod past;
mod query;
mod reads;
mod watched;

use std::marker::PhantomData;

use async_trait::async_trait;
use sha2::{Digest, Sha256};

pub use self::condition::ViewFilterParams;
pub use self::count::{ValueCount, ViewCounts};
pub use self::document::{DocumentView, On, ViewKey};
use self::document_buffer::{DocumentBuffer, check_aggregate, table};
pub use self::event_set::{EventSet, OneOf};
pub use self::field::{Field, FieldInfo, FieldKind, FieldValue};
pub use self::list::{Listing, ViewCursor, ViewList, ViewPage};
pub use self::past::ViewAt;
pub use self::query::{JsonView, ViewQuery};
pub use self::watched::Watched;
use super::fold::{Fold, FoldBase, KeyFilter};
use super::projection::DOCUMENT_TABLE;
use super::{Basis, EventBatch, Projection, ProjectionError};
use crate::BoxError;
use crate::digest::first_48_bits;
use crate::events::{Ref, Stored, shape};
use crate::store::{Index, Interest, Transaction};

/// How many events are decoded at a time: a batch of any size needs memory for its documents and for these.
const DECODED_AT_ONCE: usize = 1_024;

/// Changes with the layout of the table of documents.
const LAYOUT: &str = "keys and fields of any length;";

/// The projection of a document view: a table `documents (key, body)`, with a column for each field.
///
/// A batch reads each document that it touches once, folds in memory, and writes each once. It uses only the public
/// [`Projection`] and [`Transaction`].
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

#[async_trait]
impl<V: DocumentView> Projection for Documents<V> {
    fn name(&self) -> &str {
        V::NAME
    }

    /// A digest of the view's own version, its fields and the event types that it wants. A program that knows one
    /// more event type has a view of its own, because one that does not know the type may have skipped such events
    /// (Guarantee 22). It copies the older view's documents if it would have made the same.
    fn version(&self) -> u64 {
        let mut hash = Sha256::new();
        hash.update(LAYOUT);
        for field in V::FIELDS {
            hash.update(format!("{:?};", field.info()));
        }
        if V::ONE_AGGREGATE {
            // Documents of before were not checked.
            hash.update("one aggregate;");
        }
        let mut names = V::Events::names();
        names.sort_unstable();
        for name in names {
            hash.update(name);
            hash.update(";");
        }
        // 48 bits: exact in every database's integers, and in JSON for every reader.
        (V::VERSION & 0xffff) << 32 | first_48_bits(&hash.finalize().into()) >> 16
    }

    /// The shape of a document is part of the layout: a view may have got a field for future events without a
    /// raised version.
    fn basis(&self) -> Option<Basis> {
        let fields: Vec<FieldInfo> = V::FIELDS.iter().map(Field::info).collect();
        let checked = if V::ONE_AGGREGATE { " one aggregate" } else { "" };
        let layout = format!("{} {fields:?} {}{checked}", V::VERSION, shape::shape_of::<V>());
        let types = V::Events::names().into_iter().map(|name| (name, String::new())).collect();
        Some(Basis { layout, types, tables: vec![table::<V>()] })
    }

    fn interest(&self) -> Interest {
        Interest::EventTypes(V::Events::names())
    }

    fn documents(&self) -> bool {
        true
    }

    fn fields(&self) -> Vec<FieldInfo> {
        V::FIELDS.iter().map(Field::info).collect()
    }

    fn parse_key(&self, text: &str) -> Result<String, BoxError> {
        Ok(V::Key::parse_key(text)?.key_text().into_owned())
    }

    fn write_key(&self, key: &str) -> String {
        V::Key::from_key_text(key).map_or_else(|_| key.to_owned(), |key| key.write_key().into_owned())
    }

    fn named(&self, key: &str) -> Option<Ref> {
        V::Key::from_key_text(key).ok()?.named().filter(|thing| thing.check().is_ok())
    }

    fn one_aggregate(&self) -> bool {
        V::ONE_AGGREGATE
    }

    fn keys(&self, stored: &Stored) -> Result<Option<Vec<String>>, ProjectionError> {
        let event = V::Events::decode(stored)
            .map_err(|source| ProjectionError::Decode { position: stored.position, source })?;
        let keys = event.map(|event| V::Events::keys(&event)).unwrap_or_default();
        check_aggregate::<V>(stored, &keys)?;
        Ok(Some(keys.iter().map(|key| key.key_text().into_owned()).collect()))
    }

    fn fold(&self, base: FoldBase) -> Option<Box<dyn Fold>> {
        Some(Box::new(DocumentBuffer::<V>::new(base)))
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(transaction.create_table(&table::<V>()).await?)
    }

    async fn indexes(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        for (field, number) in V::FIELDS.iter().zip(1..) {
            let columns = [field.info().column().name, "key"];
            transaction.create_index(&DOCUMENT_TABLE, &Index::new(format!("by_field_{number}"), &columns)).await?;
        }
        Ok(())
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let base = if batch.from.position == 0 { FoldBase::Empty } else { FoldBase::Load };
        let mut folded = DocumentBuffer::<V>::new(base);
        for events in batch.events.chunks(DECODED_AT_ONCE) {
            folded.gather(events, KeyFilter::All)?;
            if folded.lacks() {
                folded.load(transaction).await?;
            }
            folded.fold();
            tokio::task::yield_now().await;
        }
        folded.write(transaction).await
    }
}
