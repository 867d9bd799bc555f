//! Remove a member from a project.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{MemberEvent, Project, ProjectError, ProjectEvent, ProjectId};
use crate::users::UserId;

/// Remove a member from a project
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RemoveMember {
    /// The project
    #[on(Project)]
    #[schemars(example = &"7")]
    pub project: ProjectId,
    /// The member
    #[schemars(example = &"bob")]
    pub user: UserId,
}

impl Handle for RemoveMember {
    fn handle(&self, project: &Loaded<Project>, _: &Context) -> Result<Vec<ProjectEvent>, ProjectError> {
        project.roles(&self.user)?;
        Ok(vec![MemberEvent::Removed { user: self.user.clone() }.into()])
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::*;
    use crate::roles::{Role, roles};

    /// Mission J10.
    #[test]
    fn only_a_member_can_be_removed() {
        let (seven, bob) = (ProjectId::new("7"), UserId::new("bob"));
        let context = Context::by(UserId::new("alice"));
        let remove = RemoveMember { project: seven.clone(), user: bob.clone() };
        let added = MemberEvent::Added { user: bob.clone(), roles: roles([Role::Developer]) };
        given::<Project>(&seven, [added.into()])
            .when(remove.clone(), context.clone())
            .then(vec![MemberEvent::Removed { user: bob.clone() }.into()]);
        nothing().when(remove, context).then_refused(ProjectError::NotMember(bob));
    }
}
