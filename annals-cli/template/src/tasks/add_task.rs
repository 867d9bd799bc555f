//! Add a task.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Task, TaskError, TaskEvent, TaskId};

/// Add a task
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AddTask {
    /// Id of the new task
    #[on(Task)]
    #[schemars(example = &"1")]
    pub task: TaskId,
    /// Title of the task
    #[schemars(example = &"Write the report")]
    pub title: String,
}

impl Handle for AddTask {
    fn handle(&self, task: &Loaded<Task>, _: &Context) -> Result<Vec<TaskEvent>, TaskError> {
        match task.exists() {
            true => Err(TaskError::Exists(self.task.clone())),
            false => Ok(vec![TaskEvent::Added { title: self.title.clone() }]),
        }
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::*;

    #[test]
    fn a_task_is_added_once() {
        let alice = Context::by("user:alice".parse::<Ref>().unwrap());
        let add = AddTask { task: TaskId::new("1"), title: "Write the report".to_owned() };
        let added = TaskEvent::Added { title: "Write the report".to_owned() };
        nothing().when(add.clone(), alice.clone()).then(vec![added.clone()]);
        given::<Task>(&add.task, [added]).when(add.clone(), alice).then_refused(TaskError::Exists(add.task));
    }
}
