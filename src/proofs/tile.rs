//! [`TileId`]: the tiles that the hashes of the tree are kept and served in; [`Tiles`], some of them, from which proofs are made.

use std::collections::{BTreeSet, HashMap};
#[cfg(any(feature = "http", test))]
use std::fmt;

use super::TreeHash;
use super::tree::{self, Leaves, Node};

/// The number of hashes in a full tile.
pub const TILE_HASHES: u64 = 256;

/// The levels of the tree in a tile.
const HEIGHT: u8 = 8;

/// A tile of C2SP's `tlog-tiles`: 256 hashes next to each other. Those of level 0 are hashes of leaves, those of level 1 are the roots of
/// the full tiles of level 0, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// The level: 0 to 7.
    pub level: u8,
    /// Its number in the level, from 0.
    pub index: u64,
}

impl TileId {
    /// Returns how many of its hashes a tree of this size has: 256 if it is full, 0 if there are none.
    #[must_use]
    pub fn width(self, size: u64) -> u64 {
        let hashes = size.checked_shr(u32::from(HEIGHT) * u32::from(self.level)).unwrap_or(0);
        hashes.saturating_sub(self.index.saturating_mul(TILE_HASHES)).min(TILE_HASHES)
    }

    /// Returns the tiles of a tree of this size that a tree of the size `than` lacks, level by level: with their widths.
    pub fn more_than(than: u64, size: u64) -> impl Iterator<Item = (Self, u64)> {
        let levels = (0_u8..8).take_while(move |level| size >> (HEIGHT * level) > 0);
        levels.flat_map(move |level| {
            let (before, after) = (than >> (HEIGHT * level), size >> (HEIGHT * level));
            // The last tile before was full, or has become wider.
            (before / TILE_HASHES..after.div_ceil(TILE_HASHES)).filter_map(move |index| {
                let tile = Self { level, index };
                let width = tile.width(size);
                (width > 0 && width != tile.width(than)).then_some((tile, width))
            })
        })
    }

    /// Returns the path below the log's address: `tile/1/x001/234.p/56`. `width`: the number of its hashes.
    #[must_use]
    pub fn path(self, width: u64) -> String {
        format!("tile/{}/{}", self.level, numbered(self.index, width))
    }
}

/// Returns the path of a bundle of entries below the log's address: `tile/entries/x001/234.p/56`. `width`: the number of its entries.
#[must_use]
pub fn entries_path(index: u64, width: u64) -> String {
    format!("tile/entries/{}", numbered(index, width))
}

/// `x001/234/067.p/8`
fn numbered(index: u64, width: u64) -> String {
    let mut path = format!("{:03}", index % 1_000);
    let mut rest = index / 1_000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1_000);
        rest /= 1_000;
    }
    match width < TILE_HASHES {
        true => format!("{path}.p/{width}"),
        false => path,
    }
}

/// What a path below the log's address names.
#[cfg(any(feature = "http", test))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TilePath {
    /// A tile of hashes, and its width.
    Hashes(TileId, u64),
    /// A bundle of entries, and its width.
    Entries(u64, u64),
}

#[cfg(any(feature = "http", test))]
impl TilePath {
    /// Reads what follows `tile/`. `None` if it is not the one way to write a path.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.split_once('/')?;
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok()?),
            None => (rest, TILE_HASHES),
        };
        let mut index = 0_u64;
        for part in number.split('/') {
            let digits = part.strip_prefix('x').unwrap_or(part);
            index = index.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
        }
        let parsed = match level {
            "entries" => Self::Entries(index, width),
            level => Self::Hashes(TileId { level: level.parse().ok()?, index }, width),
        };
        (parsed.to_string() == format!("tile/{path}")).then_some(parsed)
    }
}

#[cfg(any(feature = "http", test))]
impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Hashes(tile, width) => tile.path(*width),
            Self::Entries(index, width) => entries_path(*index, *width),
        })
    }
}

/// Returns the tile that has a node's hashes.
fn tile_of(node: Node) -> TileId {
    let level = node.level / HEIGHT;
    TileId { level, index: (node.index << (node.level % HEIGHT)) / TILE_HASHES }
}

/// Tiles with their bytes: 32 for each hash.
#[derive(Debug, Default)]
pub(super) struct Tiles(HashMap<TileId, Vec<u8>>);

impl Tiles {
    /// The tiles that are needed for the hashes of these leaves.
    pub fn needed(leaves: &[Leaves]) -> BTreeSet<TileId> {
        leaves.iter().flat_map(|leaves| leaves.nodes()).map(tile_of).collect()
    }

    pub fn insert(&mut self, tile: TileId, hashes: Vec<u8>) {
        self.0.insert(tile, hashes);
    }

    /// The hash of some leaves. An error names the tile that is missing or too short.
    pub fn hash(&self, leaves: Leaves) -> Result<TreeHash, TileId> {
        let nodes: Result<Vec<TreeHash>, TileId> = leaves.nodes().into_iter().map(|node| self.node(node)).collect();
        Ok(tree::join(&nodes?))
    }

    fn node(&self, node: Node) -> Result<TreeHash, TileId> {
        let tile = tile_of(node);
        let count = 1_usize << (node.level % HEIGHT);
        let first = usize::try_from((node.index << (node.level % HEIGHT)) % TILE_HASHES).map_err(|_| tile)?;
        let bytes = self
            .0
            .get(&tile)
            .and_then(|hashes| hashes.get(first * TreeHash::BYTES..(first + count) * TreeHash::BYTES));
        Ok(complete(&hashes(bytes.ok_or(tile)?)))
    }
}

/// The hashes in the bytes of a tile.
pub(super) fn hashes(bytes: &[u8]) -> Vec<TreeHash> {
    bytes.as_chunks::<{ TreeHash::BYTES }>().0.iter().map(|bytes| TreeHash::from_bytes(*bytes)).collect()
}

/// The root of a complete subtree. The number of hashes is a power of two.
pub(super) fn complete(hashes: &[TreeHash]) -> TreeHash {
    let mut hashes = hashes.to_vec();
    while hashes.len() > 1 {
        hashes =
            hashes.as_chunks::<2>().0.iter().map(|[left, right]| TreeHash::of_children(*left, *right)).collect();
    }
    hashes.first().copied().unwrap_or_else(TreeHash::of_empty_tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_that_of_tlog_tiles_and_is_read_in_that_form_alone() {
        let tile = |level, index, width| TilePath::Hashes(TileId { level, index }, width);
        for (path, parsed) in [
            ("0/x001/x234/067", tile(0, 1_234_067, 256)),
            ("2/000.p/1", tile(2, 0, 1)),
            ("1/x001/000.p/255", tile(1, 1_000, 255)),
            ("entries/273.p/112", TilePath::Entries(273, 112)),
            ("entries/999", TilePath::Entries(999, 256)),
        ] {
            assert_eq!(TilePath::parse(path), Some(parsed), "{path}");
            assert_eq!(parsed.to_string(), format!("tile/{path}"));
        }
        for wrong in [
            "",
            "0",
            "0/",
            "0/1",
            "0/0001",
            "00/001",
            "0/x001",
            "0/x1/000",
            "0/001/x002",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/",
            "-1/000",
            "0/x000/001",
            "entries",
            "Entries/001",
            "0/../000",
            "0/001.p/1/",
            "0/+01",
            "999/000",
            "0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(TilePath::parse(wrong), None, "{wrong}");
        }
    }

    /// The examples of the specification.
    #[test]
    fn the_widths_of_tiles_are_those_of_tlog_tiles() {
        let all = |size| {
            TileId::more_than(0, size).fold(std::collections::BTreeMap::new(), |mut all, (tile, width)| {
                let (full, partial) = all.entry(tile.level).or_insert((0, 0));
                if width == 256 {
                    *full += 1
                } else {
                    *partial += width
                }
                all
            })
        };
        assert_eq!(all(70_000), [(0, (273, 112)), (1, (1, 17)), (2, (0, 1))].into());
        assert_eq!(all(256), [(0, (1, 0)), (1, (0, 1))].into());
        assert_eq!(all(0), [].into());
        let grown: Vec<_> = TileId::more_than(256, 257).collect();
        assert_eq!(grown, [(TileId { level: 0, index: 1 }, 1)]);
    }
}
