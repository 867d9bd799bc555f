//! [`Proofs`]: the proofs of an open application.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::edge::Edge;
use super::error::ProofError;
use super::projection::{ProofTree, VERSION};
use super::snapshot::TreeSnapshot;
use super::tile::TILE_HASHES;
#[cfg(feature = "http")]
use super::tile::{TileId, TilePath};
use super::{Checkpoint, EventProof, Leaf, ProofKey, SignedCheckpoint, TreeHash};
use crate::events::Stored;
use crate::projections::Reading;
use crate::store::{Interest, NoteKind};

/// How many bytes of payloads are read at a time, for leaves.
const PAYLOAD_BYTES: usize = 4 << 20;

/// How many events are read at a time.
const PAGE: usize = 1_000;

/// The proofs of an open application: [`Annals::proofs`](crate::app::Annals::proofs).
#[derive(Clone, Debug)]
pub struct Proofs(pub(super) Reading);

/// How far the tree and the checkpoints are.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct ProofStatus {
    /// The number of events in the log.
    pub head: u64,
    /// The number of events in the tree.
    pub tree: u64,
    /// The last checkpoint that was published.
    pub checkpoint: Option<Checkpoint>,
    /// The names of the keys of the witnesses whose cosignatures it has. They were verified when they were given.
    pub witnesses: Vec<String>,
}

impl Proofs {
    pub(crate) fn new(reading: Reading) -> Self {
        Self(reading)
    }

    /// Returns how far the tree and the checkpoints are.
    ///
    /// # Errors
    /// When the store or the published checkpoint cannot be read.
    pub async fn status(&self) -> Result<ProofStatus, ProofError> {
        let signed = self.checkpoint().await?;
        let witnesses = signed.iter().flat_map(SignedCheckpoint::witnesses).map(str::to_owned).collect();
        let tree = TreeSnapshot::open(&self.0).await?.size();
        let checkpoint = signed.map(|signed| signed.checkpoint);
        Ok(ProofStatus { head: self.0.log().head().await?.position, tree, checkpoint, witnesses })
    }

    /// Returns the last checkpoint that was published, by whichever process.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn checkpoint(&self) -> Result<Option<SignedCheckpoint>, ProofError> {
        let note = self.0.log().views().note(ProofTree::NAME, VERSION, NoteKind::Checkpoint).await?;
        note.map(|text| text.parse().map_err(ProofError::Published)).transpose()
    }

    /// The last checkpoint, or an error that says how to get one.
    pub(crate) async fn last_checkpoint(&self) -> Result<SignedCheckpoint, ProofError> {
        self.checkpoint().await?.ok_or(ProofError::NoCheckpoint)
    }

    /// Signs a checkpoint of the current tree, unless it has not grown, and publishes it. Several processes and threads may call
    /// this with the same file: two checkpoints of one size never differ. When this returns, the checkpoint is durable beside the key.
    ///
    /// # Errors
    /// [`ProofError::Forked`] when the log contradicts the last checkpoint that was signed. When the tree is behind that checkpoint, as
    /// during a rebuild; when the key or the store cannot be used.
    pub async fn sign(&self, key: &Arc<ProofKey>) -> Result<SignedCheckpoint, ProofError> {
        self.sign_at_most(key, u64::MAX).await
    }

    /// As [`sign`](Self::sign), but of at most this many events.
    pub(super) async fn sign_at_most(
        &self,
        key: &Arc<ProofKey>,
        most: u64,
    ) -> Result<SignedCheckpoint, ProofError> {
        if self.0.log().is_read_only() {
            return Err(ProofError::ReadOnly);
        }
        let of = key.clone();
        let (lock, last) = spawn_blocking(move || Ok::<_, ProofError>((of.lock()?, of.last()?))).await??;
        let mut tree = TreeSnapshot::open(&self.0).await?;
        let is_own = last.origin == key.origin();
        if is_own {
            self.check_continues(&mut tree, &last).await?;
        }
        let size = tree.size().min(most);
        let checkpoint = if is_own && size <= last.size {
            last
        } else {
            let signed = key.sign(size, tree.root(size).await?);
            let (of, kept) = (key.clone(), signed.clone());
            spawn_blocking(move || of.keep(&kept)).await??;
            signed
        };
        self.publish(&checkpoint).await?;
        drop(lock);
        Ok(checkpoint)
    }

    /// Checks that the tree continues from a checkpoint.
    async fn check_continues(&self, tree: &mut TreeSnapshot, last: &SignedCheckpoint) -> Result<(), ProofError> {
        let (size, forked) = (last.size, |how: String| ProofError::Forked { size: last.size, how });
        if tree.size() < size {
            let head = self.0.log().head().await?.position;
            return Err(match head < size {
                true => forked(format!("the log has {head} events")),
                false => ProofError::Behind { tree: tree.size(), wanted: size },
            });
        }
        match tree.root(size).await? {
            root if root == last.root => Ok(()),
            root => Err(forked(format!("its tree of {size} events has the root {root}, not {}", last.root))),
        }
    }

    /// Checks that the log continues from a checkpoint, by the stored tree if it can, otherwise by the events.
    pub(crate) async fn check_continues_from(&self, checkpoint: &Checkpoint) -> Result<(), ProofError> {
        let Checkpoint { size, root, .. } = *checkpoint;
        let head = self.0.log().head().await?.position;
        if head < size {
            return Err(ProofError::NotContinued { size, how: format!("it has {head} events") });
        }
        let found = match TreeSnapshot::open(&self.0).await {
            Ok(mut tree) if tree.size() >= size => tree.root(size).await?,
            // It is not there yet, or of another log: then it is being rebuilt.
            Ok(_) | Err(_) => self.root_of_log(size).await?,
        };
        if found != root {
            let how = format!("its tree of {size} events has the root {found}, not {root}");
            return Err(ProofError::NotContinued { size, how });
        }
        Ok(())
    }

    /// The root of the tree of the first events of the log.
    async fn root_of_log(&self, size: u64) -> Result<TreeHash, ProofError> {
        let mut edge = Edge::default();
        while edge.size() < size {
            let wanted = usize::try_from(size - edge.size()).unwrap_or(usize::MAX).min(PAGE);
            let page = self.0.log().read_bounded(edge.size(), wanted, PAYLOAD_BYTES, &Interest::All).await?;
            for stored in &page.events {
                if stored.position != edge.size() + 1 {
                    return Err(ProofError::NoEvent(edge.size() + 1));
                }
                edge.append(Leaf::of(stored).hash()?, |_, _| {});
            }
            if page.events.is_empty() {
                return Err(ProofError::NoEvent(edge.size() + 1));
            }
        }
        Ok(edge.root())
    }

    /// Makes a checkpoint known to all processes. The key must be locked.
    pub(super) async fn publish(&self, checkpoint: &SignedCheckpoint) -> Result<(), ProofError> {
        let (views, text) = (self.0.log().views(), checkpoint.to_string());
        let about = NoteKind::Checkpoint;
        if views.note(ProofTree::NAME, VERSION, about).await?.as_ref() != Some(&text) {
            views.set_note(ProofTree::NAME, VERSION, about, Some(text)).await?;
        }
        Ok(())
    }

    /// Returns the proof that an event is in the log of the last checkpoint, with its leaf and that checkpoint.
    ///
    /// # Errors
    /// [`ProofError::NotCovered`] when the last checkpoint is of fewer events.
    pub async fn prove(&self, position: u64) -> Result<EventProof, ProofError> {
        let checkpoint = self.last_checkpoint().await?;
        let size = checkpoint.size;
        let index = position.checked_sub(1).filter(|index| *index < size);
        let index = index.ok_or(ProofError::NotCovered { position, size })?;
        let hashes = TreeSnapshot::open(&self.0).await?.inclusion(index, size).await?;
        let event = self.0.log().read_at(&[position]).await?.into_iter().next();
        let leaf = Leaf::of(&event.ok_or(ProofError::NoEvent(position))?);
        Ok(EventProof { leaf: leaf.record()?, index, hashes, checkpoint })
    }

    /// Returns the proof that the log of `old` events is a beginning of the log of `new` events.
    ///
    /// # Errors
    /// When the tree has fewer events.
    pub async fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<TreeHash>, ProofError> {
        TreeSnapshot::open(&self.0).await?.consistency(old, new).await
    }

    /// The size and the root of the stored tree.
    pub(crate) async fn stored_root(&self) -> Result<(u64, TreeHash), ProofError> {
        let mut tree = TreeSnapshot::open(&self.0).await?;
        let size = tree.size();
        Ok((size, tree.root(size).await?))
    }

    /// The bytes of a tile or of a bundle of entries of the log of the last checkpoint. `None` if that log does not have it.
    #[cfg(feature = "http")]
    pub(crate) async fn resource(&self, path: TilePath) -> Result<Option<Vec<u8>>, ProofError> {
        let Some(checkpoint) = self.checkpoint().await? else { return Ok(None) };
        match path {
            TilePath::Hashes(tile, width) if width > 0 && width <= tile.width(checkpoint.size) => {
                Ok(Some(TreeSnapshot::open(&self.0).await?.tile(tile, width).await?))
            }
            TilePath::Entries(index, width) => {
                let leaves = TileId { level: 0, index };
                match width > 0 && width <= leaves.width(checkpoint.size) {
                    true => Ok(Some(self.entries(index, width).await?)),
                    false => Ok(None),
                }
            }
            TilePath::Hashes(..) => Ok(None),
        }
    }

    /// A bundle of entries: each with its length as a 16-bit number.
    pub(super) async fn entries(&self, index: u64, width: u64) -> Result<Vec<u8>, ProofError> {
        let first = index * TILE_HASHES + 1;
        let positions: Vec<u64> = (first..first + width).collect();
        let (mut bundle, mut left) = (Vec::new(), positions.as_slice());
        while let Some(next) = left.first() {
            let events = self.0.log().read_within(left, PAYLOAD_BYTES).await?;
            if events.first().map(|stored: &Stored| stored.position) != Some(*next) {
                return Err(ProofError::NoEvent(*next));
            }
            for stored in &events {
                let Some((_, rest)) = left.split_first().filter(|(expected, _)| **expected == stored.position)
                else {
                    break;
                };
                let record = Leaf::of(stored).record()?;
                bundle.extend(u16::try_from(record.len()).unwrap_or(u16::MAX).to_be_bytes());
                bundle.extend(record);
                left = rest;
            }
        }
        Ok(bundle)
    }
}
