//! Finds out why a database file cannot be opened: SQLite reports "unable to open database file" or "disk I/O error"
//! for many causes.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// The size of the probe: as much as SQLite needs for its -shm file, and more than a block of a file system.
const ROOM: usize = 64 * 1024;

/// Returns the cause and advice, found by writing a file beside the database as SQLite does. `None` if that succeeds.
///
/// The database itself is not opened: closing it would drop the locks that this process has on it.
pub(super) fn find_cause(path: &Path) -> Option<String> {
    let directory = directory_of(path);
    write_beside(directory).err().map(|error| advice(&error, directory))
}

/// Returns whether the directory of an existing file is read-only, for this user or for all.
pub(super) fn is_read_only(path: &Path) -> bool {
    let refused = || write_beside(directory_of(path)).is_err_and(|error| is_refusal(error.kind()));
    path.is_file() && refused()
}

fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Uses the standard library alone: `tempfile` would wrap the error and hide the system's code.
fn write_beside(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".annals-{:016x}", fastrand::u64(..)));
    let mut probe = File::create_new(&path)?;
    let written = probe.write_all(&[0; ROOM]).and_then(|()| probe.sync_all());
    written.and(fs::remove_file(&path))
}

/// The Unix error codes ENFILE and EMFILE: too many open files in the system, or in the process.
const TOO_MANY: [i32; 2] = [23, 24];

fn advice(error: &io::Error, directory: &Path) -> String {
    let directory = directory.display();
    if error.raw_os_error().is_some_and(|code| cfg!(unix) && TOO_MANY.contains(&code)) {
        return format!("too many files are open ({error}): raise the limit of open files (`ulimit -n`)");
    }
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!(
            "the disk or this user's quota is full ({error}): free space in {directory}; reading a log needs some too"
        ),
        ErrorKind::ReadOnlyFilesystem => format!(
            "the file system is read-only ({error}), and the log cannot be read there: copy the log and its -wal file to a \
             writable directory, and open the copy"
        ),
        ErrorKind::PermissionDenied => format!(
            "permission denied ({error}): give this user the right to write the directory {directory} (SQLite keeps a -wal \
             and a -shm file there), to read the file, and to write it for appending"
        ),
        ErrorKind::NotFound => format!("the directory {directory} does not exist: create it first"),
        _ => format!("the file or its directory cannot be used ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_advice() {
        let said = |code| advice(&io::Error::from_raw_os_error(code), Path::new("/data"));
        for (code, words) in [
            (24, "ulimit -n"),
            (23, "ulimit -n"),
            (28, "free space in /data"),
            (30, "read-only"),
            (13, "the right to write the directory /data"),
            (2, "create it first"),
            (5, "cannot be used"),
        ] {
            assert!(said(code).contains(words), "{code}: {}", said(code));
        }
    }

    #[test]
    fn the_systems_error_code_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let error = write_beside(&directory.path().join("no")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(2));
    }

    #[test]
    fn a_writable_directory_is_no_cause_and_no_file_is_left_in_it() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(find_cause(&directory.path().join("log.db")), None);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(find_cause(&directory.path().join("no/log.db")).unwrap().contains("create it first"));
    }
}
