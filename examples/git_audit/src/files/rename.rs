//! Rename a file.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::file::{directory, ensure_exists};
use super::{File, FileError, FileEvent, FileId};

/// Rename a file: one command over two paths, decided and appended together
///
/// A file at the new path is replaced, as with `git mv --force`. When a commit swaps two files, one arrives at a path before
/// the other has left it. A file that leaves a path after another one arrived there *in the same commit* is therefore the old
/// file of that path, and the new one stays.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RenameFile {
    /// The old path
    #[on(File)]
    #[schemars(example = &"src/a.rs")]
    pub from: FileId,
    /// The new path
    #[on(File)]
    #[schemars(example = &"src/c.rs")]
    pub to: FileId,
    /// The commit that renames it
    #[schemars(example = &"4d2c1f0")]
    pub commit: String,
    /// The whole old path, if it is too long for the id
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_path: Option<String>,
    /// The whole new path, if it is too long for the id
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_path: Option<String>,
}

impl Handle for RenameFile {
    fn handle(
        &self,
        (old, _): (&Loaded<File>, &Loaded<File>),
        _: &Context,
    ) -> Result<(Vec<FileEvent>, Vec<FileEvent>), FileError> {
        ensure_exists(old)?;
        let (directory, to) = (directory(&self.from, self.from_path.as_deref())?, self.to.clone());
        let departs = match old.since() == Some(self.commit.as_str()) {
            true => FileEvent::MadeWay { directory, to },
            false => FileEvent::RenamedTo { directory, to },
        };
        let arrives = FileEvent::RenamedFrom {
            directory: super::file::directory(&self.to, self.to_path.as_deref())?,
            commit: self.commit.clone(),
            from: self.from.clone(),
            path: self.to_path.clone(),
        };
        Ok((vec![departs], vec![arrives]))
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::super::examples::{added, context, file};
    use super::*;

    fn rename(from: &str, to: &str, commit: &str) -> RenameFile {
        let commit = commit.to_owned();
        RenameFile { from: file(from), to: file(to), commit, from_path: None, to_path: None }
    }

    fn came_from(from: &str, commit: &str) -> FileEvent {
        FileEvent::RenamedFrom { directory: String::new(), commit: commit.to_owned(), from: file(from), path: None }
    }

    /// Mission X13.
    #[test]
    fn a_rename_deletes_the_old_path_and_creates_the_new_one() {
        let root = String::new();
        let there = given::<File>(&file("a"), [added("", "c1")]);
        there
            .when(rename("a", "b", "c2"), context())
            .then((vec![FileEvent::RenamedTo { directory: root, to: file("b") }], vec![came_from("a", "c2")]));
        nothing().when(rename("a", "b", "c2"), context()).then_refused(FileError::Missing(file("a")));
    }

    #[test]
    fn in_a_swap_the_file_that_arrived_in_the_same_commit_stays() {
        let root = String::new();
        let before = given::<File>(&file("a"), [added("", "c1")]).and::<File>(&file("b"), [added("", "c1")]);
        let gone = FileEvent::RenamedTo { directory: root.clone(), to: file("a") };
        before.when(rename("b", "a", "c2"), context()).then((vec![gone.clone()], vec![came_from("b", "c2")]));
        let between = given::<File>(&file("a"), [added("", "c1"), came_from("b", "c2")])
            .and::<File>(&file("b"), [added("", "c1"), gone]);
        between
            .when(rename("a", "b", "c2"), context())
            .then((vec![FileEvent::MadeWay { directory: root, to: file("b") }], vec![came_from("a", "c2")]));
    }
}
