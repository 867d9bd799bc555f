//! Tasks that are added and completed.

pub mod tasks;

use annals::prelude::*;

/// The application: its commands.
#[must_use]
pub fn app() -> App {
    App::new("my_app").command::<tasks::AddTask>().command::<tasks::CompleteTask>()
}
