//! Approve or decline an application.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::application::user;
use super::{Application, ApplicationError, ApplicationEvent, ApplicationId};

/// Approve or decline an application
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReviewApplication {
    /// The application
    #[on(Application)]
    #[schemars(example = &"a1")]
    pub application: ApplicationId,
    /// Whether you approve it
    pub approve: bool,
}

impl Handle for ReviewApplication {
    fn handle(
        &self,
        application: &Loaded<Application>,
        context: &Context,
    ) -> Result<Vec<ApplicationEvent>, ApplicationError> {
        let asked = Application::open(application)?;
        let reviewer = user(context)?;
        if !asked.reviewers.contains(&reviewer) {
            return Err(ApplicationError::NotAReviewer(reviewer));
        }
        if application.answers.contains_key(&reviewer) {
            return Err(ApplicationError::Answered(reviewer));
        }
        let (answer, decision) = match self.approve {
            true => (ApplicationEvent::Approved, ApplicationEvent::Accepted),
            false => (ApplicationEvent::Declined, ApplicationEvent::Rejected),
        };
        let is_second = application.answers.values().any(|answer| *answer == self.approve);
        Ok(std::iter::once(answer).chain(is_second.then_some(decision)).collect())
    }
}
