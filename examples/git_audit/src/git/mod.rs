//! Reading a git repository, without libraries: `git` itself is run, and what it prints is read as it comes.
//!
//! ## Layout
//! - `repository`: [`Repository`], found and checked
//! - `history`: [`History`], the first-parent history, one [`Commit`] at a time
//! - `commit`: [`Commit`] and its [`Row`]s
//! - `text`: paths, which are bytes, as text, and back
//! - `process`: `git` run with everything pinned that a configuration could turn
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
