//! PostgreSQL's own programs, and the user that runs them.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The folder of PostgreSQL's programs, and the user that runs them.
#[derive(Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
    /// User and group of the server, which refuses to run as root.
    user: Option<(u32, u32)>,
}

impl Programs {
    /// Returns the programs, which are searched once.
    ///
    /// # Panics
    /// When PostgreSQL is not installed.
    pub(crate) fn get() -> &'static Self {
        static PROGRAMS: OnceLock<Programs> = OnceLock::new();
        PROGRAMS.get_or_init(|| Self {
            folder: folder().expect(
                "these tests need a PostgreSQL server: install Debian's package `postgresql` (or any other that puts \
                 initdb and pg_ctl on the PATH), or name a running server in DATABASE_URL",
            ),
            user: is_root().then(unprivileged),
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the command of one of the programs, run as the server's user.
    pub(crate) fn command(&self, program: &str, folder: &Path) -> Command {
        self.as_user(self.folder.join(program), folder)
    }

    /// Returns the command of one of the programs, run as the server's user in a network namespace.
    pub(crate) fn command_in(&self, namespace: &str, program: &str, folder: &Path) -> Command {
        let mut command = Command::new("ip");
        command.current_dir(folder).args(["netns", "exec", namespace]);
        if let Some((user, group)) = self.user {
            command.args(["setpriv", &format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups"]);
        }
        command.arg(self.folder.join(program));
        command
    }

    /// Returns the command of any program, run as the server's user.
    pub(crate) fn as_user(&self, program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    /// Creates a folder that the server's user owns.
    pub(crate) fn make_folder(&self, folder: &Path) {
        std::fs::create_dir_all(folder)
            .unwrap_or_else(|error| panic!("{} cannot be made: {error}", folder.display()));
        self.give(folder);
    }

    /// Makes the server's user the owner of a file or folder.
    pub(crate) fn give(&self, path: &Path) {
        if let Some((user, group)) = self.user {
            chown(path, Some(user), Some(group)).expect("root may give files away");
        }
    }

    /// Returns the major version, `15`, which a data directory belongs to.
    pub(crate) fn version(&self) -> String {
        let said = text(Command::new(self.folder.join("initdb")).arg("--version").output().expect("initdb runs"));
        let version = said.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        version.unwrap_or(&said).split('.').next().unwrap_or_default().to_owned()
    }
}

/// Returns the output of a program.
///
/// # Panics
/// When it failed, with its error output.
pub(crate) fn text(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Returns the folder of initdb and pg_ctl: on the PATH, else the newest of Debian's.
fn folder() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path);
    let mut debian: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    debian.sort();
    on_path.chain(debian.into_iter().rev().map(|(_, folder)| folder)).find(|folder| {
        ["initdb", "pg_ctl", "postgres", "psql"].iter().all(|program| folder.join(program).is_file())
    })
}

fn is_root() -> bool {
    // On Linux `/proc/self` belongs to the user of the process.
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Returns Debian's user for PostgreSQL, else nobody.
fn unprivileged() -> (u32, u32) {
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| Some((number(&["-u", name])?, number(&["-g", name])?)))
        .expect("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it as")
}

fn number(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
