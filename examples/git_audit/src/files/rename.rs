//! Rename a file.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::file::{directory, ensure_there};
use super::{File, FileError, FileEvent, FileId};

/// Rename a file: one command over two paths, decided together and appended together
///
/// What is at the new path is replaced, as `git mv --force` does. When a commit swaps files, one of them has to come
/// before the other has left: what leaves a path after something arrived there *in the same commit* is what was there
/// before, and so what arrived stays.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RenameFile {
    /// Where it is
    #[on(File)]
    pub from: FileId,
    /// Where it goes
    #[on(File)]
    pub to: FileId,
    /// The commit that renames it
    pub commit: String,
    /// The whole old path, where the id has not room for it
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_path: Option<String>,
    /// The whole new path, where the id has not room for it
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_path: Option<String>,
}

impl Handle for RenameFile {
    fn handle(
        &self,
        (old, _): (&Loaded<File>, &Loaded<File>),
        _: &Context,
    ) -> Result<(Vec<FileEvent>, Vec<FileEvent>), FileError> {
        ensure_there(old)?;
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
    fn a_rename_ends_one_file_and_begins_another() {
        let root = String::new();
        let there = given::<File>(&file("a"), [added("", "c1")]);
        there
            .when(rename("a", "b", "c2"), context())
            .then((vec![FileEvent::RenamedTo { directory: root, to: file("b") }], vec![came_from("a", "c2")]));
        nothing().when(rename("a", "b", "c2"), context()).then_refused(FileError::Missing(file("a")));
    }

    #[test]
    fn in_a_swap_what_arrived_in_the_commit_stays() {
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
