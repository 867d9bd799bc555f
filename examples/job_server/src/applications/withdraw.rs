//! Withdraw an application.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::application::user;
use super::{Application, ApplicationError, ApplicationEvent, ApplicationId};

/// Withdraw your application
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WithdrawApplication {
    /// The application
    #[on(Application)]
    #[schemars(example = &"a1")]
    pub application: ApplicationId,
}

impl Handle for WithdrawApplication {
    fn handle(
        &self,
        application: &Loaded<Application>,
        context: &Context,
    ) -> Result<Vec<ApplicationEvent>, ApplicationError> {
        let asked = Application::open(application)?;
        match user(context)? == asked.user {
            true => Ok(vec![ApplicationEvent::Withdrawn]),
            false => Err(ApplicationError::NotYours(asked.user.clone())),
        }
    }
}
