//! [`Folding`]: many pages of the log folded at once, with the numbers of names cached in memory.

use std::sync::Arc;

use async_trait::async_trait;

use super::block_closing::take_in;
use super::names::Gathered;
use super::slots;
use crate::events::{Stored, Types};
use crate::projections::dictionary::NumberCache;
use crate::projections::{Fold, KeyFilter, ProjectionError};
use crate::store::Transaction;

/// Approximate memory of one event until it is written.
const BYTES: usize = 600;

/// What fills empty tables.
pub(super) struct Folding {
    types: Arc<Types>,
    occurred: bool,
    cache: NumberCache,
    gathered: Gathered,
    position: u64,
}

impl Folding {
    pub fn new(types: Arc<Types>, occurred: bool) -> Self {
        Self { types, occurred, cache: NumberCache::of_empty_table(), gathered: Gathered::default(), position: 0 }
    }
}

#[async_trait]
impl Fold for Folding {
    fn gather(&mut self, events: &[Stored], _: KeyFilter<'_>) -> Result<(), ProjectionError> {
        for stored in events {
            self.position = stored.position;
            self.gathered.gather(&self.types, stored)?;
        }
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&self) -> usize {
        self.gathered.len() * BYTES
    }

    async fn write(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let entries = std::mem::take(&mut self.gathered).numbered(&mut self.cache, transaction).await?;
        if self.occurred {
            slots::take_in(&entries, transaction).await?;
        }
        take_in(self.position, entries, transaction).await
    }
}
