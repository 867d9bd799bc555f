//! [`FairFileLock`]: a fair lock between the processes that write a log.
//!
//! `BEGIN IMMEDIATE` alone is not fair: a process that writes without pause keeps others waiting until they time out.
//! So a writer first acquires two file locks: the second (`-next`), which makes it the next writer, and then the first.
//! A process that has just written must acquire `-next` again, behind those that wait there. The locks belong to open
//! files: the system releases those of a process that ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::location::{self, FileLocation};
use super::permissions;

/// The reason why the lock was not acquired.
#[derive(Debug)]
pub(in crate::store) enum FileLockError {
    /// Other processes held it all the time.
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
    /// The log, whose writers may use the lock files.
    log: PathBuf,
}

impl Paths {
    fn beside(log: &Path) -> Self {
        Self {
            write: location::beside(log, ".lock"),
            next: location::beside(log, ".lock-next"),
            log: log.to_owned(),
        }
    }
}

/// The lock. A store that no other process can open has no lock files.
pub(in crate::store) struct FairFileLock {
    paths: Option<Paths>,
    pair: Option<Pair>,
}

/// The acquired lock. Dropping it releases it.
pub(in crate::store) struct FileLockGuard<'a>(&'a mut FairFileLock);

impl FairFileLock {
    pub(super) fn beside(location: &FileLocation) -> Self {
        Self { paths: location.durable().then(|| Paths::beside(location.log())), pair: None }
    }

    /// Acquires the lock if it is free, and nobody waits for it.
    #[cfg(feature = "jetstream")]
    pub(in crate::store) fn try_lock(&mut self) -> Result<Option<FileLockGuard<'_>>, FileLockError> {
        let Some(Paths { write, next, log }) = &self.paths else { return Ok(Some(FileLockGuard(self))) };
        let pair = match self.pair.take() {
            Some(pair) => pair,
            None => Pair { write: open(write, log)?, next: open(next, log)? },
        };
        let free = try_lock(&pair.next, next)?;
        let locked = free && try_lock(&pair.write, write)?;
        if free {
            pair.next.unlock().map_err(|error| FileLockError::Io(next.clone(), error))?;
        }
        self.pair = Some(pair);
        Ok(locked.then(|| FileLockGuard(self)))
    }

    /// Acquires the lock, waiting at most `wait`.
    pub(in crate::store) fn lock(&mut self, wait: Duration) -> Result<FileLockGuard<'_>, FileLockError> {
        let Some(Paths { write, next, log }) = &self.paths else { return Ok(FileLockGuard(self)) };
        let pair = match self.pair.take() {
            Some(pair) => pair,
            None => Pair { write: open(write, log)?, next: open(next, log)? },
        };
        if !try_lock(&pair.next, next)? {
            self.pair = Some(wait_for(pair, true, wait, write)?);
        } else if try_lock(&pair.write, write)? {
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

fn try_lock(file: &File, path: &Path) -> Result<bool, FileLockError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(FileLockError::Io(path.to_owned(), error)),
    }
}

/// Waits on a thread of its own, because waiting for a file lock has no timeout. After a timeout the thread drops the
/// files, and their locks, as soon as it has acquired them.
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
        // If the caller no longer waits, the files are dropped.
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

    fn lock_beside(log: &Path) -> FairFileLock {
        FairFileLock { paths: Some(Paths::beside(log)), pair: None }
    }

    #[test]
    fn a_lock_held_by_another_process_times_out_and_is_acquired_once_released() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log.db");
        std::fs::write(&log, "").unwrap();
        let mut one = lock_beside(&log);
        let mut other = lock_beside(&log);
        let guard = one.lock(Duration::ZERO).unwrap();
        let before = Instant::now();
        assert!(matches!(other.lock(Duration::from_millis(50)), Err(FileLockError::TimedOut)));
        assert!(before.elapsed() >= Duration::from_millis(50));
        drop(guard);
        // The abandoned wait acquires the lock and releases it.
        drop(other.lock(Duration::from_secs(10)).unwrap());
        drop(one.lock(Duration::from_secs(10)).unwrap());
    }

    /// Three writers lock without pause. If the last writer could acquire the lock first again, one of them would get a
    /// third of another's share.
    #[test]
    fn writers_without_pause_get_equal_shares() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log.db");
        std::fs::write(&log, "").unwrap();
        let stop = AtomicBool::new(false);
        let counts: Vec<u32> = thread::scope(|scope| {
            let greedy = || {
                let mut file_lock = lock_beside(&log);
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    let guard = file_lock.lock(Duration::from_secs(30)).unwrap();
                    thread::sleep(Duration::from_millis(1));
                    count += 1;
                    drop(guard);
                }
                count
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
