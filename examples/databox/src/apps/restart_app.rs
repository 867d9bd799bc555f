//! Restart an app or a driver.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::app::installed;
use super::{App, AppError, AppEvent, AppId};

/// Restart an app or a driver
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RestartApp {
    /// The app
    #[on(App)]
    #[serde(deserialize_with = "super::app::named")]
    #[schemars(with = "String", example = &"comfort")]
    pub app: AppId,
}

impl Handle for RestartApp {
    fn handle(&self, app: &Loaded<App>, _: &Context) -> Result<Vec<AppEvent>, AppError> {
        installed(app)?;
        Ok(vec![AppEvent::Restarted])
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::super::app::examples::{comfort, context, installed};
    use super::*;

    #[test]
    fn only_an_installed_app_is_restarted() {
        let (app, _) = comfort();
        let command = RestartApp { app: app.clone() };
        given::<App>(&app, [installed()]).when(command.clone(), context()).then(vec![AppEvent::Restarted]);
        nothing().when(command.clone(), context()).then_refused(AppError::Missing(app.clone()));
        given::<App>(&app, [installed(), AppEvent::Uninstalled])
            .when(command, context())
            .then_refused(AppError::Missing(app));
        let blank = RestartApp { app: AppId::new(" ") };
        nothing().when(blank, context()).then_refused(AppError::BlankName);
    }
}
