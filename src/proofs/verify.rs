//! Verifies a folder of proofs, without any store.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use uuid::Uuid;

use super::edge::Edge;
use super::export::CHECKPOINT;
use super::policy::{Policy, PolicyError, Trusted};
use super::tile::{TILE_HASHES, TileId, entries_path};
use super::{Checkpoint, InvalidCheckpoint, InvalidLeaf, Leaf, MAX_LEAF_BYTES, SignedCheckpoint, TreeHash};

/// The largest file that is read: a bundle of 256 entries with the longest leaves.
const MAX_BYTES: u64 = (TILE_HASHES * (MAX_LEAF_BYTES as u64 + 2)) + 1;

/// The result of the verification of a folder.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct VerifiedFolder {
    /// The checkpoint, whose log the folder has whole.
    pub checkpoint: Checkpoint,
    /// Who vouches for it.
    pub trusted: Trusted,
    /// The size of the earlier checkpoint that it continues from, if one was given.
    pub continues_from: Option<u64>,
}

/// A folder does not have the log of its checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A checkpoint cannot be read.
    #[error("{} has no checkpoint", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: InvalidCheckpoint,
    },
    /// The policy does not trust a checkpoint.
    #[error("the checkpoint of {size} events cannot be trusted")]
    Policy {
        /// The size.
        size: u64,
        /// The cause.
        source: PolicyError,
    },
    /// A bundle of entries is cut off or too long.
    #[error("{} has not the entries that the checkpoint needs", .0.display())]
    Entries(PathBuf),
    /// An entry is not a leaf.
    #[error("entry {index} is not an event of a log")]
    Leaf {
        /// Its index.
        index: u64,
        /// The cause.
        source: InvalidLeaf,
    },
    /// An entry contradicts the one before it, or its place.
    #[error("entry {index} is not the event after the one before it: {problem}")]
    Order {
        /// Its index.
        index: u64,
        /// The fault.
        problem: &'static str,
    },
    /// A tile has not the hashes of its entries.
    #[error("{} has not the hashes of the entries: one of them was changed", .0.display())]
    Tile(PathBuf),
    /// The entries have not the root of the checkpoint.
    #[error(
        "the {size} entries have the root {found}, the checkpoint says {expected}: an event was changed, added or left out"
    )]
    Root {
        /// The number of entries.
        size: u64,
        /// Their root.
        found: TreeHash,
        /// The root of the checkpoint.
        expected: TreeHash,
    },
    /// The earlier checkpoint is of another log, or of more events.
    #[error(
        "the checkpoint of {now} ({size} events) does not go on from that of {earlier} ({earlier_size} events)"
    )]
    NotLater {
        /// The origin.
        now: String,
        /// The size.
        size: u64,
        /// The origin of the earlier one.
        earlier: String,
        /// Its size.
        earlier_size: u64,
    },
}

/// Verifies that a folder, as an export writes it and `tlog-tiles` lays it out, has the whole log of a checkpoint that the policy trusts:
/// each entry, each tile, the order of the events, and the root. With an earlier checkpoint of the log: that the log continues from there,
/// so that nothing that was in it was changed. Reads the files one by one, in the calling thread.
///
/// # Errors
/// When a file is missing or invalid, a signature is missing, or a hash differs: the message says which.
pub fn verify_folder(
    folder: &Path,
    policy: &Policy,
    earlier: Option<&SignedCheckpoint>,
    mut progress: impl FnMut(u64, u64),
) -> Result<VerifiedFolder, FolderError> {
    let path = folder.join(CHECKPOINT);
    let text = String::from_utf8_lossy(&read(&path)?).into_owned();
    let signed: SignedCheckpoint = text.parse().map_err(|source| FolderError::Checkpoint { path, source })?;
    let trust =
        |of: &SignedCheckpoint| policy.check(of).map_err(|source| FolderError::Policy { size: of.size, source });
    let trusted = trust(&signed)?;
    if let Some(earlier) = earlier {
        trust(earlier)?;
        if earlier.origin != signed.origin || earlier.size > signed.size {
            return Err(FolderError::NotLater {
                now: signed.origin.clone(),
                size: signed.size,
                earlier: earlier.origin.clone(),
                earlier_size: earlier.size,
            });
        }
    }
    let size = signed.size;
    let (mut edge, mut last) = (Edge::default(), Last::default());
    let compare = |edge: &Edge, with: &Checkpoint| match edge.root() {
        root if root == with.root => Ok(()),
        found => Err(FolderError::Root { size: edge.size(), found, expected: with.root }),
    };
    let is_earlier = |at: u64| earlier.filter(|earlier| earlier.size == at);
    is_earlier(0).map_or(Ok(()), |earlier| compare(&edge, earlier))?;
    for (tile, width) in TileId::more_than(0, size).filter(|(tile, _)| tile.level == 0) {
        let path = folder.join(entries_path(tile.index, width));
        let bundle = read(&path)?;
        let mut rest = bundle.as_slice();
        for _ in 0..width {
            let (record, after) = split(rest).ok_or_else(|| FolderError::Entries(path.clone()))?;
            rest = after;
            last.next(edge.size(), record)?;
            let mut full = Vec::new();
            edge.append(TreeHash::of_leaf(record), |tile, hashes| full.push((tile, hashes)));
            for (tile, hashes) in full {
                check_tile(folder, tile, TILE_HASHES, &hashes)?;
            }
            is_earlier(edge.size()).map_or(Ok(()), |earlier| compare(&edge, earlier))?;
        }
        if !rest.is_empty() {
            return Err(FolderError::Entries(path));
        }
        progress(edge.size(), size);
    }
    for (tile, hashes) in edge.partial() {
        check_tile(folder, tile, tile.width(size), &hashes)?;
    }
    compare(&edge, &signed)?;
    let continues_from = earlier.map(|earlier| earlier.size);
    Ok(VerifiedFolder { checkpoint: signed.checkpoint, trusted, continues_from })
}

/// What the next entry is compared with.
#[derive(Default)]
struct Last {
    event_id: Uuid,
    recorded_at: Option<Timestamp>,
}

impl Last {
    fn next(&mut self, index: u64, record: &[u8]) -> Result<(), FolderError> {
        let leaf = Leaf::parse(record).map_err(|source| FolderError::Leaf { index, source })?;
        let problem = if leaf.position != index + 1 {
            "its position is not the next one"
        } else if leaf.event_id <= self.event_id {
            "its id is not greater"
        } else if self.recorded_at.is_some_and(|before| leaf.recorded_at < before) {
            "it was recorded earlier"
        } else {
            *self = Self { event_id: leaf.event_id, recorded_at: Some(leaf.recorded_at) };
            return Ok(());
        };
        Err(FolderError::Order { index, problem })
    }
}

/// The first entry of a bundle, and the rest.
fn split(bundle: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bundle.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn check_tile(folder: &Path, tile: TileId, width: u64, hashes: &[u8]) -> Result<(), FolderError> {
    let path = folder.join(tile.path(width));
    match read(&path)? == hashes {
        true => Ok(()),
        false => Err(FolderError::Tile(path)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FolderError> {
    let mut content = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut content));
    match read {
        Ok(_) => Ok(content),
        Err(source) => Err(FolderError::Read { path: path.to_owned(), source }),
    }
}
