//! [`Followed`]: a value that follows a file: the file is read again every half second, and new content is used without a restart.
//!
//! The content is compared, not the time of the last change: some file systems and copies keep the time. New content is
//! used when two reads in a row return it, so that a file that is being written is not used half.

use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use crate::text::error_chain;

/// The time between two reads.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long a read may take before the value counts as stale: a network file system can hang.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The value at one time.
#[derive(Debug)]
pub(crate) struct Followed<T> {
    pub value: Arc<T>,
    /// Since when the file could not be read or used. Then the value is older than the file.
    pub stale_since: Option<Instant>,
}

/// Why a file cannot be followed.
#[derive(Debug)]
pub(crate) enum FollowError<E> {
    Read(io::Error),
    Parse(E),
}

/// Reads a file, and returns whether it is a regular file.
pub(crate) type ReadFile = fn(&Path) -> io::Result<(Vec<u8>, bool)>;

/// How a file is read and parsed.
pub(crate) struct Format<T, E> {
    pub read: ReadFile,
    pub parse: fn(&[u8]) -> Result<T, E>,
}

impl<T> Followed<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Arc::new(value), stale_since: None }
    }

    /// A value that never changes.
    pub(crate) fn fixed(value: T) -> watch::Receiver<Self> {
        watch::channel(Self::new(value)).1
    }

    /// How long the file has been unreadable or unusable; zero if the value is current.
    #[cfg(any(feature = "http", test))]
    pub(crate) fn stale_for(&self) -> Duration {
        self.stale_since.map(|since| since.elapsed()).unwrap_or_default()
    }
}

/// Waits until the value no longer has something.
pub(crate) async fn until_without<T>(followed: &watch::Receiver<Followed<T>>, has: impl Fn(&T) -> bool) {
    let gone = followed.clone().wait_for(|followed| !has(&followed.value)).await.is_ok();
    if !gone {
        // Nothing changes the value any more.
        std::future::pending::<()>().await;
    }
}

/// Reads a file, and follows it until nothing uses its value. A pipe is read once.
pub(crate) async fn follow<T, E>(
    path: &Path,
    format: Format<T, E>,
) -> Result<watch::Receiver<Followed<T>>, FollowError<E>>
where
    T: Debug + Send + Sync + 'static,
    E: Error + Send + 'static,
{
    let (owned, read) = (path.to_owned(), format.read);
    let first = spawn_blocking(move || read(&owned)).await.map_err(io::Error::other).flatten();
    let (content, is_regular) = first.map_err(FollowError::Read)?;
    let value = (format.parse)(&content).map_err(FollowError::Parse)?;
    let (sender, followed) = watch::channel(Followed::new(value));
    if is_regular {
        let file = FollowedFile { path: path.to_owned(), format, sender, used: content, last: None, problem: None };
        tokio::spawn(file.follow());
    } else {
        tracing::info!(file = %path.display(), "the key file is not a regular file: it is read once");
    }
    Ok(followed)
}

/// A followed file.
struct FollowedFile<T, E> {
    path: PathBuf,
    format: Format<T, E>,
    sender: watch::Sender<Followed<T>>,
    /// The content whose value is used.
    used: Vec<u8>,
    /// The content of the last read, if it differs.
    last: Option<Vec<u8>>,
    /// The last problem that was logged.
    problem: Option<String>,
}

impl<T: Debug, E: Error + 'static> FollowedFile<T, E> {
    /// Follows the file until nothing uses its value.
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
        let (path, read) = (self.path.clone(), self.format.read);
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
        match (self.format.parse)(&content) {
            Ok(value) => {
                self.used = content;
                self.last = None;
                self.current(Some(value));
            }
            Err(error) => self.keep(error_chain(&error)),
        }
    }

    /// The value is that of the file.
    fn current(&mut self, changed: Option<T>) {
        let file = self.path.display();
        if let Some(value) = changed {
            tracing::warn!(%file, keys = ?value, "the key file has changed: these keys are used from now on");
            self.sender.send_replace(Followed::new(value));
        } else if self.problem.is_some() {
            tracing::warn!(%file, "the key file can be used again");
            self.sender.send_modify(|followed| followed.stale_since = None);
        }
        self.problem = None;
    }

    /// The file cannot be used: keeps the value. Each problem is logged once.
    fn keep(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!(file = %self.path.display(), %problem, "cannot use the key file: its last good keys stay in use");
            self.problem = Some(problem);
        }
        self.sender.send_if_modified(|followed| {
            let first = followed.stale_since.is_none();
            followed.stale_since.get_or_insert_with(Instant::now);
            first
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is being written may be read half.
    #[test]
    fn new_content_is_used_when_two_reads_in_a_row_return_it() {
        let parse = |content: &[u8]| String::from_utf8(content.to_vec());
        let format = Format { read: |_: &Path| Ok((Vec::new(), true)), parse };
        let (sender, followed) = watch::channel(Followed::new("old".to_owned()));
        let (path, used) = (PathBuf::from("keys"), b"old".to_vec());
        let mut file = FollowedFile { path, format, sender, used, last: None, problem: None };
        let is = |text: &str| *followed.borrow().value == text;
        for read in [Some("half"), Some("new"), None, Some("new"), Some("half"), Some("old"), Some("new")] {
            file.noticed(read.map(|text| text.as_bytes().to_vec()).ok_or_else(|| io::Error::other("no")));
            assert!(is("old"), "{read:?}");
        }
        file.noticed(Ok(b"new".to_vec()));
        assert!(is("new"));
        for read in ["old", "new", "old"] {
            file.noticed(Ok(read.as_bytes().to_vec()));
        }
        assert!(is("new"), "it changes back and forth");
    }
}
