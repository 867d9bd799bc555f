//! [`UnopenedApp`]: what a subcommand of an application receives.

use std::sync::{Arc, OnceLock};

use clap::ArgMatches;
use futures::future::BoxFuture;

use super::{Annals, App, OpenError};
use crate::BoxError;
use crate::events::Ref;
use crate::store::redact_url;

type Run = Box<dyn FnOnce(UnopenedApp, ArgMatches) -> BoxFuture<'static, Result<(), BoxError>> + Send>;

/// A subcommand that the application adds to its command line.
pub(crate) struct CustomSubcommand {
    pub(crate) command: clap::Command,
    pub(crate) run: Run,
}

/// An application and the URL of its store, which is not open yet. A subcommand of an application checks its arguments first
/// and then opens the store, so that a mistake in the arguments creates no store.
pub struct UnopenedApp {
    pub(crate) app: App,
    pub(crate) actor: Option<Ref>,
    pub(crate) url: String,
    pub(crate) opened: Arc<OnceLock<Annals>>,
}

impl UnopenedApp {
    /// Opens the application on the store that `--store` names, and creates the store if it does not exist. The command line
    /// closes it when the subcommand returns.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open(self) -> Result<Annals, OpenError> {
        let annals = self.app.open(&self.url).await?;
        Ok(self.opened.get_or_init(|| annals).clone())
    }
}

impl std::fmt::Debug for UnopenedApp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnopenedApp")
            .field("app", &self.app)
            .field("url", &redact_url(&self.url))
            .finish_non_exhaustive()
    }
}
