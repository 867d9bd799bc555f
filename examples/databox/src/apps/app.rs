//! The aggregate `App`: the state that commands decide on.

use annals::prelude::*;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::AppEvent;
use crate::packages::PackageId;

/// The id of an installed app or driver. It is also the actor of what its process does.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(String);

/// In place of a blank name: no event can be about nothing, and its refusal shall be one.
const BLANK: &str = "(blank)";

impl AppId {
    fn is_blank(&self) -> bool {
        self.text().trim().is_empty() || self.text() == BLANK
    }
}

/// Reads the name of an app. A blank one is accepted here, so that the handler refuses it and the refusal is recorded.
pub(super) fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AppId, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.strip_prefix("app:").unwrap_or(&name).trim().is_empty() {
        true => Ok(AppId::new(BLANK)),
        false => name.parse().map_err(Error::custom),
    }
}

/// Whether something is installed under this name.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct App {
    /// The hosts that it may be expected to send data to; `None` if it is not installed.
    hosts: Option<Vec<String>>,
}

/// Why a command on an app is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppError {
    /// The name is blank.
    #[error("the name of an app must not be blank")]
    BlankName,
    /// The host is blank.
    #[error("the host must not be blank")]
    BlankHost,
    /// Something is installed under this name.
    #[error("{0} is installed already: uninstall it first, or choose another name")]
    Installed(AppId),
    /// Nothing is installed under this name.
    #[error("{0} is not installed")]
    Missing(AppId),
    /// There is no such package.
    #[error("no publisher offers {0}")]
    NotPublished(PackageId),
}

/// The hosts of an installed app.
pub(super) fn installed(app: &Loaded<App>) -> Result<&[String], AppError> {
    ensure_named(app.id())?;
    app.hosts.as_deref().ok_or_else(|| AppError::Missing(app.id().clone()))
}

/// Returns an error if the name is blank.
pub(super) fn ensure_named(app: &AppId) -> Result<(), AppError> {
    if app.is_blank() { Err(AppError::BlankName) } else { Ok(()) }
}

impl Aggregate for App {
    const TYPE: &'static str = "app";
    type Id = AppId;
    type Event = AppEvent;
    type Error = AppError;

    fn apply(&mut self, event: &AppEvent) {
        match event {
            AppEvent::Installed { hosts, .. } => self.hosts = Some(hosts.clone()),
            AppEvent::Uninstalled => self.hosts = None,
            AppEvent::Restarted | AppEvent::Out(_) => {}
        }
    }
}

/// Fixtures for the tests of the commands.
#[cfg(test)]
pub(super) mod examples {
    use annals::prelude::*;

    use super::super::{AppEvent, AppId};
    use crate::UserId;
    use crate::packages::{Kind, PackageEvent, PackageId};

    pub fn context() -> Context {
        Context::by(UserId::new("ann"))
    }

    pub fn comfort() -> (AppId, PackageId) {
        (AppId::new("comfort"), PackageId::new("hearth/comfort"))
    }

    fn hosts() -> Vec<String> {
        vec!["hearth.example".to_owned()]
    }

    pub fn published() -> PackageEvent {
        let summary = "Says how comfortable it is".to_owned();
        PackageEvent::Published { kind: Kind::App, summary, asks: Vec::new(), hosts: hosts() }
    }

    pub fn installed() -> AppEvent {
        AppEvent::Installed { package: comfort().1, kind: Kind::App, hosts: hosts() }
    }
}
