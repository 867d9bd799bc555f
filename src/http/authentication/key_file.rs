//! Keys that follow a file: it is read again every half second, and new content is used without a restart.
//!
//! The content is compared, not the time of the last change: some file systems and copies keep the time. New content is
//! used when two reads in a row return it, so that a file that is being written is not used half.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::keys::{Key, KeyError, KeySet, Keys, parse_jwks, parse_secret};
use crate::text::error_chain;

/// The time between two reads.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long a read may take before the keys count as stale: a network file system can hang.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest file, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

type Parse = fn(&[u8]) -> Result<Vec<Key>, KeyError>;

impl Keys {
    /// Loads a JSON Web Key Set from a file as [`from_jwks`](Self::from_jwks) does, and follows the file: keys that are added
    /// to it are accepted and keys that are removed are refused within two seconds, also for open streams.
    ///
    /// If the file cannot be read or used later, the keys stay as they are; the log says so, and the metric
    /// `annals_keys_stale_seconds` counts. A pipe is read once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use annals::http::{Authentication, KeyError, Keys};
    ///
    /// let missing = Keys::from_jwks_file("no/such/keys.json").await;
    /// assert!(matches!(missing, Err(KeyError::Read { .. })));
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("keys.json");
    /// # std::fs::write(&file, r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
    /// let authentication = Authentication::bearer(Keys::from_jwks_file(file).await?, "bank");
    /// assert!(authentication.is_required());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the file cannot be read, and those of [`from_jwks`](Self::from_jwks).
    pub async fn from_jwks_file(path: impl Into<PathBuf>) -> Result<Self, KeyError> {
        Self::from_file(path.into(), parse_jwks).await
    }

    /// Loads a secret from a file as [`from_secret`](Self::from_secret) does, without spaces and line breaks at its end, and
    /// follows the file as [`from_jwks_file`](Self::from_jwks_file) does.
    ///
    /// # Errors
    /// If the file cannot be read, or the secret has less than 32 bytes.
    pub async fn from_secret_file(path: impl Into<PathBuf>) -> Result<Self, KeyError> {
        Self::from_file(path.into(), |text| parse_secret(text.trim_ascii_end())).await
    }

    async fn from_file(path: PathBuf, parse: Parse) -> Result<Self, KeyError> {
        let first = spawn_blocking({
            let path = path.clone();
            move || read(&path)
        });
        let first = first.await.map_err(io::Error::other).flatten();
        let (content, is_regular) = first.map_err(|source| KeyError::Read { path: path.clone(), source })?;
        let unusable = |source| KeyError::File { path: path.clone(), source: Box::new(source) };
        let (sender, keys) = watch::channel(KeySet::new(parse(&content).map_err(unusable)?));
        if is_regular {
            tokio::spawn(KeyFile { path, parse, sender, used: content, last: None, problem: None }.follow());
        } else {
            tracing::info!(file = %path.display(), "the key file is not a regular file: it is read once");
        }
        Ok(Self::following(keys))
    }
}

/// A followed file.
struct KeyFile {
    path: PathBuf,
    parse: Parse,
    sender: watch::Sender<KeySet>,
    /// The content whose keys are used.
    used: Vec<u8>,
    /// The content of the last read, if it differs.
    last: Option<Vec<u8>>,
    /// The last problem that was logged.
    problem: Option<String>,
}

impl KeyFile {
    /// Follows the file until nothing uses its keys.
    async fn follow(mut self) {
        loop {
            tokio::select! {
                () = self.sender.closed() => return,
                () = sleep(INTERVAL) => {}
            }
            let read = self.read_again().await;
            self.noticed(read);
        }
    }

    fn noticed(&mut self, read: io::Result<Vec<u8>>) {
        match read {
            Ok(content) => self.compare(content),
            Err(error) => {
                self.last = None;
                self.keep(error_chain(&error));
            }
        }
    }

    /// Reads the file again. Waits for one read at a time, however long it takes.
    async fn read_again(&mut self) -> io::Result<Vec<u8>> {
        let path = self.path.clone();
        let mut reading = spawn_blocking(move || match std::fs::metadata(&path)?.is_file() {
            true => read(&path).map(|(content, _)| content),
            // Opening a pipe would wait for its other end.
            false => Err(io::Error::other("it is not a regular file any more")),
        });
        loop {
            match timeout(READ_TIMEOUT, &mut reading).await {
                Ok(read) => return read.map_err(io::Error::other).flatten(),
                Err(_) => self.keep(format!("reading it takes longer than {READ_TIMEOUT:?}")),
            }
        }
    }

    /// Uses new content when it was read twice.
    fn compare(&mut self, content: Vec<u8>) {
        if content == self.used {
            self.last = None;
            return self.current(None);
        }
        if self.last.as_ref() != Some(&content) {
            self.last = Some(content);
            return;
        }
        match (self.parse)(&content) {
            Ok(keys) => {
                self.used = content;
                self.last = None;
                self.current(Some(keys));
            }
            Err(error) => self.keep(error_chain(&error)),
        }
    }

    /// The keys are those of the file.
    fn current(&mut self, changed: Option<Vec<Key>>) {
        let file = self.path.display();
        if let Some(keys) = changed {
            tracing::warn!(%file, ?keys, "the key file has changed: these keys are used from now on");
            self.sender.send_replace(KeySet::new(keys));
        } else if self.problem.is_some() {
            tracing::warn!(%file, "the key file can be used again");
            self.sender.send_modify(|set| set.stale_since = None);
        }
        self.problem = None;
    }

    /// The file cannot be used: keeps the keys. Each problem is logged once.
    fn keep(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!(file = %self.path.display(), %problem, "cannot use the key file: its last good keys stay in use");
            self.problem = Some(problem);
        }
        self.sender.send_if_modified(|set| {
            let first = set.stale_since.is_none();
            set.stale_since.get_or_insert_with(Instant::now);
            first
        });
    }
}

/// Reads a file, and returns whether it is a regular file.
fn read(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut content = Vec::new();
    let file = File::open(path)?;
    let is_regular = file.metadata()?.is_file();
    file.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    match content.len() as u64 {
        too_long if too_long > MAX_BYTES => Err(io::Error::other(format!("it has more than {MAX_BYTES} bytes"))),
        _ => Ok((content, is_regular)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is being written may be read half.
    #[test]
    fn new_content_is_used_when_two_reads_in_a_row_return_it() {
        let [old, new, half] = ["old", "new", "half"].map(|name| name.repeat(32).into_bytes());
        let keys = |content: &[u8]| parse_secret(content).unwrap();
        let (sender, current) = watch::channel(KeySet::new(keys(&old)));
        let (path, used) = (PathBuf::from("secret"), old.clone());
        let mut file = KeyFile { path, parse: parse_secret, sender, used, last: None, problem: None };
        let is = |content: &[u8]| current.borrow().keys[0].digest == keys(content)[0].digest;
        let failed = || Err(io::Error::other("no"));
        let reads = [
            Ok(half.clone()),
            Ok(new.clone()),
            failed(),
            Ok(new.clone()),
            Ok(half),
            Ok(old.clone()),
            Ok(new.clone()),
        ];
        for read in reads {
            file.noticed(read);
            assert!(is(&old));
        }
        file.noticed(Ok(new.clone()));
        assert!(is(&new));
        file.noticed(Ok(old.clone()));
        file.noticed(Ok(new.clone()));
        file.noticed(Ok(old));
        assert!(is(&new), "it changes back and forth");
    }
}
