//! The view `Roster`: the members of each project.

use std::collections::BTreeMap;

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{MemberEvent, ProjectEvent, ProjectId};
use crate::roles::Roles;
use crate::users::UserId;

/// A project's name and members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Roster {
    /// Name of the project.
    pub name: String,
    /// Members with their roles.
    pub members: BTreeMap<UserId, Roles>,
}

impl DocumentView for Roster {
    const NAME: &'static str = "roster";
    type Key = ProjectId;
    type Events = ProjectEvent;
}

impl On<ProjectEvent> for Roster {
    fn keys(event: &Recorded<ProjectEvent>) -> Vec<ProjectId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &ProjectId, event: &Recorded<ProjectEvent>) {
        let roster = document.get_or_insert_default();
        match &event.event {
            ProjectEvent::Created { name } => roster.name.clone_from(name),
            ProjectEvent::Member(MemberEvent::Added { user, roles }) => {
                roster.members.insert(user.clone(), roles.clone());
            }
            ProjectEvent::Member(MemberEvent::RolesUpdated { user, roles }) => {
                roster.members.insert(user.clone(), roles.to.clone());
            }
            ProjectEvent::Member(MemberEvent::Removed { user }) => {
                roster.members.remove(user);
            }
            // The roster does not depend on other events.
            #[allow(unreachable_patterns, reason = "there are no other events yet")]
            _ => {}
        }
    }
}
