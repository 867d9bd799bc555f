//! The events of an application for a project.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::Application;
use crate::projects::ProjectId;
use crate::roles::Roles;
use crate::users::UserId;

/// An event of an application.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "application", topic = "application", on = Application)]
pub enum ApplicationEvent {
    /// A user applied for a project.
    #[event(create, "{actor} applied for {project} as {roles}; {reviewers} decide")]
    Asked {
        /// The applicant.
        #[event(target)]
        user: UserId,
        /// The project.
        #[event(target)]
        project: ProjectId,
        /// The roles that the applicant asks for.
        roles: Roles,
        /// The three reviewers.
        #[event(target)]
        reviewers: Vec<UserId>,
    },
    /// A reviewer approved it.
    #[event(update, "{actor} approved {application}")]
    Approved,
    /// A reviewer declined it.
    #[event(update, "{actor} declined {application}")]
    Declined,
    /// The second reviewer approved it.
    #[event(update, "{application} was accepted")]
    Accepted,
    /// The second reviewer declined it.
    #[event(update, "{application} was rejected")]
    Rejected,
    /// The applicant withdrew it.
    #[event(update, "{actor} withdrew {application}")]
    Withdrawn,
    /// It was not decided in time.
    #[event(update, "{application} lapsed")]
    Lapsed,
    /// The applicant became a member.
    #[event(update, "{user} was admitted to {project}")]
    Admitted {
        /// The applicant.
        #[event(target)]
        user: UserId,
        /// The project.
        #[event(target)]
        project: ProjectId,
    },
    /// It was accepted, and came to nothing: the acceptance is taken back.
    #[event(update, "{application} came to nothing: {reason}")]
    TakenBack {
        /// The applicant, who needs to know.
        #[event(target)]
        user: UserId,
        /// The reason.
        reason: String,
    },
}
