//! The page of annals in a real browser: Chromium, driven by its own driver. `scripts/browser` installs both.
//!
//! ## Layout
//! - `library`: an application whose people and books have names, which may be hostile
//! - `served`: [`Served`], an application on a store of its own, served; stopped and started again
//! - `browser`: [`Browser`], a browser of a test's own
//!
//! Whatever goes wrong here panics: it is for tests.

mod browser;
mod library;
mod served;

pub use browser::{Browser, Theme, eventually};
pub use library::{BookId, Register, Retitle, Shelve, UserId, library, reader};
pub use served::Served;
