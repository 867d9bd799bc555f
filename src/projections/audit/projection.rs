//! [`AuditLog`]: the projection of the audit log.

use std::sync::Arc;

use async_trait::async_trait;

use super::folding::{AuditFold, Batch};
use super::tables;
use crate::events::Types;
use crate::projections::dictionary::NumberCache;
use crate::projections::{Basis, EventBatch, Fold, FoldBase, Projection, ProjectionError, fingerprint};
use crate::store::Transaction;

/// The version of the tables: raise it when they change.
const LAYOUT: u64 = 4;

/// The projection of the audit log: the actor, targets, topics and type of each event, as numbers.
///
/// An event has a row for each of its topics and for each topic above them. The root topic has none: it holds all events,
/// which is the table of entries itself.
#[derive(Clone, Debug)]
pub struct AuditLog {
    types: Arc<Types>,
    version: u64,
}

impl AuditLog {
    /// The name of the projection.
    pub const NAME: &'static str = "audit";

    /// The audit log of an application with these event types. Its version is a fingerprint of the declarations.
    #[must_use]
    pub fn new(types: Arc<Types>) -> Self {
        let version = fingerprint(LAYOUT, &types);
        Self { types, version }
    }
}

#[async_trait]
impl Projection for AuditLog {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn basis(&self) -> Option<Basis> {
        Some(Basis::of_all(LAYOUT, &self.types, true))
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
        (base == FoldBase::Empty).then(|| Box::new(AuditFold::new(self.types.clone())) as Box<dyn Fold>)
    }
}
