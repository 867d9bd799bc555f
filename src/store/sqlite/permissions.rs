//! Permissions of a store's files: they are created for their owner alone, and refused if another user may have put
//! them there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::private_file::{find_untrusted, private};

/// Held while a file is created, so that no other thread opens it. SQLite's locks belong to the process: closing any
/// handle of a database file drops them.
static CREATING: Mutex<()> = Mutex::new(());

/// Creates an empty file, unless it exists. With `log`, users who can write the log can write it; otherwise its owner
/// alone. A symbolic link is never followed.
pub(super) fn create(path: &Path, log: Option<&Path>) -> io::Result<()> {
    let _alone = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    match options.open(path) {
        Ok(file) => log.map_or(Ok(()), |log| system::share_with_writers(&file, log)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens a lock file, and creates it if it does not exist. A user who can open it can block all writers: so only
/// writers can.
pub(super) fn open_lock(path: &Path, log: &Path) -> io::Result<File> {
    create(path, Some(log))?;
    let link = fs::symlink_metadata(path)?;
    if !link.is_file() {
        return Err(io::Error::other("it is not a regular file: remove it"));
    }
    if let Some(reason) = find_untrusted(path, Some(log))? {
        return Err(io::Error::other(reason));
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    if !system::is_same(&link, &file.metadata()?) {
        return Err(io::Error::other(
            "it was replaced while it was being opened: find out which program writes to its directory",
        ));
    }
    system::remove_excess(&file, log)?;
    Ok(file)
}

/// Creates a directory for its owner alone. It must not exist.
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    system::private_directory(&mut builder);
    builder.create(path)
}

#[cfg(unix)]
mod system {
    use std::fs::{self, DirBuilder, File, Metadata, Permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
    use std::path::Path;

    pub(super) fn private_directory(builder: &mut DirBuilder) {
        builder.mode(0o700);
    }

    pub(super) fn is_same(one: &Metadata, other: &Metadata) -> bool {
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    }

    /// Returns the mode that lets the log's writers read and write.
    fn rights_of_writers(log: &Metadata) -> u32 {
        let of = |write: u32, both: u32| if log.mode() & write != 0 { both } else { 0 };
        0o600 | of(0o020, 0o060) | of(0o002, 0o006)
    }

    /// A file that root creates gets the log's owner, as SQLite does with the -wal and -shm files.
    pub(super) fn share_with_writers(file: &File, log: &Path) -> io::Result<()> {
        let (log, made) = (fs::metadata(log)?, file.metadata()?);
        let rights = rights_of_writers(&log);
        if made.uid() != log.uid() || rights != 0o600 && made.gid() != log.gid() {
            match fchown(file, Some(log.uid()), Some(log.gid())) {
                // Only root can change the owner. Otherwise another writer owns it, and shares it through the group.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                other => other?,
            }
        }
        match rights {
            0o600 => Ok(()),
            rights => file.set_permissions(Permissions::from_mode(rights)),
        }
    }

    /// Removes permissions that an older release gave to all users.
    pub(super) fn remove_excess(file: &File, log: &Path) -> io::Result<()> {
        let mode = file.metadata()?.mode() & 0o777;
        let narrower = mode & rights_of_writers(&fs::metadata(log)?);
        if narrower == mode {
            return Ok(());
        }
        match file.set_permissions(Permissions::from_mode(narrower)) {
            // Another writer owns the file, and removes them when it opens the file.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::{DirBuilder, File, Metadata};
    use std::io;
    use std::path::Path;

    pub(super) fn private_directory(_: &mut DirBuilder) {}

    pub(super) fn is_same(_: &Metadata, _: &Metadata) -> bool {
        true
    }

    pub(super) fn share_with_writers(_: &File, _: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn remove_excess(_: &File, _: &Path) -> io::Result<()> {
        Ok(())
    }
}
