//! The events of a task.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::Task;

/// An event of a task. The text in quotes is its sentence in the audit log.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "task", topic = "task", on = Task)]
pub enum TaskEvent {
    /// The task was added.
    #[event(create, "{actor} added {task}: {title}")]
    Added {
        /// Title of the task.
        title: String,
    },
    /// The task was completed.
    #[event(update, "{actor} completed {task}")]
    Completed,
}
