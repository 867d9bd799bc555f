//! [`AuditLog`]: the tables of the audit log.

use std::sync::Arc;

use async_trait::async_trait;

use super::folding::{Batch, Folding};
use super::names::Known;
use super::tables;
use crate::events::Types;
use crate::projections::{Basis, EventBatch, Fold, FoldBase, Projection, ProjectionError, fingerprint};
use crate::store::Transaction;

/// Raise it when the tables change.
const LAYOUT: u64 = 4;

/// The projection behind the audit log: which events are whose, about what, of which topic.
///
/// An event is under each of its topics and under all that lie above them; the root holds all events, and is the
/// table of entries itself.
#[derive(Clone, Debug)]
pub struct AuditLog {
    types: Arc<Types>,
    version: u64,
}

impl AuditLog {
    /// Its name among the projections.
    pub const NAME: &'static str = "audit";

    /// The audit log of an application with these event types. Its version is a fingerprint of their declarations.
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
        let mut taken = Batch::default();
        batch.events.iter().try_for_each(|stored| taken.take_in(&self.types, stored))?;
        Ok(taken.write(&mut Known::default(), transaction).await?)
    }

    fn fold(&self, base: FoldBase) -> Option<Box<dyn Fold>> {
        (base == FoldBase::Empty).then(|| Box::new(Folding::new(self.types.clone())) as Box<dyn Fold>)
    }
}
