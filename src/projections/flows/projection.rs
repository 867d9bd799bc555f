//! [`FlowCounts`]: the projection.

use std::sync::Arc;

use async_trait::async_trait;

use super::folding::{Batch, FlowFold};
use super::{Flows, tables};
use crate::digest::{PartsDigest, first_48_bits};
use crate::events::Types;
use crate::projections::dictionary::NumberCache;
use crate::projections::{EventBatch, Fold, FoldBase, Projection, ProjectionError};
use crate::store::Transaction;

/// The version of the tables: raise it when they change.
const LAYOUT: u64 = 1;

/// The projection of flows. It is kept if the application turns flows on.
#[derive(Clone, Debug)]
pub struct FlowCounts {
    types: Arc<Types>,
    flows: Arc<Flows>,
    version: u64,
}

impl FlowCounts {
    /// The name of the projection.
    pub const NAME: &'static str = "flows";

    /// The flows of an application with these event types. Its version is a fingerprint of which fields are sources and targets, and
    /// of the kinds that are outside.
    #[must_use]
    pub fn new(types: Arc<Types>, flows: Arc<Flows>) -> Self {
        let version = version(&types, &flows);
        Self { types, flows, version }
    }
}

fn version(types: &Types, flows: &Flows) -> u64 {
    let mut hash = PartsDigest::default();
    hash.add(LAYOUT.to_string());
    flows.kinds_outside().for_each(|kind| hash.add(kind));
    for known in types.iter() {
        let declaration = known.declaration;
        if !declaration.fields.iter().any(|field| field.source || field.target) {
            continue;
        }
        hash.add("event");
        types.names(declaration.event_type).iter().for_each(|name| hash.add(name));
        hash.add(declaration.version_text());
        for field in declaration.fields.iter().filter(|field| field.source || field.target) {
            hash.add(field.name);
            hash.add([u8::from(field.source), u8::from(field.target)]);
        }
    }
    first_48_bits(&hash.finish())
}

#[async_trait]
impl Projection for FlowCounts {
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
        let mut added = Batch::after(transaction).await?;
        batch.events.iter().try_for_each(|stored| added.add(&self.types, &self.flows, stored))?;
        let (mut names, mut flows) = (NumberCache::default(), NumberCache::default());
        Ok(added.write(&mut names, &mut flows, transaction).await?)
    }

    fn fold(&self, base: FoldBase) -> Option<Box<dyn Fold>> {
        let fold = || Box::new(FlowFold::new(self.types.clone(), self.flows.clone())) as Box<dyn Fold>;
        (base == FoldBase::Empty).then(fold)
    }
}
