//! [`ProvenanceGraph`]: the projection.

use std::sync::Arc;

use async_trait::async_trait;

use super::folding::{Batch, GraphFold};
use super::tables;
use crate::digest::{PartsDigest, first_48_bits};
use crate::events::Types;
use crate::projections::dictionary::NumberCache;
use crate::projections::{EventBatch, Fold, FoldBase, Projection, ProjectionError};
use crate::store::Transaction;

/// The version of the tables: raise it when they change.
const LAYOUT: u64 = 2;

/// The projection of provenance: which event made which version of which thing, and what it used. It is kept if the application
/// turns provenance on.
#[derive(Clone, Debug)]
pub struct ProvenanceGraph {
    types: Arc<Types>,
    version: u64,
}

impl ProvenanceGraph {
    /// The name of the projection.
    pub const NAME: &'static str = "provenance";

    /// The provenance of an application with these event types. Its version is a fingerprint of what they say about sources and
    /// deletions: other event types do not change it.
    #[must_use]
    pub fn new(types: Arc<Types>) -> Self {
        let version = version(&types);
        Self { types, version }
    }
}

fn version(types: &Types) -> u64 {
    let mut hash = PartsDigest::default();
    hash.add(LAYOUT.to_string());
    for known in types.iter() {
        let declaration = known.declaration;
        let has_sources = declaration.fields.iter().any(|field| field.source);
        if !has_sources && !known.deletes_aggregate() {
            continue;
        }
        hash.add("event");
        hash.add(known.aggregate_type);
        types.names(declaration.event_type).iter().for_each(|name| hash.add(name));
        hash.add(if known.deletes_aggregate() { "deletes" } else { "" });
        if has_sources {
            hash.add(declaration.version_text());
            for field in declaration.fields.iter().filter(|field| field.source || field.target) {
                hash.add(field.name);
                hash.add([u8::from(field.source), u8::from(field.target)]);
            }
        }
    }
    first_48_bits(&hash.finish())
}

#[async_trait]
impl Projection for ProvenanceGraph {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn version(&self) -> u64 {
        self.version
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(tables::create(transaction).await?)
    }

    async fn indexes(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(tables::index(transaction).await?)
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut added = Batch::default();
        batch.events.iter().try_for_each(|stored| added.add(&self.types, stored))?;
        Ok(added.write(&mut NumberCache::default(), transaction).await?)
    }

    fn fold(&self, base: FoldBase) -> Option<Box<dyn Fold>> {
        (base == FoldBase::Empty).then(|| Box::new(GraphFold::new(self.types.clone())) as Box<dyn Fold>)
    }
}
