//! Make an accepted applicant a member, or take the acceptance back.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::application::Stage;
use super::{Application, ApplicationError, ApplicationEvent, ApplicationId};
use crate::projects::{MemberEvent, Project, ProjectEvent, ProjectId};

/// Make an accepted applicant a member
///
/// Both decisions are one: either the user is a member and the application is admitted, or neither.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AdmitApplicant {
    /// The application
    #[on(Application)]
    #[schemars(example = &"a1")]
    pub application: ApplicationId,
    /// The project
    #[on(Project)]
    #[schemars(example = &"7")]
    pub project: ProjectId,
}

impl Handle for AdmitApplicant {
    fn handle(
        &self,
        (application, project): (&Loaded<Application>, &Loaded<Project>),
        _: &Context,
    ) -> Result<(Vec<ApplicationEvent>, Vec<ProjectEvent>), ApplicationError> {
        let asked = application.asked.as_ref().filter(|asked| asked.project == self.project);
        let asked = asked.ok_or_else(|| ApplicationError::Missing(self.application.clone()))?;
        if application.stage != Stage::Accepted {
            return Ok((Vec::new(), Vec::new()));
        }
        let user = asked.user.clone();
        if !Project::is_open(project) {
            let reason = format!("{} was closed meanwhile", self.project.reference());
            return Ok((vec![ApplicationEvent::TakenBack { user, reason }], Vec::new()));
        }
        let joined = match project.is_member(&user) {
            true => Vec::new(),
            false => MemberEvent::joined(&user, &asked.roles),
        };
        Ok((vec![ApplicationEvent::Admitted { user, project: self.project.clone() }], joined))
    }
}
