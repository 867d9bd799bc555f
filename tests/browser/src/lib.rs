//! Tests of the page in a real browser: Chromium with its driver. `scripts/browser` installs both.
//!
//! ## Layout
//! - `library`: an application with display names
//! - `served`: [`Served`], a served application that can be stopped and started again
//! - `browser`: [`Browser`], a headless Chromium for one test
//!
//! Errors panic.

mod browser;
mod library;
mod served;

pub use browser::{Browser, Theme, eventually};
pub use library::{BookId, Register, Retitle, Shelve, UserId, library, reader};
pub use served::Served;
