//! Converts SQLite's errors into [`StoreError`]s with advice.

use rusqlite::ErrorCode;

use super::file_lock::FileLockError;
use super::location::FileLocation;
use super::open_failure;
use crate::store::StoreError;

/// The operation of opening a file or a connection, during which nothing can have been written.
pub(super) const OPENING: &str = "opening the store";

/// A database error with advice.
#[derive(Debug, thiserror::Error)]
#[error("{advice}")]
struct Advised {
    advice: &'static str,
    source: rusqlite::Error,
}

impl FileLocation {
    /// Converts an error of the operation `doing`. Nothing was written.
    pub(in crate::store) fn fault(&self, doing: &'static str, error: rusqlite::Error) -> StoreError {
        if doing == OPENING
            && matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::CannotOpen
                        | ErrorCode::PermissionDenied
                        | ErrorCode::ReadOnly
                        | ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                )
            )
            && let Some(cause) = open_failure::find_cause(self.path())
        {
            return self.unusable(cause);
        }
        let advice = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                return StoreError::Busy(super::database_file::BUSY_TIMEOUT);
            }
            Some(ErrorCode::ReadOnly) => {
                return self.unusable(format!(
                    "it is read-only ({error}): give this user the right to write the file and its directory"
                ));
            }
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                return self.unusable(format!(
                    "the file cannot be opened ({error}): the directory must exist, and this user must have the right \
                     to write the file and the directory (SQLite keeps a -wal and a -shm file there)"
                ));
            }
            Some(ErrorCode::NotADatabase) => {
                return self.unusable(format!("the file is not a SQLite database ({error}): {}", self.instead()));
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                return self.unusable(format!("the file is damaged ({error}): {}", self.repair()));
            }
            Some(ErrorCode::DiskFull) => {
                "the disk or this user's quota is full: free space, then try again; nothing was written"
            }
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
                return StoreError::Rejected { doing, source: error.into() };
            }
            Some(ErrorCode::SystemIoFailure) => "the file system failed: see the system log",
            _ => return StoreError::Database { doing, source: error.into() },
        };
        StoreError::Database { doing, source: Advised { advice, source: error }.into() }
    }

    pub(in crate::store) fn unusable(&self, reason: String) -> StoreError {
        StoreError::Unusable { store: self.name().to_owned(), reason }
    }

    /// Returns the error for files that were removed or replaced while a connection has them open. `reason` names the
    /// file.
    pub(in crate::store) fn moved(&self, reason: impl std::fmt::Display) -> StoreError {
        self.unusable(format!(
            "{reason} while this program had it open: move the file back, or restart this program to use the present file"
        ))
    }

    pub(in crate::store) fn lock_error(&self, why: FileLockError, wait: std::time::Duration) -> StoreError {
        match why {
            FileLockError::TimedOut => StoreError::Busy(wait),
            FileLockError::Io(path, error) => self.unusable(format!(
                "the lock file {} cannot be used ({error}): give this user the right to write the file and its directory",
                path.display()
            )),
        }
    }
}
