//! [`ProofTree`]: the projection that keeps the tree.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::edge::Edge;
use super::tile::TileId;
use super::{InvalidLeaf, Leaf};
use crate::events::Stored;
use crate::projections::{EventBatch, Fold, FoldBase, KeyFilter, Projection, ProjectionError};
use crate::store::{Cell, Column, OnConflict, Row, StoreError, Table, Transaction};

/// The version of the tables and of the leaves: raise it when they change.
pub(super) const VERSION: u64 = 1;

/// Each transaction writes the last tile of each level, however few hashes are new.
const INTERVAL: Duration = Duration::from_millis(200);

/// The tiles, as they are served. The last one of each level has fewer than 256 hashes.
pub(super) const TILES: Table = Table::new(
    "tiles",
    &[Column::integer("level"), Column::integer("n"), Column::bytes("hashes")],
    &["level", "n"],
);

/// The projection that keeps the Merkle tree of the log. It is kept if the application turns proofs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProofTree;

impl ProofTree {
    /// The name of the projection.
    pub const NAME: &'static str = "proofs";
}

/// Leaves that are appended, and the tiles that they fill.
#[derive(Default)]
struct Appended {
    edge: Edge,
    full: BTreeMap<TileId, Vec<u8>>,
}

impl Appended {
    fn append(&mut self, stored: &Stored) -> Result<(), ProjectionError> {
        let expected = self.edge.size() + 1;
        if stored.position != expected {
            let at = stored.position;
            return Err(other(format!(
                "event {expected} is not in the log, which continues with {at}: run `check`"
            )));
        }
        let leaf = Leaf::of(stored).hash().map_err(|error: InvalidLeaf| ProjectionError::Other(error.into()))?;
        self.edge.append(leaf, |tile, bytes| drop(self.full.insert(tile, bytes)));
        Ok(())
    }

    async fn write(&mut self, transaction: &mut dyn Transaction) -> Result<(), StoreError> {
        let tiles = std::mem::take(&mut self.full).into_iter().chain(self.edge.partial());
        let row = |(tile, bytes): (TileId, Vec<u8>)| -> Row {
            vec![u64::from(tile.level).into(), tile.index.into(), Cell::Bytes(bytes)]
        };
        transaction.insert_rows(&TILES, tiles.map(row).collect(), OnConflict::Replace).await
    }
}

fn other(problem: String) -> ProjectionError {
    ProjectionError::Other(problem.into())
}

/// Reads the right edge of the tree.
async fn edge(size: u64, transaction: &mut dyn Transaction) -> Result<Edge, ProjectionError> {
    let tiles: Vec<TileId> = Edge::tiles(size).filter(|(_, width)| *width > 0).map(|(tile, _)| tile).collect();
    let keys = tiles.iter().map(|tile| vec![u64::from(tile.level).into(), tile.index.into()]).collect();
    let found = transaction.select_by_keys(&TILES, &["level", "n"], &["hashes"], keys).await?;
    let mut bytes: BTreeMap<TileId, Vec<u8>> = BTreeMap::new();
    for (tile, row) in tiles.into_iter().zip(found) {
        if let Some([Cell::Bytes(hashes)]) = row.as_deref() {
            bytes.insert(tile, hashes.clone());
        }
    }
    Edge::of(size, |tile| bytes.remove(&tile).unwrap_or_default()).map_err(|tile| {
        other(format!(
            "the tile {} is missing or too short: `projections rebuild proofs`",
            tile.path(tile.width(size))
        ))
    })
}

#[async_trait]
impl Projection for ProofTree {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn version(&self) -> u64 {
        VERSION
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(transaction.create_table(&TILES).await?)
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let edge = edge(batch.from.position, transaction).await?;
        let mut appended = Appended { edge, full: BTreeMap::new() };
        batch.events.iter().try_for_each(|stored| appended.append(stored))?;
        Ok(appended.write(transaction).await?)
    }

    fn fold(&self, base: FoldBase) -> Option<Box<dyn Fold>> {
        (base == FoldBase::Empty).then(|| Box::new(TreeFold(Appended::default())) as Box<dyn Fold>)
    }
}

/// Fills an empty table.
struct TreeFold(Appended);

#[async_trait]
impl Fold for TreeFold {
    fn gather(&mut self, events: &[Stored], _: KeyFilter<'_>) -> Result<(), ProjectionError> {
        events.iter().try_for_each(|stored| self.0.append(stored))
    }

    fn position(&self) -> u64 {
        self.0.edge.size()
    }

    fn bytes(&self) -> usize {
        self.0.full.values().map(Vec::len).sum()
    }

    async fn write(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(self.0.write(transaction).await?)
    }
}
