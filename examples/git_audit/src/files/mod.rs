//! Files of the repository. Symbolic links and submodules are files too.
//!
//! ## Layout
//! - `events`: the events of a file
//! - `file`: the aggregate: the state of a path that commands decide on
//! - `add`, `change`, `delete`, `rename`, `copy`, `change_type`: one command each
//! - `tree`: the view of the current files
//! - `actors`, `directories`: views with the number of events of each actor and directory

mod actors;
mod add;
mod change;
mod change_type;
mod copy;
mod delete;
mod directories;
mod events;
mod file;
mod rename;
mod tree;

pub use actors::Actors;
pub use add::AddFile;
pub use change::ChangeFile;
pub use change_type::ChangeFileType;
pub use copy::CopyFile;
pub use delete::DeleteFile;
pub use directories::Directories;
pub use events::FileEvent;
pub use file::{File, FileError, FileId};
pub use rename::RenameFile;
pub use tree::Tree;

/// Fixtures for the tests of the commands.
#[cfg(test)]
mod examples {
    use annals::prelude::*;

    use super::{FileEvent, FileId};

    pub fn context() -> Context {
        Context::by(Ref::new("user", "ann@example.org").unwrap_or_else(|error| panic!("{error}")))
    }

    pub fn file(path: &str) -> FileId {
        FileId::of(path).0
    }

    pub fn added(directory: &str, commit: &str) -> FileEvent {
        FileEvent::Added { directory: directory.to_owned(), commit: commit.to_owned(), path: None }
    }
}
