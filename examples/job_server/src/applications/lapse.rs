//! Let an application lapse that was not decided in time.

use annals::prelude::*;
use annals::reactions::Reaction;
use serde::{Deserialize, Serialize};

use super::{Admission, Application, ApplicationError, ApplicationEvent, ApplicationId};

/// Let an application lapse: only the process does
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LapseApplication {
    /// The application
    #[on(Application)]
    #[schemars(example = &"a1")]
    pub application: ApplicationId,
}

impl Handle for LapseApplication {
    fn handle(
        &self,
        application: &Loaded<Application>,
        context: &Context,
    ) -> Result<Vec<ApplicationEvent>, ApplicationError> {
        // No caller can be this actor.
        if (context.actor().kind(), context.actor().id()) != ("annals_reaction", Admission::NAME) {
            return Err(ApplicationError::ByItself);
        }
        // It may have been decided at the same moment.
        Ok(if Application::open(application).is_ok() { vec![ApplicationEvent::Lapsed] } else { Vec::new() })
    }
}
