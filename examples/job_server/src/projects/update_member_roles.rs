//! Change a member's roles.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{MemberEvent, Project, ProjectError, ProjectEvent, ProjectId};
use crate::roles::Roles;
use crate::users::UserId;

/// Change a member's roles
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct UpdateMemberRoles {
    /// The project
    #[on(Project)]
    #[schemars(example = &"7")]
    pub project: ProjectId,
    /// The member
    #[schemars(example = &"bob")]
    pub user: UserId,
    /// The new roles
    #[schemars(example = ["coordinator"])]
    pub roles: Roles,
}

impl Handle for UpdateMemberRoles {
    fn handle(&self, project: &Loaded<Project>, _: &Context) -> Result<Vec<ProjectEvent>, ProjectError> {
        let change = Change::between(project.roles(&self.user)?.clone(), self.roles.clone());
        let user = self.user.clone();
        Ok(change.map(|roles| MemberEvent::RolesUpdated { user, roles }.into()).into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::*;
    use crate::roles::{Role, roles};

    /// Mission J10 and A6.
    #[test]
    fn a_change_of_a_members_roles_records_old_and_new_roles() {
        let (seven, bob) = (ProjectId::new("7"), UserId::new("bob"));
        let (from, to) = (roles([Role::Developer]), roles([Role::Developer, Role::OutputChecker]));
        let added: ProjectEvent = MemberEvent::Added { user: bob.clone(), roles: from.clone() }.into();
        let update =
            |roles: &Roles| UpdateMemberRoles { project: seven.clone(), user: bob.clone(), roles: roles.clone() };
        let context = Context::by(UserId::new("alice"));
        let changed =
            MemberEvent::RolesUpdated { user: bob.clone(), roles: Change { from: from.clone(), to: to.clone() } };
        given::<Project>(&seven, [added.clone()]).when(update(&to), context.clone()).then(vec![changed.into()]);
        given::<Project>(&seven, [added]).when(update(&from), context.clone()).then_nothing();
        nothing().when(update(&to), context).then_refused(ProjectError::NotMember(bob.clone()));
    }
}
