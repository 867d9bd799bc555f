//! The aggregate `Project`: the state that commands decide on.

use std::collections::BTreeMap;

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{MemberEvent, ProjectEvent};
use crate::roles::Roles;
use crate::users::UserId;

/// The id of a project.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(String);

/// A project's members.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Project {
    members: BTreeMap<UserId, Roles>,
    closed: bool,
}

/// Why a command on a project is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectError {
    /// The project already exists.
    #[error("{0} already exists")]
    Exists(ProjectId),
    /// The project was not created.
    #[error("{0} does not exist: create it first")]
    Missing(ProjectId),
    /// The name is blank.
    #[error("the name of a project must not be blank")]
    BlankName,
    /// The user is already a member.
    #[error("{0} is already a member")]
    Member(UserId),
    /// The user is not a member.
    #[error("{0} is not a member")]
    NotMember(UserId),
}

impl Project {
    /// Whether a user is a member.
    #[must_use]
    pub fn is_member(&self, user: &UserId) -> bool {
        self.members.contains_key(user)
    }

    /// Whether it was created, and is not closed.
    #[must_use]
    pub fn is_open(project: &Loaded<Self>) -> bool {
        project.exists() && !project.closed
    }

    /// The roles of a member.
    pub(super) fn roles(&self, user: &UserId) -> Result<&Roles, ProjectError> {
        self.members.get(user).ok_or_else(|| ProjectError::NotMember(user.clone()))
    }
}

/// Returns an error if the project was not created.
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
            ProjectEvent::Closed => self.closed = true,
            ProjectEvent::Member(MemberEvent::Added { user, roles }) => {
                self.members.insert(user.clone(), roles.clone());
            }
            ProjectEvent::Member(MemberEvent::RolesUpdated { user, roles }) => {
                self.members.insert(user.clone(), roles.to.clone());
            }
            ProjectEvent::Member(MemberEvent::Removed { user }) => {
                self.members.remove(user);
            }
            // No command depends on the other events.
            _ => {}
        }
    }
}
