//! The aggregate `Task`: the state that commands decide on.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::TaskEvent;

/// The id of a task.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(String);

/// The state of a task.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Whether the task is completed.
    pub completed: bool,
}

/// Why a command on a task is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// The task already exists.
    #[error("{0} already exists")]
    Exists(TaskId),
    /// The task does not exist.
    #[error("{0} does not exist: add it first")]
    Missing(TaskId),
    /// The task is already completed.
    #[error("{0} is already completed")]
    Completed(TaskId),
}

impl Aggregate for Task {
    const TYPE: &'static str = "task";
    type Id = TaskId;
    type Event = TaskEvent;
    type Error = TaskError;

    fn apply(&mut self, event: &TaskEvent) {
        match event {
            TaskEvent::Added { .. } => {}
            TaskEvent::Completed => self.completed = true,
        }
    }
}
