//! Change a file.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::file::{directory, ensure_there};
use super::{File, FileError, FileEvent, FileId};

/// Change what a file holds, or its mode
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChangeFile {
    /// The file
    #[on(File)]
    pub file: FileId,
    /// The whole path, where the id has not room for it
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Handle for ChangeFile {
    fn handle(&self, file: &Loaded<File>, _: &Context) -> Result<Vec<FileEvent>, FileError> {
        ensure_there(file)?;
        Ok(vec![FileEvent::Changed { directory: directory(&self.file, self.path.as_deref())? }])
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::super::examples::{added, context, file};
    use super::*;

    #[test]
    fn a_file_that_is_there_is_changed() {
        let command = ChangeFile { file: file("src/a.rs"), path: None };
        let follows = FileEvent::Changed { directory: "src".to_owned() };
        let there = given::<File>(&command.file, [added("src", "c1")]);
        there.when(command.clone(), context()).then(vec![follows.clone()]);
        nothing().when(command.clone(), context()).then_refused(FileError::Missing(command.file.clone()));
        given::<File>(&command.file, [added("src", "c1"), follows.clone()])
            .when(command, context())
            .then(vec![follows]);
    }
}
