//! [`Checkpoint`]: the size and the root of the tree, and [`SignedCheckpoint`], with signatures.

use std::fmt;
use std::str::FromStr;

use super::note::{NoteError, SignedNote, VerifierKey};
use super::{InvalidTreeHash, TreeHash};

/// What a log says about its tree, as C2SP's `tlog-checkpoint` writes it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Checkpoint {
    /// The name of the log: that of its key.
    pub origin: String,
    /// The number of events: the position of the last one.
    pub size: u64,
    /// The root of the tree of these events, in base64.
    #[cfg_attr(feature = "http", schema(value_type = String))]
    pub root: TreeHash,
    /// The last checkpoint of the log that this one was forked from: `proofs fork`.
    pub fork_of: Option<ForkOf>,
}

/// The last checkpoint of a log that another one continues with, although it does not go on from there.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct ForkOf {
    /// The name of the old log.
    pub origin: String,
    /// The size of its tree.
    pub size: u64,
    /// The root of its tree, in base64.
    #[cfg_attr(feature = "http", schema(value_type = String))]
    pub root: TreeHash,
}

impl fmt::Display for ForkOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fork-of {} {} {}", self.origin, self.size, self.root)
    }
}

impl ForkOf {
    /// Reads a line.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("fork-of ")?.split(' ');
        let fork = Self {
            origin: words.next()?.to_owned(),
            size: words.next()?.parse().ok()?,
            root: words.next()?.parse().ok()?,
        };
        (words.next().is_none() && fork.to_string() == line).then_some(fork)
    }

    /// Whether it names this checkpoint.
    pub(super) fn is(&self, checkpoint: &Checkpoint) -> bool {
        (&self.origin, self.size, self.root) == (&checkpoint.origin, checkpoint.size, checkpoint.root)
    }
}

/// A text is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCheckpoint {
    /// It is not a signed note.
    #[error("it is no checkpoint")]
    Note(#[from] NoteError),
    /// The signed text is not that of a checkpoint.
    #[error("it is no checkpoint: expected lines with the origin, the size of the tree and its root")]
    Text,
    /// Its root is not a hash.
    #[error("it is no checkpoint")]
    Root(#[from] InvalidTreeHash),
    /// No signature is of the expected key.
    #[error("the checkpoint of {origin} is not signed with the key {key}")]
    Unsigned {
        /// The origin that the checkpoint names.
        origin: String,
        /// The expected key.
        key: String,
    },
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { origin, size, root, fork_of } = self;
        let fork = fork_of.as_ref().map(|fork| format!("{fork}\n")).unwrap_or_default();
        format!("{origin}\n{size}\n{root}\n{fork}")
    }

    /// Reads the text of a checkpoint. Lines that other programs add are allowed.
    fn parse(text: &str) -> Result<Self, InvalidCheckpoint> {
        let mut lines = text.split_terminator('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(InvalidCheckpoint::Text);
        };
        let more: Vec<&str> = lines.collect();
        let parsed = size.parse::<u64>().ok().filter(|parsed| parsed.to_string() == size);
        let size = parsed.filter(|_| !origin.is_empty() && more.iter().all(|line| !line.is_empty()));
        Ok(Self {
            origin: origin.to_owned(),
            size: size.ok_or(InvalidCheckpoint::Text)?,
            root: root.parse()?,
            fork_of: more.into_iter().find_map(ForkOf::parse),
        })
    }
}

/// A checkpoint with its signatures, as the log publishes it. [`parse`](str::parse) does not verify them: [`verify`](Self::verify) does.
///
/// ```
/// use annals::proofs::{ProofKey, SignedCheckpoint};
///
/// # let folder = tempfile::tempdir()?;
/// let key = ProofKey::create(folder.path().join("proofs.key"), "example.org/job_server")?;
/// let text = key.last()?.to_string();
/// let checkpoint: SignedCheckpoint = text.parse()?;
/// checkpoint.verify(&key.public())?;
/// assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.org/job_server", 0));
/// # Ok::<(), annals::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: SignedNote,
}

impl std::ops::Deref for SignedCheckpoint {
    type Target = Checkpoint;

    fn deref(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

impl SignedCheckpoint {
    /// Checks that the log with this key signed it: the name of the key is its origin.
    ///
    /// # Errors
    /// When it did not.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), InvalidCheckpoint> {
        match self.note.verify(key)? {
            Some(_) if key.name() == self.origin => Ok(()),
            _ => Err(InvalidCheckpoint::Unsigned { origin: self.origin.clone(), key: key.to_string() }),
        }
    }

    /// The names of the keys of the witnesses whose cosignatures it has, none of which is verified here: see
    /// [`Policy::check`](super::Policy::check).
    pub fn witnesses(&self) -> impl Iterator<Item = &str> {
        self.note.signers().filter(|name| *name != self.origin)
    }
}

impl FromStr for SignedCheckpoint {
    type Err = InvalidCheckpoint;

    fn from_str(text: &str) -> Result<Self, InvalidCheckpoint> {
        let note = SignedNote::parse(text)?;
        Ok(Self { checkpoint: Checkpoint::parse(note.text())?, note })
    }
}

impl fmt::Display for SignedCheckpoint {
    /// The signed note.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::{KeyType, NoteSigner};
    use super::*;

    fn signed(text: &str, name: &str) -> (String, VerifierKey) {
        let signer = NoteSigner::new(name, KeyType::Ed25519, [3; 32]);
        (SignedNote::new(text.to_owned(), signer.sign(text, 0)).to_string(), signer.verifier())
    }

    #[test]
    fn a_checkpoint_is_read_as_it_is_written_and_holds_for_its_own_origin() {
        let root = TreeHash::of_leaf(b"a");
        let fork_of = Some(ForkOf { origin: "old".to_owned(), size: 8, root });
        for fork_of in [None, fork_of] {
            let checkpoint = Checkpoint { origin: "log".to_owned(), size: 7, root, fork_of };
            let (text, key) = signed(&checkpoint.text(), "log");
            let parsed: SignedCheckpoint = text.parse().unwrap();
            assert_eq!((&*parsed, parsed.to_string()), (&checkpoint, text));
            parsed.verify(&key).unwrap();
            let (text, key) = signed(&checkpoint.text(), "other");
            let parsed: SignedCheckpoint = text.parse().unwrap();
            assert!(matches!(parsed.verify(&key), Err(InvalidCheckpoint::Unsigned { .. })));
        }
    }

    #[test]
    fn another_text_is_no_checkpoint() {
        let root = TreeHash::of_leaf(b"a");
        let good = format!("log\n7\n{root}\n");
        assert!(signed(&good, "log").0.parse::<SignedCheckpoint>().is_ok());
        assert!(signed(&format!("{good}something else\n"), "log").0.parse::<SignedCheckpoint>().is_ok());
        for wrong in [
            "log\n7\n".to_owned(),
            format!("\n7\n{root}\n"),
            format!("log\n07\n{root}\n"),
            format!("log\n+7\n{root}\n"),
            format!("log\n-1\n{root}\n"),
            format!("log\n7\n{root}A\n"),
            format!("{good}\nx\n"),
        ] {
            assert!(signed(&wrong, "log").0.parse::<SignedCheckpoint>().is_err(), "{wrong}");
        }
    }
}
