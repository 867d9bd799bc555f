//! Copy a file.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::file::directory;
use super::{File, FileError, FileEvent, FileId};

/// Copy a file
///
/// Only the copy is decided on: its source may change or leave in the same commit. What is at the new path is replaced,
/// as `cp` does.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CopyFile {
    /// The copy
    #[on(File)]
    pub file: FileId,
    /// What it is made after
    pub from: FileId,
    /// The commit that copies it
    pub commit: String,
    /// The copy's whole path, where the id has not room for it
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Handle for CopyFile {
    fn handle(&self, _: &Loaded<File>, _: &Context) -> Result<Vec<FileEvent>, FileError> {
        let directory = directory(&self.file, self.path.as_deref())?;
        let (from, commit, path) = (self.from.clone(), self.commit.clone(), self.path.clone());
        Ok(vec![FileEvent::Copied { directory, commit, from, path }])
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::super::examples::{added, context, file};
    use super::*;

    #[test]
    fn a_copy_comes_to_be_or_replaces_what_is_there() {
        let (commit, directory) = ("c2".to_owned(), "src".to_owned());
        let copy = CopyFile { file: file("src/b"), from: file("src/a"), commit: commit.clone(), path: None };
        let copied = FileEvent::Copied { directory, commit, from: file("src/a"), path: None };
        nothing().when(copy.clone(), context()).then(vec![copied.clone()]);
        given::<File>(&copy.file, [added("src", "c1")]).when(copy.clone(), context()).then(vec![copied]);
    }
}
