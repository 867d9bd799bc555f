//! [`Repository`].

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::process::{Running, run};
use super::{GitError, History};

/// A git repository whose history can be read: it is one, has commits, and all of them.
#[derive(Clone, Debug)]
pub struct Repository {
    path: PathBuf,
    head: String,
}

impl Repository {
    /// The repository at or around this path, as HEAD stands now: what is committed later is for the next time.
    ///
    /// # Errors
    /// When there is no repository, or nothing to read in it, or not all of it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, GitError> {
        let path = path.as_ref().to_owned();
        let shallow = run(&path, &["rev-parse", "--is-shallow-repository"])?
            .map_err(|said| GitError::NotARepository { path: path.clone(), said })?;
        if shallow.trim_ascii() == b"true" {
            return Err(GitError::Shallow(path));
        }
        let head = run(&path, &["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?
            .map_err(|_| GitError::NoCommits(path.clone()))?;
        Ok(Self { path, head: String::from_utf8_lossy(&head).trim().to_owned() })
    }

    /// Where it was looked for.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The commit that HEAD named when this was opened.
    #[must_use]
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The first-parent history, oldest commit first, each against its first parent.
    ///
    /// # Errors
    /// When `git` cannot be run.
    pub fn history(&self) -> Result<History, GitError> {
        History::of(&self.path, &self.head)
    }

    /// How many commits the first-parent history has, and whether this one is among them.
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

/// What [`Repository::survey`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    /// How many commits there are.
    pub commits: u64,
    /// Whether the one that was asked for is among them.
    pub found: bool,
}
