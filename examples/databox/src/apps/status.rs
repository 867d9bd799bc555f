//! The view `Apps`: what is installed.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{AppEvent, AppId, OutEvent};
use crate::packages::{Kind, PackageId};

/// An installed app or driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Apps {
    /// The package that it was installed from.
    pub package: PackageId,
    /// App or driver.
    pub kind: Kind,
    /// The log position at which it was installed.
    pub since: u64,
    /// How often it was restarted.
    pub restarts: u64,
    /// How often it sent data out of the box.
    pub sent: u64,
    /// How often that was to a host that its package does not name.
    pub sent_elsewhere: u64,
}

impl DocumentView for Apps {
    const NAME: &'static str = "apps";
    type Key = AppId;
    type Events = AppEvent;
}

impl On<AppEvent> for Apps {
    fn keys(event: &Recorded<AppEvent>) -> Vec<AppId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &AppId, event: &Recorded<AppEvent>) {
        if let AppEvent::Installed { package, kind, .. } = &event.event {
            let (package, kind, since) = (package.clone(), *kind, event.position);
            *document = Some(Self { package, kind, since, restarts: 0, sent: 0, sent_elsewhere: 0 });
        }
        let Some(app) = document else { return };
        match &event.event {
            AppEvent::Installed { .. } => {}
            AppEvent::Restarted => app.restarts += 1,
            AppEvent::Uninstalled => *document = None,
            AppEvent::Out(OutEvent::Sent { .. }) => app.sent += 1,
            AppEvent::Out(OutEvent::SentElsewhere { .. }) => app.sent_elsewhere += 1,
        }
    }
}
