//! The aggregate `Application`: the state that commands decide on.

use std::collections::BTreeMap;

use annals::aggregates::Circumstances;
use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::ApplicationEvent;
use crate::projects::ProjectId;
use crate::roles::Roles;
use crate::users::UserId;

/// The id of an application.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApplicationId(String);

/// What was asked for, and what the reviewers said.
#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct Application {
    pub(super) asked: Option<Asked>,
    /// The answer of each reviewer who has answered: whether he or she approves.
    pub(super) answers: BTreeMap<UserId, bool>,
    pub(super) stage: Stage,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) user: UserId,
    pub(super) project: ProjectId,
    pub(super) roles: Roles,
    pub(super) reviewers: Vec<UserId>,
}

/// How far an application is.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Reviewers may answer.
    #[default]
    Open,
    /// Two reviewers approved; the applicant is not a member yet.
    Accepted,
    /// Nothing more happens.
    Ended,
}

/// Why a command on an application is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplicationError {
    /// The id is in use.
    #[error("{0} already exists")]
    Exists(ApplicationId),
    /// There is no such application.
    #[error("{0} does not exist")]
    Missing(ApplicationId),
    /// The project does not exist, or is closed.
    #[error("{0} takes no applications: it does not exist, or is closed")]
    NoProject(ProjectId),
    /// The applicant is a member already.
    #[error("{0} is already a member")]
    Member(UserId),
    /// Only a person applies and reviews.
    #[error("{0} is not a user")]
    NotAUser(Ref),
    /// Not three different reviewers, or the applicant among them.
    #[error("name three different reviewers, without the applicant")]
    Reviewers,
    /// The actor is none of the reviewers.
    #[error("{0} is not a reviewer of this application")]
    NotAReviewer(UserId),
    /// The reviewer has answered.
    #[error("{0} has answered already")]
    Answered(UserId),
    /// It is decided, withdrawn or lapsed.
    #[error("{0} is not open any more")]
    NotOpen(ApplicationId),
    /// Only the applicant withdraws it.
    #[error("only {0} can withdraw the application")]
    NotYours(UserId),
    /// Only the process executes it.
    #[error("an application lapses by itself")]
    ByItself,
}

impl Application {
    /// What was asked for, if the application is open.
    pub(super) fn open(application: &Loaded<Self>) -> Result<&Asked, ApplicationError> {
        let asked = application.asked.as_ref();
        let asked = asked.ok_or_else(|| ApplicationError::Missing(application.id().clone()))?;
        match application.stage {
            Stage::Open => Ok(asked),
            Stage::Accepted | Stage::Ended => Err(ApplicationError::NotOpen(application.id().clone())),
        }
    }
}

/// The user who acts.
pub(super) fn user(context: &Context) -> Result<UserId, ApplicationError> {
    let actor = context.actor();
    match actor.kind() {
        "user" => Ok(UserId::new(actor.id())),
        _ => Err(ApplicationError::NotAUser(actor.clone())),
    }
}

impl Aggregate for Application {
    const TYPE: &'static str = "application";
    type Id = ApplicationId;
    type Event = ApplicationEvent;
    type Error = ApplicationError;

    fn apply(&mut self, _: &ApplicationEvent) {}

    fn apply_with(&mut self, event: &ApplicationEvent, circumstances: &Circumstances<'_>) {
        let mut answer = |approves| {
            self.answers.insert(UserId::new(circumstances.actor().id()), approves);
        };
        match event {
            ApplicationEvent::Asked { user, project, roles, reviewers } => {
                let (user, project) = (user.clone(), project.clone());
                self.asked = Some(Asked { user, project, roles: roles.clone(), reviewers: reviewers.clone() });
            }
            ApplicationEvent::Approved => answer(true),
            ApplicationEvent::Declined => answer(false),
            ApplicationEvent::Accepted => self.stage = Stage::Accepted,
            ApplicationEvent::Rejected
            | ApplicationEvent::Withdrawn
            | ApplicationEvent::Lapsed
            | ApplicationEvent::Admitted { .. }
            | ApplicationEvent::TakenBack { .. } => self.stage = Stage::Ended,
        }
    }
}
