//! Proofs that a stranger can check: a Merkle tree over the log, signed checkpoints of it, and proofs that an event is in it (feature
//! `proofs`).
//!
//! Position n of the log is leaf n − 1 of a SHA-256 tree as RFC 6962 defines it. Checkpoints, tiles, proofs and policies have the formats
//! of C2SP: `signed-note`, `tlog-checkpoint`, `tlog-tiles`, `tlog-proof`, `tlog-cosignature`, `tlog-witness` and `tlog-policy`.
//!
//! ## Layout
//! - `leaf`: [`Leaf`], what the tree says about an event
//! - `tree_hash`, `tree`: [`TreeHash`], and the shape of the tree: which hashes make a root or a proof
//! - `tile`, `edge`: the tiles that hashes are kept in, and the right edge, to which leaves are appended
//! - `projection`: [`ProofTree`], the projection that keeps the tiles
//! - `snapshot`: the tree as of one moment
//! - `note`: texts with signatures
//! - `checkpoint`: [`Checkpoint`], the size and root of a log, and [`SignedCheckpoint`]
//! - `key_file`: [`ProofKey`], the key that signs, and the last checkpoint beside it
//! - `handle`: [`Proofs`], the proofs of an open application
//! - `signer`: signs checkpoints from time to time
//! - `witness`: asks witnesses for cosignatures
//! - `export`, `verify`: a folder of proofs, and its verification without any store
//! - `proof`: [`EventProof`], the proof of one event
//! - `policy`: [`Policy`], which logs and witnesses are trusted
//! - `comparison`: compares the log with checkpoints while it is checked
//! - `error`: [`ProofError`]

mod checkpoint;
mod comparison;
mod edge;
mod error;
mod export;
mod handle;
mod key_file;
mod leaf;
mod note;
mod policy;
mod projection;
mod proof;
mod signer;
mod snapshot;
mod tile;
mod tree;
mod tree_hash;
mod verify;
mod witness;

pub use checkpoint::{Checkpoint, ForkOf, InvalidCheckpoint, SignedCheckpoint};
pub(crate) use comparison::TreeComparison;
pub use error::ProofError;
pub use handle::{ProofStatus, Proofs};
pub use key_file::{ProofKey, ProofKeyError};
pub use leaf::{InvalidLeaf, Leaf, MAX_LEAF_BYTES};
pub use note::{InvalidVerifierKey, KeyType, NoteError, VerifierKey};
pub use policy::{InvalidPolicy, Policy, PolicyError, Trusted, Witness};
pub use projection::ProofTree;
pub use proof::{EventProof, InvalidProof};
pub use signer::Signing;
#[cfg(feature = "http")]
pub(crate) use tile::TilePath;
pub use tile::{TILE_HASHES, TileId, entries_path};
pub use tree::{verify_consistency, verify_inclusion};
pub use tree_hash::{InvalidTreeHash, TreeHash};
pub use verify::{FolderError, VerifiedFolder, verify_folder};
