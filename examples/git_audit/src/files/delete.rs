//! Delete a file.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::file::{directory, ensure_exists};
use super::{File, FileError, FileEvent, FileId};

/// Delete a file
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeleteFile {
    /// The file
    #[on(File)]
    #[schemars(example = &"src/b.rs")]
    pub file: FileId,
    /// The whole path, if it is too long for the id
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Handle for DeleteFile {
    fn handle(&self, file: &Loaded<File>, _: &Context) -> Result<Vec<FileEvent>, FileError> {
        ensure_exists(file)?;
        Ok(vec![FileEvent::Deleted { directory: directory(&self.file, self.path.as_deref())? }])
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::super::examples::{added, context, file};
    use super::*;

    #[test]
    fn a_file_is_deleted_once() {
        let command = DeleteFile { file: file("src/a.rs"), path: None };
        let follows = FileEvent::Deleted { directory: "src".to_owned() };
        let there = given::<File>(&command.file, [added("src", "c1")]);
        there.when(command.clone(), context()).then(vec![follows.clone()]);
        nothing().when(command.clone(), context()).then_refused(FileError::Missing(command.file.clone()));
        given::<File>(&command.file, [added("src", "c1"), follows])
            .when(command.clone(), context())
            .then_refused(FileError::Missing(command.file));
    }
}
