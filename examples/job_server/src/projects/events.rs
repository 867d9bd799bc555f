//! What can happen to a project and its members.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::Project;
use crate::roles::Roles;
use crate::users::UserId;

/// Something happened to a project.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "project", topic = "project", on = Project)]
pub enum ProjectEvent {
    /// It came to be.
    #[event(create, "{actor} created {project}, called {name}")]
    Created {
        /// What people call it.
        name: String,
    },
    /// Something happened to its members.
    #[event(transparent)]
    Member(MemberEvent),
}

/// Something happened to a member of a project.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "project_member", topic = "project/member", on = Project)]
pub enum MemberEvent {
    /// Somebody joined.
    #[event(create, "{actor} added {user} to {project} as {roles}")]
    Added {
        /// Who.
        #[event(target)]
        user: UserId,
        /// What they may do.
        roles: Roles,
    },
    /// A member may do other things now.
    #[event(update, "{actor} changed {user}'s roles on {project} from {roles.from} to {roles.to}")]
    RolesUpdated {
        /// Who.
        #[event(target)]
        user: UserId,
        /// Before and after.
        roles: Change<Roles>,
    },
    /// Somebody is no member any more.
    #[event(delete, "{actor} removed {user} from {project}")]
    Removed {
        /// Who.
        #[event(target)]
        user: UserId,
    },
}

impl MemberEvent {
    /// What happens when somebody joins.
    pub(super) fn joined(user: &UserId, roles: &Roles) -> Vec<ProjectEvent> {
        vec![Self::Added { user: user.clone(), roles: roles.clone() }.into()]
    }
}
