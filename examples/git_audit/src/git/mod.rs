//! Reads a git repository without a library: runs `git` and parses its output as a stream.
//!
//! ## Layout
//! - `repository`: [`Repository`], a repository with a complete history
//! - `history`: [`History`], the first-parent history, one [`Commit`] at a time
//! - `commit`: [`Commit`] and its [`Row`]s
//! - `text`: conversion of paths, which are bytes, to text and back
//! - `process`: runs `git` independently of its configuration and environment
//! - `error`: [`GitError`]

mod commit;
mod error;
mod history;
mod process;
mod repository;
pub mod text;

pub use commit::{Commit, Row};
pub use error::GitError;
pub use history::{History, Parser};
pub use repository::{Repository, Survey};
