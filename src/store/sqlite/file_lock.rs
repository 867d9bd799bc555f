//! Taking turns to write, between processes.
//!
//! `BEGIN IMMEDIATE` alone is not fair: a process that writes without pause keeps others waiting until they give up.
//! So a writer first takes its turn, at two lock files. Whoever wants to write waits at the second (`-next`) for the
//! place of the next one, and there for the first; who has just written has to queue there as well. The locks belong
//! to open files: the system lets go of those of a process that dies.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::location::{FileLocation, beside};
use super::permissions;

/// Why there was no turn.
#[derive(Debug)]
pub(super) enum FileLockError {
    /// Others kept it all the time.
    TimedOut,
    /// The lock files cannot be used.
    Io(PathBuf, io::Error),
}

struct Pair {
    write: File,
    next: File,
}

struct Paths {
    write: PathBuf,
    next: PathBuf,
    /// Of the log, whose writers may take turns.
    log: PathBuf,
}

impl Paths {
    fn beside(log: &Path) -> Self {
        Self { write: beside(log, ".lock"), next: beside(log, ".lock-next"), log: log.to_owned() }
    }
}

/// The place where turns are taken. A store that no other process can open has none.
pub(super) struct FairFileLock {
    paths: Option<Paths>,
    pair: Option<Pair>,
}

/// The turn; dropping it ends it.
pub(super) struct FileLockGuard<'a>(&'a mut FairFileLock);

impl FairFileLock {
    pub(super) fn at(location: &FileLocation) -> Self {
        Self { paths: location.durable().then(|| Paths::beside(location.log())), pair: None }
    }

    /// Takes the turn, waiting at most so long.
    pub(super) fn lock(&mut self, wait: Duration) -> Result<FileLockGuard<'_>, FileLockError> {
        let Some(Paths { write, next, log }) = &self.paths else { return Ok(FileLockGuard(self)) };
        let pair = match self.pair.take() {
            Some(pair) => pair,
            None => Pair { write: open(write, log)?, next: open(next, log)? },
        };
        if !tried(&pair.next, next)? {
            self.pair = Some(wait_for(pair, true, wait, write)?);
        } else if tried(&pair.write, write)? {
            pair.next.unlock().map_err(|error| FileLockError::Io(next.clone(), error))?;
            self.pair = Some(pair);
        } else {
            self.pair = Some(wait_for(pair, false, wait, write)?);
        }
        Ok(FileLockGuard(self))
    }
}

impl Drop for FileLockGuard<'_> {
    fn drop(&mut self) {
        if self.0.pair.as_ref().is_some_and(|pair| pair.write.unlock().is_err()) {
            self.0.pair = None;
        }
    }
}

fn open(path: &Path, log: &Path) -> Result<File, FileLockError> {
    permissions::open_lock(path, log).map_err(|error| FileLockError::Io(path.to_owned(), error))
}

fn tried(file: &File, path: &Path) -> Result<bool, FileLockError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(FileLockError::Io(path.to_owned(), error)),
    }
}

/// Waits on a thread of its own, since waiting for a file lock has no time-out. If the wait is over first, the thread
/// drops the files, and the locks with them, as soon as it gets them.
fn wait_for(pair: Pair, at_next: bool, wait: Duration, path: &Path) -> Result<Pair, FileLockError> {
    let (send, receive) = mpsc::sync_channel(1);
    let waiter = move || {
        let locked = || {
            if at_next {
                pair.next.lock()?;
            }
            pair.write.lock()?;
            pair.next.unlock()
        };
        let result = locked().map(|()| pair);
        // Nobody waits any more: the files are dropped.
        let _ = send.send(result);
    };
    thread::Builder::new()
        .name("annals-file-lock".into())
        .spawn(waiter)
        .map_err(|error| FileLockError::Io(path.to_owned(), error))?;
    match receive.recv_timeout(wait) {
        Ok(Ok(pair)) => Ok(pair),
        Ok(Err(error)) => Err(FileLockError::Io(path.to_owned(), error)),
        Err(_) => Err(FileLockError::TimedOut),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::*;

    fn of(log: &Path) -> FairFileLock {
        FairFileLock { paths: Some(Paths::beside(log)), pair: None }
    }

    #[test]
    fn a_turn_that_others_keep_is_not_had_and_is_free_once_they_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log.db");
        std::fs::write(&log, "").unwrap();
        let mut one = of(&log);
        let mut other = of(&log);
        let guard = one.lock(Duration::ZERO).unwrap();
        let before = Instant::now();
        assert!(matches!(other.lock(Duration::from_millis(50)), Err(FileLockError::TimedOut)));
        assert!(before.elapsed() >= Duration::from_millis(50));
        drop(guard);
        // The abandoned wait gets the lock and lets go of it.
        drop(other.lock(Duration::from_secs(10)).unwrap());
        drop(one.lock(Duration::from_secs(10)).unwrap());
    }

    /// Each of three has to do all the time. Where the one that has just written may go first again, one of them gets
    /// a third of what another does.
    #[test]
    fn greedy_writers_take_turns() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log.db");
        std::fs::write(&log, "").unwrap();
        let stop = AtomicBool::new(false);
        let counts: Vec<u32> = thread::scope(|scope| {
            let greedy = || {
                let mut file_lock = of(&log);
                let mut turns = 0;
                while !stop.load(Ordering::Relaxed) {
                    let guard = file_lock.lock(Duration::from_secs(30)).unwrap();
                    thread::sleep(Duration::from_millis(1));
                    turns += 1;
                    drop(guard);
                }
                turns
            };
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(greedy)).collect();
            thread::sleep(Duration::from_millis(600));
            stop.store(true, Ordering::Relaxed);
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let most = counts.iter().max().unwrap();
        assert!(counts.iter().all(|count| count * 2 > *most), "{counts:?}");
    }
}
