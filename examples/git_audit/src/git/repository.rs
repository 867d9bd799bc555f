//! [`Repository`].

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::process::{Running, run};
use super::{GitError, History};

/// A git repository that has commits and is not a shallow clone.
#[derive(Clone, Debug)]
pub struct Repository {
    path: PathBuf,
    head: String,
    copies: bool,
}

impl Repository {
    /// Opens the repository that contains this path, at its current HEAD. Later commits are not read.
    ///
    /// # Errors
    /// When there is no repository, or it has no commits, or it is a shallow clone.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, GitError> {
        let path = path.as_ref().to_owned();
        let shallow = run(&path, &["rev-parse", "--is-shallow-repository"])?
            .map_err(|stderr| GitError::NotARepository { path: path.clone(), stderr })?;
        if shallow.trim_ascii() == b"true" {
            return Err(GitError::Shallow(path));
        }
        let head = run(&path, &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?
            .map_err(|_| GitError::NoCommits(path.clone()))?;
        Ok(Self { path, head: String::from_utf8_lossy(&head).trim().to_owned(), copies: false })
    }

    /// Also detects copies, of any file: by default a copy is an added file. It takes git much longer, because it compares each added
    /// file with the whole tree.
    #[must_use]
    pub fn with_copies(mut self, copies: bool) -> Self {
        self.copies = copies;
        self
    }

    /// The path that was given to [`open`](Self::open).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The commit of HEAD when the repository was opened.
    #[must_use]
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Returns the first-parent history, oldest commit first.
    ///
    /// # Errors
    /// When `git` cannot be run.
    pub fn history(&self) -> Result<History, GitError> {
        History::start(&self.path, &self.head, self.copies)
    }

    /// Counts the commits of the first-parent history and looks for one of them.
    ///
    /// # Errors
    /// When `git` cannot be run or fails.
    pub fn survey(&self, commit: Option<&str>) -> Result<Survey, GitError> {
        let (mut git, output) = Running::start(&self.path, "rev-list", &["--first-parent", &self.head])?;
        let mut survey = Survey { commits: 0, found: false };
        for line in BufReader::new(output).lines() {
            survey.commits += 1;
            survey.found |= Some(line?.as_str()) == commit;
        }
        git.finish()?;
        Ok(survey)
    }
}

/// The result of [`Repository::survey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Number of commits.
    pub commits: u64,
    /// Whether the history contains the commit.
    pub found: bool,
}
