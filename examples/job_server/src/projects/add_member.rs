//! Give a user roles on a project.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::project::ensure_exists;
use super::{MemberEvent, Project, ProjectError, ProjectEvent, ProjectId};
use crate::roles::Roles;
use crate::users::UserId;

/// Give a user roles on a project
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AddMember {
    /// The project
    #[on(Project)]
    #[schemars(example = &"7")]
    pub project: ProjectId,
    /// The new member
    #[schemars(example = &"bob")]
    pub user: UserId,
    /// Roles of the member
    pub roles: Roles,
}

impl Handle for AddMember {
    fn handle(&self, project: &Loaded<Project>, _: &Context) -> Result<Vec<ProjectEvent>, ProjectError> {
        ensure_exists(project)?;
        if project.roles(&self.user).is_ok() {
            return Err(ProjectError::Member(self.user.clone()));
        }
        Ok(MemberEvent::joined(&self.user, &self.roles))
    }
}

#[cfg(test)]
mod tests {
    use annals::commands::Services;
    use annals::testing::{Cqrs, Decide};
    use cqrs_es::test::TestFramework;

    use super::*;
    use crate::roles::{Role, roles};

    fn add() -> Box<dyn Decide<Project>> {
        let (project, user) = (ProjectId::new("7"), UserId::new("bob"));
        let command = AddMember { project, user, roles: roles([Role::Developer]) };
        Cqrs::<Project>::command(command, Context::by(UserId::new("alice")))
    }

    fn created() -> ProjectEvent {
        ProjectEvent::Created { name: "Vaccines".to_owned() }
    }

    fn added() -> ProjectEvent {
        MemberEvent::Added { user: UserId::new("bob"), roles: roles([Role::Developer]) }.into()
    }

    /// Mission J10. This test uses the test framework of cqrs-es, which works with every aggregate.
    #[test]
    fn a_member_is_added_once_to_a_project_that_exists() {
        let framework = || TestFramework::<Cqrs<Project>>::with(Services::default());
        framework().given(vec![created()]).when(add()).then_expect_events(vec![added()]);
        framework()
            .given(vec![created(), added()])
            .when(add())
            .then_expect_error(ProjectError::Member(UserId::new("bob")));
        framework()
            .given_no_previous_events()
            .when(add())
            .then_expect_error_message("project:7 does not exist: create it first");
    }
}
