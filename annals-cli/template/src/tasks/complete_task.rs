//! Complete a task.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Task, TaskError, TaskEvent, TaskId};

/// Complete a task
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CompleteTask {
    /// The task
    #[on(Task)]
    #[schemars(example = &"1")]
    pub task: TaskId,
}

impl Handle for CompleteTask {
    fn handle(&self, task: &Loaded<Task>, _: &Context) -> Result<Vec<TaskEvent>, TaskError> {
        if !task.exists() {
            return Err(TaskError::Missing(self.task.clone()));
        }
        match task.completed {
            true => Err(TaskError::Completed(self.task.clone())),
            false => Ok(vec![TaskEvent::Completed]),
        }
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::*;

    #[test]
    fn an_existing_task_is_completed_once() {
        let alice = || Context::by("user:alice".parse::<Ref>().unwrap());
        let complete = CompleteTask { task: TaskId::new("1") };
        let added = TaskEvent::Added { title: "Write the report".to_owned() };
        nothing().when(complete.clone(), alice()).then_refused(TaskError::Missing(complete.task.clone()));
        given::<Task>(&complete.task, [added.clone()])
            .when(complete.clone(), alice())
            .then(vec![TaskEvent::Completed]);
        given::<Task>(&complete.task, [added, TaskEvent::Completed])
            .when(complete.clone(), alice())
            .then_refused(TaskError::Completed(complete.task));
    }
}
