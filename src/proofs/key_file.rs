//! [`ProofKey`]: the file of the key that signs checkpoints, and the last checkpoint that it signed, beside it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::checkpoint::{Checkpoint, ForkOf, SignedCheckpoint};
use super::note::{KeyType, NoteSigner, SignedNote, VerifierKey, is_key_name};
use super::{InvalidCheckpoint, TreeHash};
use crate::private_file::{find_shared, find_untrusted, private};
use crate::small_file::read_open;

/// How long a process waits until another one has signed.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// The file of the key that signs checkpoints. It is its owner's alone (mode 0600); another one is refused. Beside it, in
/// `FILE.checkpoint`, is the last checkpoint that was signed: nothing that contradicts it is signed. Keep both together, on a disk that is
/// not restored from a backup with the log.
///
/// ```
/// use annals::proofs::ProofKey;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("proofs.key");
/// let key = ProofKey::create(&path, "example.org/job_server")?;
/// // What verifiers need; it may be known to everybody.
/// println!("{}", key.public());
/// assert_eq!(key.last()?.size, 0);
/// # Ok::<(), annals::BoxError>(())
/// ```
#[derive(Debug)]
pub struct ProofKey {
    path: PathBuf,
    signer: NoteSigner,
    fork_of: Option<ForkOf>,
}

/// Why the file of a key cannot be used or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofKeyError {
    /// The name is not that of a key.
    #[error("`{}` cannot be the name of a log: use a domain and a path, like example.org/job_server, without spaces and `+`", .0.escape_debug())]
    Name(String),
    /// The file cannot be created.
    #[error("cannot create {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file cannot be read, or is not its owner's alone.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file has no key.
    #[error("{} has no key that signs checkpoints", .0.display())]
    Content(PathBuf),
    /// The last checkpoint is missing.
    #[error(
        "{} is missing: it has the last checkpoint that the key signed, without which the log could contradict it. Put it back; if it is \
         lost, begin a log of another name with a new key: `proofs init`",
        .0.display()
    )]
    NoCheckpoint(PathBuf),
    /// The last checkpoint cannot be used.
    #[error("{} is not a checkpoint that this key signed", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: InvalidCheckpoint,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process signs for too long.
    #[error("another process uses {} for longer than {LOCK_WAIT:?}: try again, or find the process that holds its lock", .0.display())]
    Busy(PathBuf),
    /// There is no randomness for a key.
    #[error("the system gives no random bytes for a key")]
    Random(#[source] io::Error),
}

impl ProofKey {
    /// Creates a file with a new key for a log with this name, the origin of its checkpoints, and signs the checkpoint of the empty tree.
    /// Neither file may exist.
    ///
    /// # Errors
    /// When one exists or cannot be created, or the name cannot be that of a key.
    pub fn create(path: impl Into<PathBuf>, origin: &str) -> Result<Self, ProofKeyError> {
        let key = Self::generate(path.into(), origin, None)?;
        let first = key.sign(0, TreeHash::of_empty_tree());
        // The checkpoint comes first: a key without one signs nothing.
        let create = |path: PathBuf, content: String| {
            let created = write_new(&path, &content).and_then(|()| sync_directory(&path));
            created.map_err(|source| ProofKeyError::Create { path, source })
        };
        if key.path.exists() {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(ProofKeyError::Create { path: key.path, source });
        }
        create(key.beside("checkpoint"), first.to_string())?;
        create(key.path.clone(), key.to_text())?;
        Ok(key)
    }

    fn generate(path: PathBuf, origin: &str, fork_of: Option<ForkOf>) -> Result<Self, ProofKeyError> {
        if !is_key_name(origin) {
            return Err(ProofKeyError::Name(origin.chars().take(300).collect()));
        }
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| ProofKeyError::Random(io::Error::other(error)))?;
        Ok(Self { path, signer: NoteSigner::new(origin, KeyType::Ed25519, secret), fork_of })
    }

    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read, other users may read or write it, another user may have put it there, or it has no key.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ProofKeyError> {
        let path = path.into();
        let content = read_private(&path).map_err(|source| ProofKeyError::Read { path: path.clone(), source })?;
        let parse = || {
            let text = std::str::from_utf8(&content).ok()?;
            let mut lines = text.lines();
            let signer = NoteSigner::parse(lines.next()?)?;
            let fork_of = match lines.next() {
                Some(line) => Some(ForkOf::parse(line)?),
                None => None,
            };
            lines.next().is_none().then_some((signer, fork_of))
        };
        match parse() {
            Some((signer, fork_of)) => Ok(Self { path, signer, fork_of }),
            None => Err(ProofKeyError::Content(path)),
        }
    }

    fn to_text(&self) -> String {
        let fork = self.fork_of.as_ref().map(|fork| format!("{fork}\n")).unwrap_or_default();
        format!("{}\n{fork}", self.signer.to_text())
    }

    /// The name of the log: the origin of its checkpoints.
    #[must_use]
    pub fn origin(&self) -> String {
        self.public().name().to_owned()
    }

    /// The public key, with which checkpoints are verified.
    #[must_use]
    pub fn public(&self) -> VerifierKey {
        self.signer.verifier()
    }

    /// `FILE.extension`
    pub(super) fn beside(&self, extension: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(extension);
        name.into()
    }

    /// The last checkpoint that was signed: of this log, or after a fork and before the first checkpoint, the last one of the old log.
    ///
    /// # Errors
    /// When it is missing, or another key signed it.
    pub fn last(&self) -> Result<SignedCheckpoint, ProofKeyError> {
        let path = self.beside("checkpoint");
        let content = match File::open(&path).and_then(|file| read_open(&file)) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ProofKeyError::NoCheckpoint(path)),
            Err(source) => return Err(ProofKeyError::Read { path, source }),
        };
        let text = String::from_utf8_lossy(&content);
        let failed = |source| ProofKeyError::Checkpoint { path: path.clone(), source };
        let last: SignedCheckpoint = text.parse().map_err(failed)?;
        if !self.fork_of.as_ref().is_some_and(|fork| fork.is(&last)) {
            last.verify(&self.public()).map_err(failed)?;
        }
        Ok(last)
    }

    /// Signs a checkpoint, and does nothing else.
    pub(super) fn sign(&self, size: u64, root: TreeHash) -> SignedCheckpoint {
        let checkpoint = Checkpoint { origin: self.origin(), size, root, fork_of: self.fork_of.clone() };
        let note = SignedNote::new(checkpoint.text(), self.signer.sign(&checkpoint.text(), 0));
        SignedCheckpoint { checkpoint, note }
    }

    /// Replaces the last checkpoint. When it returns, that is durable. The lock must be held.
    pub(super) fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<(), ProofKeyError> {
        let path = self.beside("checkpoint");
        replace(&path, &checkpoint.to_string()).map_err(|source| ProofKeyError::Write { path, source })
    }

    /// Locks the file against other processes and threads, until the lock is dropped or the process ends.
    pub(super) fn lock(&self) -> Result<KeyLock, ProofKeyError> {
        let path = self.beside("lock");
        let failed = |source| ProofKeyError::Write { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        private(&mut options);
        let file = options.open(&path).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(KeyLock { _file: file }),
                Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT => sleep(Duration::from_millis(5)),
                Err(TryLockError::WouldBlock) => return Err(ProofKeyError::Busy(self.path.clone())),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// Begins a log of another name with a new key, whose checkpoints name the last one of this log: after the log was restored from an
    /// older backup, it cannot go on from there. The old key and its last checkpoint are kept as `FILE.forked-ID` and
    /// `FILE.checkpoint.forked-ID`.
    ///
    /// # Errors
    /// When the name is the same or cannot be that of a key, or a file cannot be written. Then the key is as before.
    pub fn fork(self, origin: &str) -> Result<Self, ProofKeyError> {
        let _lock = self.lock()?;
        // Another process may have forked it meanwhile.
        let now = Self::open(&self.path)?;
        let last = now.last()?;
        if origin == now.origin() || origin == last.origin {
            return Err(ProofKeyError::Name(origin.to_owned()));
        }
        let Checkpoint { origin: old, size, root, .. } = last.checkpoint.clone();
        let forked = Self::generate(self.path.clone(), origin, Some(ForkOf { origin: old, size, root }))?;
        let id = format!("{:08x}", now.public().id());
        for (name, content) in [("forked", now.to_text()), ("checkpoint.forked", last.to_string())] {
            let path = self.beside(&format!("{name}-{id}"));
            replace(&path, &content).map_err(|source| ProofKeyError::Write { path, source })?;
        }
        let path = &forked.path;
        replace(path, &forked.to_text()).map_err(|source| ProofKeyError::Write { path: path.clone(), source })?;
        Ok(forked)
    }
}

/// The lock of a key file.
#[derive(Debug)]
pub(super) struct KeyLock {
    _file: File,
}

fn read_private(path: &Path) -> io::Result<Vec<u8>> {
    if let Some(reason) = find_untrusted(path, None)? {
        return Err(io::Error::other(reason));
    }
    let file = File::open(path)?;
    match find_shared(&file)? {
        Some(reason) => Err(io::Error::new(io::ErrorKind::PermissionDenied, reason)),
        None => read_open(&file),
    }
}

fn write_new(path: &Path, content: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    let mut file = options.open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// Replaces a file as a whole, durably. Only who holds the lock calls it: a part that a killed process left is overwritten.
fn replace(path: &Path, content: &str) -> io::Result<()> {
    let mut part = path.to_owned().into_os_string();
    part.push(".new");
    let part = PathBuf::from(part);
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(&part, content)?;
    fs::rename(&part, path)?;
    sync_directory(path)
}

/// Makes the name of the file durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_is_private_made_once_and_signs_nothing_without_its_last_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proofs.key");
        let key = ProofKey::create(&path, "example.org/log").unwrap();
        for file in [path.clone(), key.beside("checkpoint")] {
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let again = ProofKey::create(&path, "example.org/log").unwrap_err();
        assert!(matches!(again, ProofKeyError::Create { .. }), "{again}");
        assert_eq!(ProofKey::open(&path).unwrap().public(), key.public());
        assert_eq!(key.last().unwrap().root, TreeHash::of_empty_tree());
        assert!(!format!("{key:?}").contains("PRIVATE"));

        fs::rename(key.beside("checkpoint"), folder.path().join("away")).unwrap();
        assert!(matches!(key.last(), Err(ProofKeyError::NoCheckpoint(_))));
        fs::write(
            key.beside("checkpoint"),
            fs::read_to_string(folder.path().join("away")).unwrap().replace('0', "1"),
        )
        .unwrap();
        assert!(matches!(key.last(), Err(ProofKeyError::Checkpoint { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(ProofKey::open(&path), Err(ProofKeyError::Read { .. })));
        for wrong in ["", "a b", "a+b", "a\nb", &"x".repeat(256)] {
            let error = ProofKey::create(folder.path().join("other"), wrong).unwrap_err();
            assert!(matches!(error, ProofKeyError::Name(_)), "{wrong}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_fork_has_another_name_and_key_and_names_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proofs.key");
        let key = ProofKey::create(&path, "example.org/log").unwrap();
        let root = TreeHash::of_leaf(b"a");
        key.keep(&key.sign(1, root)).unwrap();
        let (id, old) = (key.public().id(), key.public());
        assert!(matches!(ProofKey::open(&path).unwrap().fork("example.org/log"), Err(ProofKeyError::Name(_))));
        let forked = key.fork("example.org/log/2").unwrap();
        assert_ne!(forked.public(), old);
        let opened = ProofKey::open(&path).unwrap();
        assert_eq!(opened.last().unwrap().origin, "example.org/log", "the old one is the last one");
        let first = opened.sign(0, TreeHash::of_empty_tree());
        assert_eq!(first.fork_of, Some(ForkOf { origin: "example.org/log".to_owned(), size: 1, root }));
        opened.keep(&first).unwrap();
        assert_eq!(opened.last().unwrap(), first);
        let kept = fs::read_to_string(opened.beside(&format!("checkpoint.forked-{id:08x}"))).unwrap();
        kept.parse::<SignedCheckpoint>().unwrap().verify(&old).unwrap();
    }
}
