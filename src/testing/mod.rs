//! Tools for the tests of an application: scenarios (given, when, then), a clock, a soundness check and the lock file of
//! event shapes.
//!
//! ## Layout
//! - `scenario`: [`given`] events, [`when`](Given::when) a command, [`then`](When::then) events
//! - `keys`: keys of personal values, in scenarios
//! - `cqrs`: [`Cqrs`], for tests with the test framework of cqrs-es
//! - `clock`: [`TestClock`], which a test sets
//! - `lock`: [`assert_shapes_locked`], which pins the shapes of events in the log

mod clock;
mod cqrs;
mod keys;
mod lock;
mod scenario;

pub use clock::TestClock;
pub use cqrs::{Cqrs, Decide};
pub use lock::{Shape, assert_shapes_locked, shapes};
pub use scenario::{Given, When, given, nothing};

use crate::app::App;

/// Checks that the application's names, ids, topics and views fit together.
///
/// # Panics
/// When they do not, with all problems.
#[track_caller]
pub fn app_is_sound(app: &App) {
    if let Err(unsound) = app.check() {
        panic!("{unsound}");
    }
}
