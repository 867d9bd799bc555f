//! [`Metrics`]: the tables behind the metrics.

use std::sync::Arc;

use async_trait::async_trait;

use super::block_closing::take_in;
use super::folding::Folding;
use super::names::{self, Gathered};
use super::slots;
use super::tables::{BLOCKS, CROWDS, ENTRIES, RUNNING};
use crate::events::Types;
use crate::projections::dictionary::NumberCache;
use crate::projections::{Basis, EventBatch, Fold, FoldBase, Projection, ProjectionError, fingerprint};
use crate::store::{Index, Transaction};

/// Raise it when the tables change.
const LAYOUT: u64 = 5;

/// The layout with the tables of the second axis. Raise it when those change.
const LAYOUT_BY_OCCURRENCE: u64 = 1_000_001;

/// The projection behind the metrics. It keeps, of each event, one entry: when, what, who, to what, of which topics, in
/// numbers that stand for names. For each block of 4,096 events, and each topic in it, it keeps the topic's running
/// numbers at the block's end, and who was busy in the block; the latter again for larger blocks.
///
/// How many events lie in a range is then the difference of the numbers at its ends: those of the last block before
/// each, and of at most 4,095 entries, which are kept as a few bytes each. So it is exact at any bound, and as quick for a
/// year as for a minute.
///
/// On request it keeps the same by when events [occurred](Metrics::by_occurrence).
#[derive(Clone, Debug)]
pub struct Metrics {
    types: Arc<Types>,
    layout: u64,
}

impl Metrics {
    /// Its name among the projections.
    pub const NAME: &'static str = "metrics";

    /// The metrics of an application with these event types. Their version is a fingerprint of their declarations.
    #[must_use]
    pub fn new(types: Arc<Types>) -> Self {
        Self { types, layout: LAYOUT }
    }

    /// The metrics, also by when events occurred: see [`App::metrics_by_occurrence`](crate::app::App::metrics_by_occurrence).
    #[must_use]
    pub fn by_occurrence(mut self) -> Self {
        self.layout = LAYOUT_BY_OCCURRENCE;
        self
    }

    fn occurred(&self) -> bool {
        self.layout == LAYOUT_BY_OCCURRENCE
    }
}

#[async_trait]
impl Projection for Metrics {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn version(&self) -> u64 {
        fingerprint(self.layout, &self.types)
    }

    fn basis(&self) -> Option<Basis> {
        Some(Basis::of_all(self.layout, &self.types, false))
    }

    fn fold(&self, base: FoldBase) -> Option<Box<dyn Fold>> {
        (base == FoldBase::Empty)
            .then(|| Box::new(Folding::new(self.types.clone(), self.occurred())) as Box<dyn Fold>)
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        for table in [&names::NAMES, &ENTRIES, &BLOCKS, &RUNNING, &CROWDS] {
            transaction.create_table(table).await?;
        }
        for table in slots::TABLES.into_iter().filter(|_| self.occurred()) {
            transaction.create_table(table).await?;
        }
        for (table, index) in [
            (&names::NAMES, Index::new("names_by_digest", &["digest"]).unique()),
            (&names::NAMES, Index::new("names_by_topic", &["above", "id"]).skipping_null()),
            (&BLOCKS, Index::new("blocks_by_time", &["last_at", "block"])),
            (&CROWDS, Index::new("crowds_by_block", &["level", "block"])),
        ] {
            transaction.create_index(table, &index).await?;
        }
        Ok(())
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut gathered = Gathered::default();
        batch.events.iter().try_for_each(|stored| gathered.gather(&self.types, stored))?;
        let entries = gathered.numbered(&mut NumberCache::default(), transaction).await?;
        if self.occurred() {
            slots::take_in(&entries, transaction).await?;
        }
        take_in(batch.to.position, entries, transaction).await
    }
}
