//! Small git repositories, and helpers to compare them with an import.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use annals::prelude::*;
use annals::projections::audit::AuditLog;
use git_audit::files::{FileId, Tree};
use git_audit::git::Repository;
use git_audit::import::{ImportError, Progress, import};
use tempfile::TempDir;
use tokio::sync::watch;

/// A repository in a temporary directory. Its commits have a fixed identity and increasing dates.
pub struct Sandbox {
    directory: TempDir,
    commits: std::cell::Cell<u64>,
}

impl Sandbox {
    pub fn new() -> Self {
        let sandbox = Self { directory: TempDir::new().unwrap(), commits: 0.into() };
        std::fs::create_dir(sandbox.path()).unwrap();
        sandbox.git(["init", "-q", "-b", "main"]);
        sandbox
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("repository")
    }

    pub fn git<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
        let output = git(&self.path(), self.commits.get()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub fn write(&self, path: impl AsRef<OsStr>, content: &str) {
        let path = self.path().join(path.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn write_bytes(&self, path: &[u8], content: &str) {
        self.write(OsStr::from_bytes(path), content);
    }

    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.path().join(path)).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        let (from, to) = (self.path().join(from), self.path().join(to));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(from, to).unwrap();
    }

    /// Commits all changes.
    pub fn commit(&self) {
        self.commit_by("ann@example.org");
    }

    pub fn commit_by(&self, email: &str) {
        self.git(["add", "-A"]);
        self.commits.set(self.commits.get() + 1);
        let output = git(&self.path(), self.commits.get())
            .env("GIT_AUTHOR_EMAIL", email)
            .args(["commit", "-q", "--allow-empty", "-m", "a commit"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The number of rows, counted as lines: without `-z` a path is quoted, and a row is a line.
    pub fn rows(&self) -> u64 {
        let plain = ["log", "--first-parent", "--reverse", "-m", "--name-status", "-M", "--format="];
        self.git(plain).split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64
    }

    /// The paths in the tree of HEAD.
    pub fn tree(&self) -> BTreeSet<Vec<u8>> {
        let listed = self.git(["ls-tree", "-r", "-z", "--name-only", "HEAD"]);
        listed.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect()
    }

    pub async fn import(&self, annals: &Annals) -> Result<Progress, ImportError> {
        let (_running, stop) = watch::channel(false);
        import(annals, &Repository::open(self.path())?, stop, |_, _| {}).await
    }
}

pub fn git(path: &Path, commits: u64) -> Command {
    let mut command = Command::new("git");
    command.current_dir(path).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.org");
        command.env(format!("GIT_{who}_DATE"), format!("{} +0200", 1_600_000_000 + commits * 60));
    }
    command.args(["-c", "core.quotePath=true", "-c", "protocol.file.allow=always"]);
    command
}

pub async fn open(store: &str) -> Annals {
    git_audit::app().open(store).await.unwrap()
}

/// The live tree as the view has it, by key.
pub async fn tree(annals: &Annals) -> BTreeMap<FileId, Tree> {
    let head = annals.store().head().await.unwrap();
    annals.reading(Tree::NAME).unwrap().caught_up(head, None).await.unwrap();
    let (mut tree, mut from) = (BTreeMap::new(), None);
    loop {
        let page = annals.views::<Tree>().page(1_000, from.as_ref()).await.unwrap();
        from = page.documents.last().map(|(key, _)| key.clone());
        tree.extend(page.documents);
        if !page.more {
            return tree;
        }
    }
}

/// The paths of the live tree, as git has them.
pub async fn paths(annals: &Annals) -> BTreeSet<Vec<u8>> {
    let whole = |(key, file): (FileId, Tree)| file.path.unwrap_or_else(|| key.text().into_owned());
    tree(annals).await.into_iter().map(|file| git_audit::git::text::bytes(&whole(file)).unwrap()).collect()
}

/// All sentences, oldest first.
pub async fn sentences(annals: &Annals) -> Vec<String> {
    let head = annals.store().head().await.unwrap();
    annals.reading(AuditLog::NAME).unwrap().caught_up(head, None).await.unwrap();
    let page = annals.audit().oldest_first().limit(1_000).page().await.unwrap();
    page.rows.into_iter().map(|row| row.sentence).collect()
}

/// Runs the program itself.
pub fn program(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_git_audit"));
    command.current_dir(directory).args(arguments).stdin(Stdio::null()).env_remove("ANNALS_STORE");
    command.output().unwrap()
}
