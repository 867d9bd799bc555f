//! [`Session`]: the common options, and an open application on the command line.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use clap::Args;

use crate::BoxError;
use crate::app::access_log::{ExportAccess, LineageError};
use crate::app::{Annals, App, JsonState, Reader, ReaderError, UnopenedApp};
use crate::commands::Context;
use crate::events::{InvalidRef, Origin, Ref, Stored};
use crate::projections::audit::AuditQuery;
use crate::projections::flows::FlowQuery;
use crate::projections::metrics::MetricQuery;
use crate::projections::provenance::ProvenanceQuery;
use crate::projections::{JsonView, ReadError};
use crate::store::Moment;

/// Options that every subcommand takes, before or after its name.
#[derive(Args, Clone, Debug)]
pub(super) struct CommonArgs {
    /// URL of the store: sqlite://FILE.db, sqlite::memory:, postgres://HOST/DATABASE?schema=NAME or nats://HOST,HOST/NAME [default: sqlite://<application>.db]
    #[arg(
        long,
        global = true,
        env = "ANNALS_STORE",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Common options"
    )]
    pub(super) store: Option<String>,
    /// Actor of the command or the read, like user:alice. Needed where the application records reads or has an authoriser
    #[arg(
        id = "as",
        long = "as",
        global = true,
        env = "ANNALS_ACTOR",
        value_name = "KIND:ID",
        value_parser = actor,
        help_heading = "Common options"
    )]
    pub(super) actor: Option<Ref>,
}

/// Parses an actor that a caller may use.
pub(super) fn actor(text: &str) -> Result<Ref, InvalidRef> {
    let actor: Ref = text.parse()?;
    actor.check_caller()?;
    Ok(actor)
}

/// How a subcommand opens the store.
#[derive(Clone, Copy)]
pub(super) enum OpenMode {
    /// Creates the store if it does not exist. The projections do not run.
    Write,
    /// Requires an existing store. The projections do not run.
    Inspect,
    /// Requires an existing store. The projections run.
    Read,
    /// Creates the store if it does not exist. The projections run.
    #[cfg(feature = "http")]
    Serve,
}

/// An open application, read as the actor that `--as` names.
pub(super) struct Session {
    pub(super) annals: Annals,
    context: Option<Context>,
    reader: Option<Reader>,
}

impl UnopenedApp {
    pub(super) fn new(app: App, common: CommonArgs) -> Self {
        #[cfg(feature = "access")]
        if let Some(file) = std::env::var_os("ANNALS_ACCESS_KEYS").filter(|file| !file.is_empty()) {
            app.remember_beside(Path::new(&file));
        }
        #[cfg(feature = "personal")]
        let app = match std::env::var("ANNALS_KEYS") {
            Ok(url) if !url.is_empty() => app.keys(crate::personal::Keys::at(url)),
            _ => app,
        };
        let url = common.store.unwrap_or_else(|| format!("sqlite://{}.db", app.name));
        Self { app, actor: common.actor, url, opened: Arc::default() }
    }

    /// The cell that holds the application once [`open`](Self::open) has opened it.
    pub(super) fn opened(&self) -> Arc<OnceLock<Annals>> {
        self.opened.clone()
    }

    #[cfg(feature = "postgres")]
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Checks that the actor is known if the application records reads or has an authoriser.
    pub(super) fn check_reader(&self) -> Result<(), BoxError> {
        match self.actor.is_none() && self.app.reads_need_actor() {
            true => Err(
                "no actor: this application records or restricts reads, so give --as KIND:ID or set ANNALS_ACTOR"
                    .into(),
            ),
            false => Ok(()),
        }
    }

    /// Checks that the actor is known if the application has an authoriser. Operations are not recorded.
    pub(super) fn check_operator(&self) -> Result<(), BoxError> {
        match self.actor.is_none() && self.app.has_authoriser() {
            true => {
                Err("no actor: this application has an authoriser, so give --as KIND:ID or set ANNALS_ACTOR".into())
            }
            false => Ok(()),
        }
    }

    /// Opens the application, runs a function on it, and closes it whatever the function returned.
    pub(super) async fn with<R>(self, mode: OpenMode, run: impl FnOnce(Session) -> R) -> Result<(), BoxError>
    where
        R: Future<Output = Result<(), BoxError>>,
    {
        let (create, follow) = match mode {
            OpenMode::Write => (true, false),
            OpenMode::Inspect => (false, false),
            OpenMode::Read => (false, true),
            #[cfg(feature = "http")]
            OpenMode::Serve => (true, true),
        };
        let annals = self.app.open_with(&self.url, create, follow).await?;
        let context = self.actor.map(context);
        let reader = context.as_ref().map(|context| annals.read_as(context));
        let done = run(Session { annals: annals.clone(), context, reader }).await;
        annals.close().await;
        done
    }
}

/// The context of what an actor does on the command line.
pub(super) fn context(actor: Ref) -> Context {
    Context::by(actor).origin(Origin { method: Some("cli".to_owned()), ..Origin::default() })
}

impl Session {
    /// The context of a command that is recorded.
    pub(super) fn context(&self) -> Result<&Context, BoxError> {
        self.context.as_ref().ok_or_else(|| "no actor: give --as KIND:ID or set ANNALS_ACTOR".into())
    }

    /// Waits until a projection has processed every event that is in the log now.
    pub(super) async fn catch_up(&self, projection: &str) -> Result<(), BoxError> {
        let head = self.annals.store().head().await?;
        Ok(self.annals.reading(projection)?.caught_up(head, None).await?)
    }

    pub(super) fn audit(&self) -> AuditQuery {
        match &self.reader {
            Some(reader) => reader.audit(),
            None => self.annals.audit(),
        }
    }

    pub(super) async fn metric(&self, topic: &str) -> Result<MetricQuery, ReaderError> {
        match &self.reader {
            Some(reader) => reader.metric(topic).await,
            None => Ok(self.annals.metric(topic)),
        }
    }

    pub(super) async fn lineage(&self, entity: &Ref) -> Result<Vec<ExportAccess>, LineageError> {
        match &self.reader {
            Some(reader) => reader.lineage(entity).await,
            None => self.annals.lineage(entity).await,
        }
    }

    pub(super) fn provenance(&self, entity: &Ref) -> ProvenanceQuery {
        match &self.reader {
            Some(reader) => reader.provenance(entity),
            None => self.annals.provenance(entity),
        }
    }

    pub(super) fn flows(&self) -> FlowQuery {
        match &self.reader {
            Some(reader) => reader.flows(),
            None => self.annals.flows(),
        }
    }

    /// The proofs.
    #[cfg(feature = "proofs")]
    pub(super) async fn proofs(&self) -> Result<crate::proofs::Proofs, crate::proofs::ProofError> {
        match &self.reader {
            Some(reader) => reader.proofs().await,
            None => self.annals.proofs(),
        }
    }

    /// Reads events as stored: of the whole log, or of one aggregate.
    pub(super) async fn events(&self, after: u64, limit: usize) -> Result<Vec<Stored>, ReaderError> {
        Ok(match &self.reader {
            Some(reader) => reader.events(after, limit).await?.events,
            None => self.annals.events(after, limit).await.map_err(ReadError::Store)?.events,
        })
    }

    pub(super) async fn history(
        &self,
        aggregate: &Ref,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Stored>, ReaderError> {
        Ok(match &self.reader {
            Some(reader) => reader.history(aggregate, after, limit).await?,
            None => self.annals.history(aggregate, after, limit).await.map_err(ReadError::Store)?,
        })
    }

    pub(super) async fn backup(
        &self,
        to: &Path,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<(), ReaderError> {
        match &self.reader {
            Some(reader) => reader.backup(to, progress).await,
            None => Ok(self.annals.backup(to, progress).await.map_err(ReadError::Store)?),
        }
    }

    /// Asks the authoriser, if there is one, whether the actor may do this to a projection or to the log.
    pub(super) async fn operate(&self, operation: &str, projection: Option<&str>) -> Result<(), ReaderError> {
        match &self.reader {
            Some(reader) => reader.operate(operation, projection).await,
            None => Ok(()),
        }
    }

    pub(super) async fn json_state(&self, aggregate: &Ref, at: Option<Moment>) -> Result<JsonState, ReaderError> {
        match &self.reader {
            Some(reader) => reader.json_state(aggregate, at).await,
            None => Ok(self.annals.json_state(aggregate, at).await?),
        }
    }

    /// A view, to read the document under a key as of a moment.
    pub(super) async fn json_view_at(&self, name: &str, key: &str, at: Moment) -> Result<JsonView, ReaderError> {
        match &self.reader {
            Some(reader) => reader.json_view_at(name, key, at).await,
            None => Ok(self.annals.json_view(name)?),
        }
    }

    pub(super) async fn json_view(&self, name: &str, key: Option<&str>) -> Result<JsonView, ReaderError> {
        match &self.reader {
            Some(reader) => reader.json_view(name, key).await,
            None => Ok(self.annals.json_view(name)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A URL may hold a password, and help texts end up in logs.
    #[test]
    fn help_hides_the_value_of_the_variable_that_names_the_store() {
        let common = CommonArgs::augment_args(clap::Command::new("demo"));
        let store = common.get_arguments().find(|argument| argument.get_id() == "store").unwrap();
        assert!(store.is_hide_env_values_set());
    }

    #[test]
    fn the_debug_format_of_an_unopened_application_hides_the_password() {
        let common = CommonArgs { store: Some("postgres://alice:s3cret@host/data".to_owned()), actor: None };
        let text = format!("{:?}", UnopenedApp::new(App::new("demo"), common));
        assert!(text.contains("host/data") && !text.contains("s3cret"), "{text}");
    }
}
