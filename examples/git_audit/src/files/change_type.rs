//! Change the type of a file.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::file::{directory, ensure_exists};
use super::{File, FileError, FileEvent, FileId};

/// Change the type of a file: file, symbolic link, submodule
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChangeFileType {
    /// The file
    #[on(File)]
    #[schemars(example = &"src/a.rs")]
    pub file: FileId,
    /// The whole path, if it is too long for the id
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Handle for ChangeFileType {
    fn handle(&self, file: &Loaded<File>, _: &Context) -> Result<Vec<FileEvent>, FileError> {
        ensure_exists(file)?;
        Ok(vec![FileEvent::TypeChanged { directory: directory(&self.file, self.path.as_deref())? }])
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::super::examples::{added, context, file};
    use super::*;

    #[test]
    fn only_the_type_of_an_existing_file_is_changed() {
        let command = ChangeFileType { file: file("src/a.rs"), path: None };
        let follows = FileEvent::TypeChanged { directory: "src".to_owned() };
        let there = given::<File>(&command.file, [added("src", "c1")]);
        there.when(command.clone(), context()).then(vec![follows.clone()]);
        nothing().when(command.clone(), context()).then_refused(FileError::Missing(command.file.clone()));
        given::<File>(&command.file, [added("src", "c1"), follows.clone()])
            .when(command, context())
            .then(vec![follows]);
    }
}
