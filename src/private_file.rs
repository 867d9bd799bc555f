//! Files that must be their owner's alone: how they are created, and whether another user may have put them there.

#[cfg(any(feature = "access", feature = "proofs"))]
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// Makes a file that is created with these options its owner's alone.
pub(crate) fn private(options: &mut OpenOptions) {
    system::private(options);
}

/// Returns the reason why a file must not be used: another user may have put it there. If no other user may write the
/// directory, files of every owner are accepted. Users who own or share `log` may own a file beside it.
pub(crate) fn find_untrusted(path: &Path, log: Option<&Path>) -> io::Result<Option<String>> {
    system::find_untrusted(path, log)
}

/// Returns the reason why an open file is no secret: other users may read or write it.
#[cfg(any(feature = "access", feature = "proofs"))]
pub(crate) fn find_shared(file: &File) -> io::Result<Option<String>> {
    Ok(system::find_shared(&file.metadata()?))
}

/// Returns the reason why a file is no secret, as [`find_shared`], without opening it: closing a file that SQLite has open releases
/// its locks.
#[cfg(all(feature = "personal", feature = "sqlite"))]
pub(crate) fn find_shared_at(path: &Path) -> io::Result<Option<String>> {
    Ok(system::find_shared(&std::fs::metadata(path)?))
}

#[cfg(unix)]
mod system {
    use std::fs::{self, OpenOptions};
    use std::io;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    use std::path::Path;

    pub(super) fn private(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn find_untrusted(path: &Path, log: Option<&Path>) -> io::Result<Option<String>> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = fs::metadata(parent)?;
        if directory.mode() & 0o022 == 0 {
            return Ok(None);
        }
        let file = match fs::symlink_metadata(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let owner = file.uid();
        let shared = log.filter(|log| *log != path).is_some_and(|log| {
            fs::symlink_metadata(log)
                .is_ok_and(|log| owner == log.uid() || log.mode() & 0o020 != 0 && file.gid() == log.gid())
        });
        if owner == 0 || owner == directory.uid() || shared || owner == this_user()? {
            return Ok(None);
        }
        Ok(Some(format!(
            "{} belongs to another user (uid {owner}), and other users may write its directory: remove that \
             permission, or give the file to this user with chown",
            path.display()
        )))
    }

    #[cfg(any(feature = "access", feature = "personal", feature = "proofs"))]
    pub(super) fn find_shared(file: &fs::Metadata) -> Option<String> {
        let mode = file.mode() & 0o777;
        (mode & 0o077 != 0).then(|| {
            format!("other users may read or write it (mode {mode:04o}): remove that permission with chmod 600")
        })
    }

    /// The user whose files this process makes.
    fn this_user() -> io::Result<u32> {
        Ok(tempfile::tempfile()?.metadata()?.uid())
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::OpenOptions;
    use std::io;
    use std::path::Path;

    pub(super) fn private(_: &mut OpenOptions) {}

    pub(super) fn find_untrusted(_: &Path, _: Option<&Path>) -> io::Result<Option<String>> {
        Ok(None)
    }

    #[cfg(any(feature = "access", feature = "personal", feature = "proofs"))]
    pub(super) fn find_shared(_: &std::fs::Metadata) -> Option<String> {
        None
    }
}
