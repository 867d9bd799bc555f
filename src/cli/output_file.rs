//! [`OutputFile`]: a file that a subcommand writes.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use tokio::io::AsyncWrite;

use super::output::plain;
use crate::BoxError;

/// An open output file.
///
/// A regular file appears complete or not at all: it is written under another name in its directory, and renamed by
/// [`finish`](Self::finish). A file that it replaces gives it its permissions and its owner; a link stays a link, and the file
/// that it names is replaced. A character device and a FIFO are written to.
pub(super) struct OutputFile {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// A regular file that is not complete yet.
    part: Option<Part>,
}

/// A regular file under its temporary name, which is removed when it is dropped.
struct Part {
    file: NamedTempFile,
    to: PathBuf,
    replaced: Option<Metadata>,
}

/// The kind of file that already has the name of an output file.
enum Found {
    Nothing,
    File(Metadata),
    #[cfg(unix)]
    Device,
    #[cfg(unix)]
    Fifo,
}

/// Checks that a file can be created, or replaced if `replace` is set, before anything is opened.
pub(super) fn check(file: &Path, replace: bool) -> Result<(), BoxError> {
    find(file, replace).map(drop)
}

fn find(file: &Path, replace: bool) -> Result<Found, BoxError> {
    let name = plain(&file.to_string_lossy()).into_owned();
    let metadata = match fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return match fs::symlink_metadata(file) {
                Ok(_) => Err(format!("`{name}` is a link to nothing: name the file itself").into()),
                Err(_) => Ok(Found::Nothing),
            };
        }
        Err(error) => return Err(format!("`{name}` cannot be written ({error}): choose another name").into()),
    };
    if metadata.is_file() {
        return match replace {
            true => Ok(Found::File(metadata)),
            false => Err(format!("`{name}` exists: choose another name, or overwrite it with --replace").into()),
        };
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if metadata.file_type().is_char_device() {
            return Ok(Found::Device);
        }
        if metadata.file_type().is_fifo() {
            return Ok(Found::Fifo);
        }
    }
    let what = if metadata.is_dir() { "a directory" } else { "not a file" };
    Err(format!("`{name}` is {what}: name a file").into())
}

impl OutputFile {
    /// Opens it. With `replace` it may be a regular file that exists.
    pub(super) fn open(file: &Path, replace: bool) -> Result<Self, BoxError> {
        let failed = |error: io::Error| -> BoxError {
            let name = file.to_string_lossy();
            format!("`{}` cannot be written ({error}): name a file in a writable directory", plain(&name)).into()
        };
        match find(file, replace)? {
            Found::Nothing => Self::begin(file.to_owned(), None).map_err(failed),
            Found::File(metadata) => {
                fs::canonicalize(file).and_then(|to| Self::begin(to, Some(metadata))).map_err(failed)
            }
            #[cfg(unix)]
            Found::Device => {
                let device = fs::OpenOptions::new().write(true).open(file).map_err(failed)?;
                Ok(Self { writer: Box::new(tokio::fs::File::from_std(device)), part: None })
            }
            #[cfg(unix)]
            Found::Fifo => match tokio::net::unix::pipe::OpenOptions::new().open_sender(file) {
                Ok(fifo) => Ok(Self { writer: Box::new(fifo), part: None }),
                // ENXIO. To wait for a reader could take for ever.
                Err(error) if error.raw_os_error() == Some(6) => {
                    let name = file.to_string_lossy();
                    Err(format!("no program reads the FIFO `{}`: start one, then try again", plain(&name)).into())
                }
                Err(error) => Err(failed(error)),
            },
        }
    }

    fn begin(to: PathBuf, replaced: Option<Metadata>) -> io::Result<Self> {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut part = tempfile::Builder::new();
        // The part is readable by the same users as the file that it replaces.
        #[cfg(unix)]
        part.permissions(match &replaced {
            Some(replaced) => replaced.permissions(),
            None => std::os::unix::fs::PermissionsExt::from_mode(0o666),
        });
        let file = part.prefix(".export-").tempfile_in(folder)?;
        #[cfg(unix)]
        if let Some(replaced) = &replaced {
            use std::os::unix::fs::{MetadataExt, chown};
            let own = file.as_file().metadata()?;
            if (own.uid(), own.gid()) != (replaced.uid(), replaced.gid()) {
                chown(file.path(), Some(replaced.uid()), Some(replaced.gid()))?;
            }
        }
        let writer = Box::new(tokio::fs::File::from_std(file.as_file().try_clone()?));
        Ok(Self { writer, part: Some(Part { file, to, replaced }) })
    }

    /// The writer of its content.
    pub(super) fn writer(&mut self) -> &mut (dyn AsyncWrite + Send + Unpin) {
        &mut *self.writer
    }

    /// Says what remains of the output if it is dropped now.
    pub(super) fn left_when_dropped(&self) -> &'static str {
        match self.part {
            Some(_) => "no file was written",
            None => "the output is incomplete",
        }
    }

    /// Completes it. A regular file gets its name.
    pub(super) async fn finish(mut self) -> Result<(), BoxError> {
        tokio::io::AsyncWriteExt::shutdown(&mut self.writer).await?;
        let Some(Part { file, to, replaced }) = self.part else { return Ok(()) };
        let completed = tokio::task::spawn_blocking(move || match replaced {
            Some(replaced) => {
                // Exactly: the mask of this process may have removed some when the part was created.
                fs::set_permissions(file.path(), replaced.permissions())?;
                file.as_file().sync_all()?;
                file.persist(&to).map(drop).map_err(|error| error.error)
            }
            None => {
                file.as_file().sync_all()?;
                file.persist_noclobber(&to).map(drop).map_err(|error| error.error)
            }
        });
        Ok(completed.await??)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
    use std::process::Command;

    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn write(file: &Path, replace: bool) -> Result<(), BoxError> {
        let mut output = OutputFile::open(file, replace)?;
        output.writer().write_all(b"new").await?;
        output.finish().await
    }

    /// Mission X40.
    #[tokio::test]
    async fn a_replaced_file_keeps_its_permissions_and_a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("elsewhere")).unwrap();
        for mode in [0o600, 0o640, 0o666, 0o444] {
            std::fs::write(at("elsewhere/file"), "old").unwrap();
            std::fs::set_permissions(at("elsewhere/file"), fs::Permissions::from_mode(mode)).unwrap();
            symlink("elsewhere/file", at("link")).unwrap();
            assert!(write(&at("link"), false).await.unwrap_err().to_string().contains("--replace"));
            let before = fs::metadata(at("link")).unwrap();
            write(&at("link"), true).await.unwrap();
            assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
            let after = fs::metadata(at("elsewhere/file")).unwrap();
            assert_eq!(after.mode() & 0o7777, mode, "{mode:o}");
            assert_ne!(before.ino(), after.ino(), "it is replaced, not written into");
            assert_eq!(fs::read(at("elsewhere/file")).unwrap(), b"new");
            fs::remove_file(at("link")).unwrap();
            fs::remove_file(at("elsewhere/file")).unwrap();
        }
        assert_eq!(fs::read_dir(at("elsewhere")).unwrap().count(), 0, "no part is left");
    }

    /// Only root may give a file to somebody else.
    #[tokio::test]
    async fn a_replaced_file_keeps_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "old").unwrap();
        if std::os::unix::fs::chown(&file, Some(12_345), Some(54_321)).is_err() {
            assert_ne!(fs::metadata(&file).unwrap().uid(), 0, "root may");
            return;
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        write(&file, true).await.unwrap();
        let after = fs::metadata(&file).unwrap();
        assert_eq!((after.uid(), after.gid(), after.mode() & 0o7777), (12_345, 54_321, 0o640));
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[tokio::test]
    async fn a_new_file_has_the_permissions_of_any_new_file_and_replaces_none_that_appears_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(&at("new"), false).await.unwrap();
        std::fs::write(at("any"), "").unwrap();
        let mode = |name: &str| fs::metadata(at(name)).unwrap().mode() & 0o7777;
        assert_eq!(mode("new"), mode("any"));
        let mut output = OutputFile::open(&at("late"), false).unwrap();
        output.writer().write_all(b"new").await.unwrap();
        std::fs::write(at("late"), "of somebody else").unwrap();
        let error = output.finish().await.unwrap_err().to_string();
        assert!(error.contains("exists"), "{error}");
        assert_eq!(fs::read(at("late")).unwrap(), b"of somebody else");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "a part is left");
    }

    #[tokio::test]
    async fn a_file_that_is_not_finished_leaves_the_old_one_and_no_part() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut output = OutputFile::open(&file, true).unwrap();
        output.writer().write_all(b"new").await.unwrap();
        let parts = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
        assert!(parts().all(|part| part.metadata().unwrap().mode() & 0o077 == 0), "others can read the part");
        drop(output);
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(parts().count(), 1);
    }

    /// A program that writes the audit log to `/dev/null` must not replace it by a file.
    #[tokio::test(flavor = "multi_thread")]
    async fn devices_and_fifos_are_written_to_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let error = write(&fifo, true).await.unwrap_err().to_string();
        assert!(error.contains("no program reads the FIFO"), "{error}");
        let reader = Command::new("cat").arg(&fifo).stdout(std::process::Stdio::piped()).spawn().unwrap();
        for tries in 0.. {
            match write(&fifo, false).await {
                Ok(()) => break,
                Err(error) => assert!(tries < 500, "{error}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(reader.wait_with_output().unwrap().stdout, b"new");
        assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
        symlink("/dev/null", folder.path().join("null")).unwrap();
        for null in [Path::new("/dev/null"), &folder.path().join("null")] {
            write(null, true).await.unwrap();
            write(null, false).await.unwrap();
            assert!(fs::metadata(null).unwrap().file_type().is_char_device());
        }
        symlink("nowhere", folder.path().join("dangling")).unwrap();
        for (refused, why) in
            [(folder.path().to_owned(), "a directory"), (folder.path().join("dangling"), "to nothing")]
        {
            let error = write(&refused, true).await.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
