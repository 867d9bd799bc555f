//! Tests of the page in a real browser: Chromium with its driver. `scripts/browser` installs both.
//!
//! ## Layout
//! - `library`: an application with display names
//! - `served`: [`Served`], a served application that can be stopped and started again
//! - `browser`: [`Browser`], a headless Chromium for one test
//! - `checks`: what is checked on every page
//!
//! Errors panic.

mod browser;
mod checks;
mod library;
mod served;

pub use browser::{Browser, Theme, eventually};
pub use checks::{EFFECTS, axe, barriers};
pub use library::{Book, BookEvent, BookId, Register, Retitle, Shelve, UserId, library, reader};
pub use served::Served;
