//! [`PendingSteps`]: the projection of the steps of a reaction that are to be done.

use std::sync::Arc;

use async_trait::async_trait;

use super::AnyReaction;
use super::folding::Folding;
use super::steps;
use crate::digest::{PartsDigest, first_48_bits};
use crate::projections::{EventBatch, Projection, ProjectionError};
use crate::store::Transaction;

/// The version of the tables: raise it when they change.
const LAYOUT: u64 = 1;

/// What a reaction has to do, from the log alone: the steps of the events that it reacts to, without those whose command id the log
/// has.
pub(crate) struct PendingSteps {
    reaction: Arc<dyn AnyReaction>,
    name: String,
    version: u64,
}

impl PendingSteps {
    pub(crate) fn new(reaction: Arc<dyn AnyReaction>) -> Self {
        let mut hash = PartsDigest::default();
        for part in [LAYOUT.to_string(), reaction.version().to_string(), format!("{:?}", reaction.since())] {
            hash.add(part);
        }
        // A state of another shape cannot be read.
        hash.add(reaction.on().0.shape());
        let version = first_48_bits(&hash.finish());
        Self { name: projection_name(reaction.name()), version, reaction }
    }
}

/// The name of the projection of a reaction.
pub(crate) fn projection_name(reaction: &str) -> String {
    format!("reaction_{reaction}")
}

#[async_trait]
impl Projection for PendingSteps {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u64 {
        self.version
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(steps::create(transaction).await?)
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut folding = Folding::load(&*self.reaction, batch.events, transaction).await?;
        for stored in batch.events {
            folding.add(stored)?;
        }
        Ok(folding.write(transaction).await?)
    }
}
