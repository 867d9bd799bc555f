//! [`EventProof`]: the proof that an event is in a log, as C2SP's `tlog-proof` writes it.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine};

use super::policy::{Policy, PolicyError, Trusted};
use super::tree::verify_inclusion;
use super::{InvalidCheckpoint, InvalidLeaf, InvalidTreeHash, Leaf, SignedCheckpoint, TreeHash};

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The most hashes of a proof.
const MAX_HASHES: usize = 63;

/// The proof that an event is in the log of a checkpoint: a text that needs neither the store nor this program to be verified. Save it as
/// `NAME.tlog-proof`. Its line `extra` has the leaf's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventProof {
    /// The record of the leaf: see [`Leaf`].
    pub leaf: Vec<u8>,
    /// The index of the leaf: the position of the event, less one.
    pub index: u64,
    /// The hashes from the leaf's sibling up to below the root.
    pub hashes: Vec<TreeHash>,
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
}

/// A text is no proof, or the proof does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProof {
    /// The text has not the form of a proof.
    #[error("it is no proof of an event: expected {HEADER}, and lines with the leaf, the index and hashes")]
    Malformed,
    /// A line is not a hash.
    #[error("it is no proof of an event")]
    Hash(#[from] InvalidTreeHash),
    /// The checkpoint cannot be read.
    #[error("the checkpoint of the proof cannot be used")]
    Checkpoint(#[from] InvalidCheckpoint),
    /// The checkpoint is not trusted.
    #[error("the checkpoint of the proof cannot be trusted")]
    Policy(#[from] PolicyError),
    /// The leaf is not one.
    #[error("the leaf of the proof cannot be read")]
    Leaf(#[from] InvalidLeaf),
    /// The leaf is of another position.
    #[error("the leaf of the proof is that of event {leaf}, not of event {expected}")]
    Position {
        /// The position in the leaf.
        leaf: u64,
        /// The position by the index.
        expected: u64,
    },
    /// The hashes do not lead to the root.
    #[error("the proof does not hold: event {0}, as the leaf says it, is not in the log of the checkpoint")]
    NotIncluded(u64),
}

impl EventProof {
    /// Verifies the proof, without any store. Returns the leaf, and who vouches for the checkpoint.
    ///
    /// # Errors
    /// When the policy does not trust the checkpoint, or the event is not in its log.
    pub fn verify(&self, policy: &Policy) -> Result<(Leaf, Trusted), InvalidProof> {
        let trusted = policy.check(&self.checkpoint)?;
        let leaf = Leaf::parse(&self.leaf)?;
        let expected = self.index.saturating_add(1);
        if leaf.position != expected {
            return Err(InvalidProof::Position { leaf: leaf.position, expected });
        }
        let hash = TreeHash::of_leaf(&self.leaf);
        match verify_inclusion(&self.hashes, self.index, hash, self.checkpoint.size, self.checkpoint.root) {
            true => Ok((leaf, trusted)),
            false => Err(InvalidProof::NotIncluded(expected)),
        }
    }
}

impl fmt::Display for EventProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leaf, index, hashes, checkpoint } = self;
        writeln!(f, "{HEADER}\nextra {}\nindex {index}", BASE64_STANDARD.encode(leaf))?;
        hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{checkpoint}")
    }
}

impl FromStr for EventProof {
    type Err = InvalidProof;

    fn from_str(text: &str) -> Result<Self, InvalidProof> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(InvalidProof::Malformed)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(InvalidProof::Malformed);
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra "));
        let leaf = extra.and_then(|extra| BASE64_STANDARD.decode(extra).ok()).ok_or(InvalidProof::Malformed)?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(|index| index.parse().ok().filter(|parsed: &u64| parsed.to_string() == index));
        let index = index.ok_or(InvalidProof::Malformed)?;
        let hashes: Vec<TreeHash> = lines.map(str::parse).collect::<Result<_, _>>()?;
        if hashes.len() > MAX_HASHES {
            return Err(InvalidProof::Malformed);
        }
        Ok(Self { leaf, index, hashes, checkpoint: checkpoint.parse()? })
    }
}
