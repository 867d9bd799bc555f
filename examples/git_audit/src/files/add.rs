//! Add a file.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::file::directory;
use super::{File, FileError, FileEvent, FileId};

/// Add a file at a path without one
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AddFile {
    /// The file
    #[on(File)]
    #[schemars(example = &"src/a.rs")]
    pub file: FileId,
    /// The commit that adds it
    #[schemars(example = &"4d2c1f0")]
    pub commit: String,
    /// The whole path, if it is too long for the id
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Handle for AddFile {
    fn handle(&self, file: &Loaded<File>, _: &Context) -> Result<Vec<FileEvent>, FileError> {
        if let Some(since) = file.since() {
            return Err(FileError::Exists { file: self.file.clone(), since: since.to_owned() });
        }
        let directory = directory(&self.file, self.path.as_deref())?;
        Ok(vec![FileEvent::Added { directory, commit: self.commit.clone(), path: self.path.clone() }])
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::super::examples::{added, context, file};
    use super::*;

    #[test]
    fn a_file_is_added_only_at_a_path_without_one() {
        let add = AddFile { file: file("src/a b.rs"), commit: "c2".to_owned(), path: None };
        let deleted = FileEvent::Deleted { directory: "src".to_owned() };
        nothing().when(add.clone(), context()).then(vec![added("src", "c2")]);
        given::<File>(&add.file, [added("src", "c1"), deleted])
            .when(add.clone(), context())
            .then(vec![added("src", "c2")]);
        given::<File>(&add.file, [added("src", "c1")])
            .when(add.clone(), context())
            .then_refused(FileError::Exists { file: add.file, since: "c1".to_owned() });
    }

    #[test]
    fn a_path_of_another_file_is_refused() {
        let (file, path) = (file("a"), "b".to_owned());
        let add = AddFile { file: file.clone(), commit: "c1".to_owned(), path: Some(path.clone()) };
        nothing().when(add, context()).then_refused(FileError::OtherPath { file, path });
    }
}
