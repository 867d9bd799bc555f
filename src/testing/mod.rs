//! For the tests of an application: given, when, then; a clock; soundness; the lock file of event shapes.
//!
//! ## Layout
//! - `scenario`: [`given`] these events, [`when`](Given::when) this command, [`then`](When::then) those
//! - `clock`: [`Clock`], which goes as it is told
//! - `lock`: [`assert_shapes_locked`], which pins what lies in the log

mod clock;
mod lock;
mod scenario;

pub use clock::Clock;
pub use lock::{Shape, assert_shapes_locked, shapes};
pub use scenario::{Given, When, given, nothing};

use crate::app::App;

/// Fails, with all that is wrong, unless the application's parts fit together: names, ids, topics, views.
///
/// # Panics
/// When the application is not sound.
#[track_caller]
pub fn app_is_sound(app: &App) {
    if let Err(unsound) = app.check() {
        panic!("{unsound}");
    }
}
