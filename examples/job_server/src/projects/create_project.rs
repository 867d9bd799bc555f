//! Create a project.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Project, ProjectError, ProjectEvent, ProjectId};

/// Create a project
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreateProject {
    /// Id of the new project
    #[on(Project)]
    #[schemars(example = &"7")]
    pub project: ProjectId,
    /// Name of the project
    #[schemars(example = &"Vaccines")]
    pub name: String,
}

impl Handle for CreateProject {
    fn handle(&self, project: &Loaded<Project>, _: &Context) -> Result<Vec<ProjectEvent>, ProjectError> {
        if project.exists() {
            return Err(ProjectError::Exists(self.project.clone()));
        }
        if self.name.trim().is_empty() {
            return Err(ProjectError::BlankName);
        }
        Ok(vec![ProjectEvent::Created { name: self.name.clone() }])
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::*;
    use crate::users::UserId;

    #[test]
    fn a_project_is_created_once_and_needs_a_name() {
        let (alice, seven) = (Context::by(UserId::new("alice")), ProjectId::new("7"));
        let create = |name: &str| CreateProject { project: seven.clone(), name: name.to_owned() };
        let created = ProjectEvent::Created { name: "Vaccines".to_owned() };
        nothing().when(create("Vaccines"), alice.clone()).then(vec![created.clone()]);
        nothing().when(create(" "), alice.clone()).then_refused(ProjectError::BlankName);
        given::<Project>(&seven, [created])
            .when(create("Again"), alice)
            .then_refused(ProjectError::Exists(seven.clone()));
    }
}
