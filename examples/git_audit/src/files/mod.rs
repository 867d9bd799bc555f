//! Files: what a path of the repository's tree holds. (Symbolic links and submodules are files here.)
//!
//! ## Layout
//! - `events`: what can happen to a file
//! - `file`: the aggregate, a path; what decisions need to know of it
//! - `add`, `change`, `delete`, `rename`, `copy`, `change_type`: one command a file
//! - `tree`: the view of the live tree
//! - `actors`, `directories`: the views of who did how much, and where

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

/// What the tests of the commands share.
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
