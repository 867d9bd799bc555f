//! The events of a package.

use annals::access::Right;
use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::Package;

/// What a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Uses data.
    App,
    /// Brings data into the box.
    Driver,
}

/// An event of a package.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "package", topic = "shop", on = Package)]
pub enum PackageEvent {
    /// A publisher offers it.
    #[event(create, "{actor} published the {kind} {package}: {summary}")]
    Published {
        /// App or driver.
        kind: Kind,
        /// A short description of the package.
        summary: String,
        /// The rights that it asks for when it is installed.
        asks: Vec<Right>,
        /// The hosts that it sends data to.
        hosts: Vec<String>,
    },
}
