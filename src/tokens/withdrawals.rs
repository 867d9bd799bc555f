//! [`WithdrawalFile`]: the last withdrawal of a right that programs with a key file have seen.
//!
//! It is beside the key file and its owner's alone. It has a line for each log: the log's id, and the position and the id of an event.
//! Programs that share it write one after the other, and each replaces only what it has compared with its log.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::key_file::{read, sync_directory};
use crate::events::LogPosition;
use crate::private_file::private;

/// How long to wait for another program that writes.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

const HEAD: &str = "# The last withdrawal of a right that programs with these keys have seen: log, position, event.\n\
    # A log that does not have this event is older: its grants are suspended until an owner executes `access confirm`.\n";

/// The file.
#[derive(Debug)]
pub(crate) struct WithdrawalFile {
    path: PathBuf,
}

impl WithdrawalFile {
    /// The file that is beside a key file: `tokens.keys.withdrawn`.
    pub(crate) fn beside(key_file: &Path) -> Self {
        Self { path: with_ending(key_file, ".withdrawn") }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the last withdrawal that was seen in a log. Blocks.
    pub(crate) fn read(&self, log_id: &str) -> io::Result<Option<LogPosition>> {
        Ok(self.logs()?.remove(log_id))
    }

    /// Stores the last withdrawal of a log, if the file still has what it is compared with: `false` if it does not. Blocks.
    pub(crate) fn replace(
        &self,
        log_id: &str,
        compared: Option<LogPosition>,
        last: LogPosition,
    ) -> io::Result<bool> {
        if log_id.is_empty() || log_id.contains(char::is_whitespace) {
            return Err(io::Error::other(format!("the log has no id that can be stored: `{log_id}`")));
        }
        // Released when it is dropped.
        let _lock = self.lock()?;
        let mut logs = self.logs()?;
        if logs.get(log_id).copied() != compared {
            return Ok(false);
        }
        logs.insert(log_id.to_owned(), last);
        let mut text = HEAD.to_owned();
        for (log_id, LogPosition { position, event_id }) in logs {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{log_id} {position} {event_id}");
        }
        let new = with_ending(&self.path, ".new");
        let mut file = open(OpenOptions::new().write(true).create(true).truncate(true), &new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_directory(&self.path)?;
        Ok(true)
    }

    fn logs(&self) -> io::Result<BTreeMap<String, LogPosition>> {
        let content = match read(&self.path) {
            Ok((content, _)) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let text = String::from_utf8(content).map_err(io::Error::other)?;
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.starts_with('#') && !line.trim().is_empty());
        let unreadable = |number: u32| io::Error::other(format!("line {number} is not `LOG POSITION EVENT`"));
        lines.map(|(line, number)| parse(line).ok_or_else(|| unreadable(number))).collect()
    }

    /// Waits until no other program writes.
    fn lock(&self) -> io::Result<File> {
        let path = with_ending(&self.path, ".lock");
        let file = open(OpenOptions::new().write(true).create(true), &path)?;
        let until = Instant::now() + LOCK_WAIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    let held = format!("{} was locked by another program for {LOCK_WAIT:?}", path.display());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, held));
                }
                Err(TryLockError::WouldBlock) => sleep(PAUSE),
            }
        }
    }
}

fn parse(line: &str) -> Option<(String, LogPosition)> {
    let mut words = line.split_ascii_whitespace();
    let (log_id, position, event_id) = (words.next()?, words.next()?, words.next()?);
    let last = LogPosition { position: position.parse().ok()?, event_id: event_id.parse().ok()? };
    words.next().is_none().then(|| (log_id.to_owned(), last))
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    private(options);
    options.open(path)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    PathBuf::from(name)
}
