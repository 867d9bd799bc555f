//! The project: what decisions need to know.

use std::collections::BTreeMap;

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{MemberEvent, ProjectEvent};
use crate::roles::Roles;
use crate::users::UserId;

/// Names a project.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(String);

/// A project's members.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Project {
    members: BTreeMap<UserId, Roles>,
}

/// Why a command on a project is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectError {
    /// It was created before.
    #[error("{0} exists already")]
    Exists(ProjectId),
    /// It was never created.
    #[error("there is no {0}: create it first")]
    Missing(ProjectId),
    /// A name has to say something.
    #[error("a project's name must not be blank")]
    BlankName,
    /// The user is a member already.
    #[error("{0} is a member already")]
    Member(UserId),
    /// The user is no member.
    #[error("{0} is no member")]
    NotMember(UserId),
}

impl Project {
    /// The roles of a member.
    pub(super) fn roles(&self, user: &UserId) -> Result<&Roles, ProjectError> {
        self.members.get(user).ok_or_else(|| ProjectError::NotMember(user.clone()))
    }
}

/// Whether the project was ever created.
pub(super) fn ensure_exists(project: &Loaded<Project>) -> Result<(), ProjectError> {
    project.exists().then_some(()).ok_or_else(|| ProjectError::Missing(project.id().clone()))
}

impl Aggregate for Project {
    const TYPE: &'static str = "project";
    type Id = ProjectId;
    type Event = ProjectEvent;
    type Error = ProjectError;

    fn apply(&mut self, event: &ProjectEvent) {
        match event {
            ProjectEvent::Member(MemberEvent::Added { user, roles }) => {
                self.members.insert(user.clone(), roles.clone());
            }
            ProjectEvent::Member(MemberEvent::RolesUpdated { user, roles }) => {
                self.members.insert(user.clone(), roles.to.clone());
            }
            ProjectEvent::Member(MemberEvent::Removed { user }) => {
                self.members.remove(user);
            }
            // No decision depends on the rest.
            _ => {}
        }
    }
}
