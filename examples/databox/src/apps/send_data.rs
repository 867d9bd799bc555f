//! Send data out of the box.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::app::installed;
use super::{App, AppError, AppEvent, AppId, OutEvent};
use crate::sources::SourceId;

/// Send data out of the box
///
/// The platform sends it, because an app has no other way out. A host that the package does not name is no reason to refuse it, but
/// the owner sees it.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SendData {
    /// The app that sends
    #[on(App)]
    #[serde(deserialize_with = "super::app::named")]
    #[schemars(with = "String", example = &"comfort")]
    pub app: AppId,
    /// The host
    #[schemars(example = &"hearth.example")]
    pub host: String,
    /// The sources that the data was made of
    pub from: Vec<SourceId>,
}

impl Handle for SendData {
    fn handle(&self, app: &Loaded<App>, _: &Context) -> Result<Vec<AppEvent>, AppError> {
        let expected = installed(app)?.contains(&self.host);
        if self.host.trim().is_empty() {
            return Err(AppError::BlankHost);
        }
        let (host, from) = (self.host.clone(), self.from.clone());
        let event = match expected {
            true => OutEvent::Sent { host, from },
            false => OutEvent::SentElsewhere { host, from },
        };
        Ok(vec![event.into()])
    }
}

#[cfg(test)]
mod tests {
    use annals::testing::{given, nothing};

    use super::super::app::examples::{comfort, context, installed};
    use super::*;

    #[test]
    fn a_host_that_the_package_does_not_name_is_noticed() {
        let (app, _) = comfort();
        let send = |host: &str| SendData { app: app.clone(), host: host.to_owned(), from: Vec::new() };
        let (host, from) = ("hearth.example".to_owned(), Vec::new());
        let there = || given::<App>(&app, [installed()]);
        there().when(send(&host), context()).then(vec![OutEvent::Sent { host, from }.into()]);
        let (host, from) = ("ads.example".to_owned(), Vec::new());
        there().when(send(&host), context()).then(vec![OutEvent::SentElsewhere { host, from }.into()]);
        there().when(send(" "), context()).then_refused(AppError::BlankHost);
        nothing().when(send("hearth.example"), context()).then_refused(AppError::Missing(app.clone()));
    }
}
