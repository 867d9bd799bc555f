//! [`Edge`]: the right edge of the tree, to which leaves are appended.

use super::TreeHash;
use super::tile::{TILE_HASHES, TileId, complete, hashes};
use super::tree::{self, Leaves};

/// The right edge of the tree: its size, and the hashes of the last tile of each level that is not full. Appending needs nothing else, and
/// it has the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Edge {
    size: u64,
    /// The hashes of the last tile of each level: fewer than 256.
    levels: Vec<Vec<TreeHash>>,
}

impl Edge {
    /// The tiles that the edge of a tree of this size consists of, with their widths.
    pub fn tiles(size: u64) -> impl Iterator<Item = (TileId, u64)> {
        let levels = (0_u8..8).take_while(move |level| size >> (8 * level) > 0);
        levels.map(move |level| {
            let index = (size >> (8 * level)) / TILE_HASHES;
            (TileId { level, index }, (size >> (8 * level)) % TILE_HASHES)
        })
    }

    /// The edge of a tree of this size, of the bytes of its [tiles](Self::tiles). An error names a tile that has too few hashes.
    pub fn of(size: u64, mut bytes: impl FnMut(TileId) -> Vec<u8>) -> Result<Self, TileId> {
        let mut levels = Vec::new();
        for (tile, width) in Self::tiles(size) {
            let mut found = if width == 0 { Vec::new() } else { hashes(&bytes(tile)) };
            if (found.len() as u64) < width {
                return Err(tile);
            }
            found.truncate(usize::try_from(width).unwrap_or(usize::MAX));
            levels.push(found);
        }
        Ok(Self { size, levels })
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    pub fn root(&self) -> TreeHash {
        let nodes = Leaves { start: 0, end: self.size }.nodes();
        let roots: Vec<TreeHash> = nodes
            .into_iter()
            .map(|node| {
                let level = usize::from(node.level / 8);
                let count = 1 << (node.level % 8);
                let width = self.levels.get(level).map_or(0, Vec::len);
                // The larger subtrees are before the smaller ones.
                let start = width & !(2 * count - 1);
                complete(self.levels.get(level).and_then(|hashes| hashes.get(start..start + count)).unwrap_or(&[]))
            })
            .collect();
        tree::join(&roots)
    }

    /// Appends a leaf. `full` gets each tile that becomes full.
    pub fn append(&mut self, leaf: TreeHash, mut full: impl FnMut(TileId, Vec<u8>)) {
        let (mut hash, mut level) = (leaf, 0);
        self.size += 1;
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else { return };
            hashes.push(hash);
            if (hashes.len() as u64) < TILE_HASHES {
                return;
            }
            hash = complete(hashes);
            let bytes = hashes.drain(..).flat_map(|hash| *hash.as_bytes()).collect();
            let index = (self.size >> (8 * level)) / TILE_HASHES - 1;
            full(TileId { level: u8::try_from(level).unwrap_or(u8::MAX), index }, bytes);
            level += 1;
        }
    }

    /// The tiles that are not full, with their bytes.
    pub fn partial(&self) -> impl Iterator<Item = (TileId, Vec<u8>)> {
        Self::tiles(self.size)
            .zip(&self.levels)
            .filter(|(_, hashes)| !hashes.is_empty())
            .map(|((tile, _), hashes)| (tile, hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::tile::Tiles;
    use super::super::tree::{consistency, inclusion, verify_consistency, verify_inclusion};
    use super::*;

    fn leaf(index: u64) -> TreeHash {
        TreeHash::of_leaf(&index.to_be_bytes())
    }

    /// RFC 6962, word for word.
    fn naive(leaves: &[TreeHash]) -> TreeHash {
        match leaves {
            [] => TreeHash::of_empty_tree(),
            [one] => *one,
            many => {
                let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
                TreeHash::of_children(naive(left), naive(right))
            }
        }
    }

    /// The tiles of a tree, as they are stored after each of these sizes.
    fn stored(sizes: &[u64]) -> (BTreeMap<TileId, Vec<u8>>, Edge) {
        let (mut tiles, mut edge) = (BTreeMap::new(), Edge::default());
        for size in sizes {
            for index in edge.size()..*size {
                edge.append(leaf(index), |tile, bytes| drop(tiles.insert(tile, bytes)));
            }
            tiles.extend(edge.partial());
        }
        (tiles, edge)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn roots_and_proofs_are_those_of_a_naive_tree(
            size in prop_oneof![1_u64..600, 65_000_u64..67_000],
            old in 0.0..1.0_f64,
            index in 0.0..1.0_f64,
            step in 1_u64..999,
        ) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
            let part = |of: f64| (of * size as f64) as u64;
            let (old, index) = (part(old), part(index).min(size - 1));
            let sizes: Vec<u64> = (1..).map(|count| count * step).take_while(|at| *at < size).chain([size]).collect();
            let (tiles, edge) = stored(&sizes);
            let leaves: Vec<TreeHash> = (0..size).map(leaf).collect();
            let (root, old_root) = (naive(&leaves), naive(&leaves[..usize::try_from(old).unwrap()]));
            prop_assert_eq!(edge.root(), root);
            prop_assert_eq!(&stored(&[size]).0, &tiles, "the tiles depend on the steps");
            let again = Edge::of(size, |tile| tiles.get(&tile).cloned().unwrap_or_default());
            prop_assert_eq!(again.as_ref(), Ok(&edge));
            let hashes = |proof: Vec<Leaves>| -> Vec<TreeHash> {
                let mut some = Tiles::default();
                for tile in Tiles::needed(&proof) {
                    some.insert(tile, tiles[&tile].clone());
                }
                proof.into_iter().map(|leaves| some.hash(leaves).unwrap()).collect()
            };
            prop_assert!(verify_inclusion(&hashes(inclusion(index, size)), index, leaf(index), size, root));
            prop_assert!(verify_consistency(&hashes(consistency(old, size)), (old, old_root), (size, root)));
            prop_assert_eq!(hashes(vec![Leaves { start: 0, end: old }]), vec![old_root]);
        }
    }

    #[test]
    fn an_edge_is_not_made_of_a_tile_that_is_too_short() {
        let (tiles, _) = stored(&[300]);
        let short = |tile: TileId| if tile.level == 0 { tiles[&tile][32..].to_vec() } else { tiles[&tile].clone() };
        assert_eq!(Edge::of(300, short), Err(TileId { level: 0, index: 1 }));
    }
}
