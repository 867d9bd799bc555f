//! The aggregate `Package`: the state that commands decide on.

use annals::access::Right;
use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Kind, PackageEvent};

/// The id of a package: `publisher/name`.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(String);

/// What a package asks for.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Package {
    /// App or driver; `None` before it is published.
    pub kind: Option<Kind>,
    /// The rights that it asks for when it is installed.
    pub asks: Vec<Right>,
    /// The hosts that it says it sends data to.
    pub hosts: Vec<String>,
}

/// Why a command on a package is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// The summary is blank.
    #[error("say what the package does: the summary must not be blank")]
    BlankSummary,
    /// It is published already.
    #[error("{0} is published already")]
    Exists(PackageId),
}

impl Aggregate for Package {
    const TYPE: &'static str = "package";
    type Id = PackageId;
    type Event = PackageEvent;
    type Error = PackageError;

    fn apply(&mut self, event: &PackageEvent) {
        let PackageEvent::Published { kind, asks, hosts, .. } = event;
        *self = Self { kind: Some(*kind), asks: asks.clone(), hosts: hosts.clone() };
    }
}
