//! [`KeyFile`]: the file of the keys, and [`Keys`], which follow it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(any(feature = "http", test))]
use std::time::Duration;

use tokio::sync::watch;

use super::{AccessToken, InvalidKeys, KeyInfo, KeySet, MintError, Signer, TokenError};
use crate::followed_file::{self, FollowError, Followed, Format};
use crate::private_file::{find_shared, find_untrusted, private};
use crate::small_file::read_open;

/// The file of the keys: text, with the private key and the public keys that are still accepted. It is its owner's alone (mode
/// 0600); another one is refused.
///
/// ```
/// use annals::tokens::{KeyFile, Keys};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("tokens.keys");
/// let mut file = KeyFile::create(&path)?;
/// // Each half year: from now on tokens are signed with a new key, and those of the old one are still accepted …
/// let old = file.keys().signer()?.id();
/// file.rotate()?;
/// // … until it is removed.
/// file.remove(old)?;
/// # Ok::<(), annals::BoxError>(())
/// ```
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    keys: KeySet,
}

/// Why a key file cannot be used or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file cannot be created.
    #[error("cannot create the key file {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file cannot be read, or is not its owner's alone.
    #[error("cannot read the key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The content of the file cannot be used.
    #[error("cannot use the key file {}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: InvalidKeys,
    },
    /// The file cannot be changed.
    #[error("cannot write the key file {}; it is as before", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The key to be removed is not there, or signs.
    #[error("key {0} cannot be removed: it is not in the file, or new tokens are signed with it (rotate first)")]
    NotRemovable(u32),
}

impl KeyFile {
    /// Creates a file with one new key. It must not exist.
    ///
    /// # Errors
    /// When it exists, or cannot be created.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, KeyFileError> {
        let (path, keys) = (path.into(), KeySet::generate());
        let created = write_new(&path, &keys).and_then(|()| sync_directory(&path));
        created.map_err(|source| KeyFileError::Create { path: path.clone(), source })?;
        Ok(Self { path, keys })
    }

    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read, other users may read or write it, another user may have put it there, or it has no usable keys.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeyFileError> {
        let path = path.into();
        let (content, _) = read(&path).map_err(|source| KeyFileError::Read { path: path.clone(), source })?;
        let keys =
            KeySet::parse(&content).map_err(|source| KeyFileError::Content { path: path.clone(), source })?;
        Ok(Self { path, keys })
    }

    /// The keys, as they were when the file was opened or last changed through this value.
    #[must_use]
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Adds a new private key, with which tokens are signed from now on. Tokens of the old one are still accepted. Servers that
    /// follow the file use it within two seconds. Returns the id of the new key.
    ///
    /// # Errors
    /// When the file cannot be read again or written.
    pub fn rotate(&mut self) -> Result<u32, KeyFileError> {
        self.change(|keys| Ok(keys.rotate()))
    }

    /// Removes an old public key: no token of it is accepted any more, by servers that follow the file within two seconds.
    ///
    /// # Errors
    /// When it is not there, new tokens are signed with it, or the file cannot be read again or written.
    pub fn remove(&mut self, id: u32) -> Result<(), KeyFileError> {
        self.change(|keys| keys.remove(id).then_some(()).ok_or(KeyFileError::NotRemovable(id)))
    }

    /// Changes the present content. The file beside it, which replaces it, is the lock: it can be created once.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&mut KeySet) -> Result<T, KeyFileError>,
    ) -> Result<T, KeyFileError> {
        let failed = |source| KeyFileError::Write { path: self.path.clone(), source };
        let mut next = self.path.clone().into_os_string();
        next.push(".new");
        let next = PathBuf::from(next);
        let lock = create_private(&next).map_err(|error| failed(in_the_way(&next, error)))?;
        let changed = Self::open(&self.path).and_then(|mut file| {
            let result = change(&mut file.keys)?;
            let written = write(lock, &file.keys).and_then(|()| fs::rename(&next, &self.path));
            written.and_then(|()| sync_directory(&self.path)).map_err(failed)?;
            Ok((result, file.keys))
        });
        match changed {
            Ok((result, keys)) => {
                self.keys = keys;
                Ok(result)
            }
            Err(error) => {
                // After a rename it is gone already.
                let _ = fs::remove_file(&next);
                Err(error)
            }
        }
    }
}

/// Keys that verify and sign tokens. Those [of a file](Self::from_file) follow it: when the file changes, its new keys are used
/// without a restart. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Keys(Arc<watch::Receiver<Followed<KeySet>>>);

impl Keys {
    /// One new key, which no other process has, and which is lost when the process ends: for tests.
    #[must_use]
    pub fn generate() -> Self {
        Self(Arc::new(Followed::fixed(KeySet::generate())))
    }

    /// Loads the keys of a file, and follows it: keys that are added are accepted and keys that are removed are refused within two
    /// seconds, also for open streams.
    ///
    /// If the file cannot be read or used later, the keys stay as they are; the log says so, and the metric
    /// `annals_keys_stale_seconds` counts.
    ///
    /// # Errors
    /// As [`KeyFile::open`].
    pub async fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        let path = path.as_ref();
        match followed_file::follow(path, Format { read, parse: KeySet::parse }).await {
            Ok(keys) => Ok(Self(Arc::new(keys))),
            Err(FollowError::Read(source)) => Err(KeyFileError::Read { path: path.to_owned(), source }),
            Err(FollowError::Parse(source)) => Err(KeyFileError::Content { path: path.to_owned(), source }),
        }
    }

    /// The current keys.
    #[must_use]
    pub fn current(&self) -> Arc<KeySet> {
        self.0.borrow().value.clone()
    }

    /// The current key that signs tokens.
    ///
    /// # Errors
    /// When there are public keys only.
    pub fn signer(&self) -> Result<Arc<Signer>, MintError> {
        self.current().signer().cloned()
    }

    /// The current public keys.
    #[must_use]
    pub fn infos(&self) -> Vec<KeyInfo> {
        self.current().infos()
    }

    /// Verifies a token, as [`KeySet::verify`].
    ///
    /// # Errors
    /// As [`KeySet::verify`].
    pub fn verify(&self, text: &str) -> Result<AccessToken, TokenError> {
        self.current().verify(text)
    }

    /// How long the file has been unreadable or unusable; zero if the keys are current.
    #[cfg(any(feature = "http", test))]
    pub(crate) fn stale_for(&self) -> Duration {
        self.0.borrow().stale_for()
    }

    /// Waits until the key that a token is signed with is not accepted any more.
    pub(crate) async fn withdrawn(&self, key: &KeyInfo) {
        followed_file::until_without(&self.0, |keys| {
            keys.infos().iter().any(|other| (other.id, &other.key) == (key.id, &key.key))
        })
        .await;
    }
}

/// Reads a key file that is its owner's alone.
pub(super) fn read(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    if let Some(reason) = find_untrusted(path, None)? {
        return Err(io::Error::other(reason));
    }
    let file = File::open(path)?;
    match find_shared(&file)? {
        Some(reason) => Err(io::Error::new(io::ErrorKind::PermissionDenied, reason)),
        None => Ok((read_open(&file)?, file.metadata()?.is_file())),
    }
}

/// Creates a file that is its owner's alone. It must not exist.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    options.open(path)
}

fn write_new(path: &Path, keys: &KeySet) -> io::Result<()> {
    let file = create_private(path)?;
    write(file, keys).inspect_err(|_| {
        // It has no keys that anybody used.
        let _ = fs::remove_file(path);
    })
}

fn write(mut file: File, keys: &KeySet) -> io::Result<()> {
    file.write_all(keys.to_text().as_bytes())?;
    file.sync_all()
}

/// Makes the name of the file durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn in_the_way(next: &Path, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::other(format!(
            "{} exists: another program is changing the keys, or one was interrupted; then remove that file",
            next.display()
        )),
        _ => error,
    }
}
