//! The events of an installed app or driver.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::App;
use crate::packages::{Kind, PackageId};
use crate::sources::SourceId;

/// An event of an installed app or driver.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "app", topic = "databox/app", on = App)]
pub enum AppEvent {
    /// It was installed: made of a package of the shop.
    #[event(create, "{actor} installed the {kind} {app} from {package}")]
    Installed {
        /// The package.
        #[event(target, source)]
        package: PackageId,
        /// App or driver.
        kind: Kind,
        /// The hosts that it may be expected to send data to.
        hosts: Vec<String>,
    },
    /// It was restarted.
    #[event(update, "{actor} restarted {app}")]
    Restarted,
    /// It was uninstalled.
    #[event(delete, "{actor} uninstalled {app}")]
    Uninstalled,
    /// It sent something out of the box.
    #[event(transparent)]
    Out(OutEvent),
}

/// Data left the box.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "app_data", topic = "databox/out", on = App)]
pub enum OutEvent {
    /// To a host that the package names.
    #[event(update, "{actor} sent {from} to {host}")]
    Sent {
        /// The host.
        host: String,
        /// What the data was made of.
        #[event(target, source)]
        from: Vec<SourceId>,
    },
    /// To a host that the package does not name.
    #[event(update, "{actor} sent {from} to {host}, which its package does not name")]
    SentElsewhere {
        /// The host.
        host: String,
        /// What the data was made of.
        #[event(target, source)]
        from: Vec<SourceId>,
    },
}
