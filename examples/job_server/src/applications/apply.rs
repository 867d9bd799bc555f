//! Apply for a project.

use std::collections::BTreeSet;

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::application::user;
use super::{Application, ApplicationError, ApplicationEvent, ApplicationId};
use crate::projects::{Project, ProjectEvent, ProjectId};
use crate::roles::Roles;
use crate::users::UserId;

/// Apply for a project
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ApplyForProject {
    /// Id of the new application
    #[on(Application)]
    #[schemars(example = &"a1")]
    pub application: ApplicationId,
    /// The project
    #[on(Project)]
    #[schemars(example = &"7")]
    pub project: ProjectId,
    /// The roles that you ask for
    pub roles: Roles,
    /// Three reviewers
    #[schemars(example = &["bob", "carol", "dave"])]
    pub reviewers: Vec<UserId>,
}

impl Handle for ApplyForProject {
    fn handle(
        &self,
        (application, project): (&Loaded<Application>, &Loaded<Project>),
        context: &Context,
    ) -> Result<(Vec<ApplicationEvent>, Vec<ProjectEvent>), ApplicationError> {
        let Self { project: id, roles, reviewers, .. } = self.clone();
        let user = user(context)?;
        if application.exists() {
            return Err(ApplicationError::Exists(self.application.clone()));
        }
        if !Project::is_open(project) {
            return Err(ApplicationError::NoProject(id));
        }
        if project.is_member(&user) {
            return Err(ApplicationError::Member(user));
        }
        let different: BTreeSet<&UserId> = reviewers.iter().collect();
        if reviewers.len() != 3 || different.len() != 3 || different.contains(&user) {
            return Err(ApplicationError::Reviewers);
        }
        Ok((vec![ApplicationEvent::Asked { user, project: id, roles, reviewers }], Vec::new()))
    }
}
