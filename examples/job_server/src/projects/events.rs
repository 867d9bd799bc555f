//! The events of a project and its members.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::Project;
use crate::roles::Roles;
use crate::users::UserId;

/// An event of a project.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "project", topic = "project", on = Project)]
pub enum ProjectEvent {
    /// The project was created.
    #[event(create, "{actor} created {project}, called {name}")]
    Created {
        /// Name of the project.
        name: String,
    },
    /// The project was closed.
    #[event(update, "{actor} closed {project}")]
    Closed,
    /// An event of a member.
    #[event(transparent)]
    Member(MemberEvent),
}

/// An event of a member of a project.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "project_member", topic = "project/member", on = Project)]
pub enum MemberEvent {
    /// A user became a member.
    #[event(create, "{actor} added {user} to {project} as {roles}")]
    Added {
        /// The member.
        #[event(target)]
        user: UserId,
        /// Roles of the member.
        roles: Roles,
    },
    /// The roles of a member changed.
    #[event(update, "{actor} changed {user}'s roles on {project} from {roles.from} to {roles.to}")]
    RolesUpdated {
        /// The member.
        #[event(target)]
        user: UserId,
        /// Old and new roles.
        roles: Change<Roles>,
    },
    /// A user is not a member any more.
    #[event(delete, "{actor} removed {user} from {project}")]
    Removed {
        /// The member.
        #[event(target)]
        user: UserId,
    },
}

impl MemberEvent {
    /// The events of a user becoming a member.
    pub(crate) fn joined(user: &UserId, roles: &Roles) -> Vec<ProjectEvent> {
        vec![Self::Added { user: user.clone(), roles: roles.clone() }.into()]
    }
}
