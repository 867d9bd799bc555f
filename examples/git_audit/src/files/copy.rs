//! Copy a file.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::file::directory;
use super::{File, FileError, FileEvent, FileId};

/// Copy a file
///
/// The command is decided on the copy alone: its source may change or be deleted in the same commit. A file at the new path
/// is replaced, as with `cp`.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CopyFile {
    /// The copy
    #[on(File)]
    #[schemars(example = &"src/b.rs")]
    pub file: FileId,
    /// The source
    #[schemars(example = &"src/a.rs")]
    pub from: FileId,
    /// The commit that copies it
    #[schemars(example = &"4d2c1f0")]
    pub commit: String,
    /// The copy's whole path, if it is too long for the id
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
    fn a_copy_is_added_or_replaces_a_file() {
        let (commit, directory) = ("c2".to_owned(), "src".to_owned());
        let copy = CopyFile { file: file("src/b"), from: file("src/a"), commit: commit.clone(), path: None };
        let copied = FileEvent::Copied { directory, commit, from: file("src/a"), path: None };
        nothing().when(copy.clone(), context()).then(vec![copied.clone()]);
        given::<File>(&copy.file, [added("src", "c1")]).when(copy.clone(), context()).then(vec![copied]);
    }
}
