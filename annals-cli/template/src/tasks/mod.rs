//! Tasks.

mod add_task;
mod complete_task;
mod events;
mod task;

pub use add_task::AddTask;
pub use complete_task::CompleteTask;
pub use events::TaskEvent;
pub use task::{Task, TaskError, TaskId};
