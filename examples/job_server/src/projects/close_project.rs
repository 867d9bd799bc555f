//! Close a project.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::project::ensure_exists;
use super::{Project, ProjectError, ProjectEvent, ProjectId};

/// Close a project: nobody can apply for it any more
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CloseProject {
    /// The project
    #[on(Project)]
    #[schemars(example = &"7")]
    pub project: ProjectId,
}

impl Handle for CloseProject {
    fn handle(&self, project: &Loaded<Project>, _: &Context) -> Result<Vec<ProjectEvent>, ProjectError> {
        ensure_exists(project)?;
        Ok(if Project::is_open(project) { vec![ProjectEvent::Closed] } else { Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::*;
    use crate::users::UserId;

    #[test]
    fn a_project_is_closed_once() {
        let (seven, alice) = (ProjectId::new("7"), Context::by(UserId::new("alice")));
        let close = CloseProject { project: seven.clone() };
        let created = ProjectEvent::Created { name: "Vaccines".to_owned() };
        given::<Project>(&seven, [created.clone()])
            .when(close.clone(), alice.clone())
            .then(vec![ProjectEvent::Closed]);
        given::<Project>(&seven, [created, ProjectEvent::Closed]).when(close.clone(), alice.clone()).then(vec![]);
        nothing().when(close, alice).then_refused(ProjectError::Missing(seven));
    }
}
