//! [`TreeSnapshot`]: the tree as of one moment.

use super::TreeHash;
use super::error::ProofError;
use super::projection::TILES;
use super::tile::{TileId, Tiles};
use super::tree::{Leaves, consistency, inclusion};
use crate::projections::Reading;
use crate::store::{Cell, ViewSnapshot};

/// The tree as of one moment.
pub(super) struct TreeSnapshot {
    tables: Box<dyn ViewSnapshot>,
    size: u64,
}

impl TreeSnapshot {
    pub async fn open(reading: &Reading) -> Result<Self, ProofError> {
        let tables = reading.snapshot().await?;
        let size = tables.head().position;
        Ok(Self { tables, size })
    }

    /// The number of its leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The first hashes of a tile. The tree must have that many.
    pub async fn tile(&mut self, tile: TileId, width: u64) -> Result<Vec<u8>, ProofError> {
        let table = self.tables.table(TILES.name);
        let sql = format!("SELECT hashes FROM {table} WHERE level = $1 AND n = $2");
        let found = self.tables.query(&sql, vec![u64::from(tile.level).into(), tile.index.into()]).await?;
        let bytes = usize::try_from(width).unwrap_or(usize::MAX).saturating_mul(TreeHash::BYTES);
        let hashes = match found.into_iter().next().as_deref() {
            Some([Cell::Bytes(hashes)]) => hashes.get(..bytes).map(<[u8]>::to_vec),
            _ => None,
        };
        hashes.ok_or_else(|| ProofError::Damaged(tile.path(width)))
    }

    /// The hashes of these leaves, all of which are in the tree.
    async fn hashes(&mut self, all: Vec<Leaves>) -> Result<Vec<TreeHash>, ProofError> {
        let mut tiles = Tiles::default();
        for tile in Tiles::needed(&all) {
            tiles.insert(tile, self.tile(tile, tile.width(self.size)).await?);
        }
        let hashes: Result<Vec<TreeHash>, TileId> = all.into_iter().map(|leaves| tiles.hash(leaves)).collect();
        hashes.map_err(|tile| ProofError::Damaged(tile.path(tile.width(self.size))))
    }

    fn check(&self, wanted: u64) -> Result<(), ProofError> {
        match wanted <= self.size {
            true => Ok(()),
            false => Err(ProofError::Behind { tree: self.size, wanted }),
        }
    }

    /// The root of its first `size` leaves.
    pub async fn root(&mut self, size: u64) -> Result<TreeHash, ProofError> {
        self.check(size)?;
        let hashes = self.hashes(vec![Leaves { start: 0, end: size }]).await?;
        Ok(hashes.first().copied().unwrap_or_else(TreeHash::of_empty_tree))
    }

    /// The proof that a leaf is in the tree of its first `size` leaves.
    pub async fn inclusion(&mut self, index: u64, size: u64) -> Result<Vec<TreeHash>, ProofError> {
        self.check(size)?;
        if index >= size {
            return Err(ProofError::NotCovered { position: index + 1, size });
        }
        self.hashes(inclusion(index, size)).await
    }

    /// The proof that the tree of the first `old` leaves is a beginning of that of the first `new`.
    pub async fn consistency(&mut self, old: u64, new: u64) -> Result<Vec<TreeHash>, ProofError> {
        self.check(old.max(new))?;
        self.hashes(consistency(old, new)).await
    }
}
