//! Why a database file cannot be opened: SQLite says "unable to open database file" or "disk I/O error" for many causes.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// As much as SQLite needs beside the file for its -shm file, and more than a file system may have left in a block.
const ROOM: usize = 64 * 1024;

/// The cause and what to do, found by trying what SQLite tried: to write a file beside it. `None` if that can be done now.
///
/// The database itself is not opened to try it: closing it would drop the locks that this process has on it.
pub(super) fn find_cause(path: &Path) -> Option<String> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    write_beside(directory).err().map(|error| advice(&error, directory))
}

/// With no crate between: it would wrap the error, and what the system said could not be told any more.
fn write_beside(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".annals-{:016x}", fastrand::u64(..)));
    let mut probe = File::create_new(&path)?;
    let written = probe.write_all(&[0; ROOM]).and_then(|()| probe.sync_all());
    written.and(fs::remove_file(&path))
}

/// The codes of Unix for a table of open files that is full: of the system, and of the process.
const TOO_MANY: [i32; 2] = [23, 24];

fn advice(error: &io::Error, directory: &Path) -> String {
    let directory = directory.display();
    if error.raw_os_error().is_some_and(|code| cfg!(unix) && TOO_MANY.contains(&code)) {
        return format!("too many files are open ({error}): raise the limit of open files (`ulimit -n`)");
    }
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!(
            "the disk, or this user's share of it, is full ({error}): make room in {directory}; to read a log takes some too"
        ),
        ErrorKind::ReadOnlyFilesystem => format!(
            "the file system is read-only ({error}): SQLite keeps a -wal and a -shm file beside a log that it reads; copy the \
             log and its -wal file to a directory that can be written, and open the copy"
        ),
        ErrorKind::PermissionDenied => format!(
            "this user may not use it ({error}): give it the right to write the directory {directory}, where SQLite keeps \
             a -wal and a -shm file, and to read the file, and to write that for appending"
        ),
        ErrorKind::NotFound => format!("there is no directory {directory}: make it first"),
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
            (28, "make room in /data"),
            (30, "read-only"),
            (13, "the right to write the directory /data"),
            (2, "make it first"),
            (5, "cannot be used"),
        ] {
            assert!(said(code).contains(words), "{code}: {}", said(code));
        }
    }

    #[test]
    fn what_the_system_said_of_the_other_file_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let error = write_beside(&directory.path().join("no")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(2));
    }

    #[test]
    fn a_directory_that_can_be_written_is_no_cause_and_nothing_stays_in_it() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(find_cause(&directory.path().join("log.db")), None);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(find_cause(&directory.path().join("no/log.db")).unwrap().contains("make it first"));
    }
}
