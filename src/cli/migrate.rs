//! `migrate`: what the owner of a PostgreSQL store does for it.

use clap::Args;

use super::StoreArgs;
use super::output::{self, Format, plain};
use crate::BoxError;
use crate::app::App;
use crate::store::{Migrated, Upgraded, grant, redact_url};

/// Make a PostgreSQL store, bring it to this program's version, or take over the events that postgres-es wrote
#[derive(Args)]
#[command(after_help = "Examples:\n  migrate --store 'postgres://owner@localhost/shop?schema=shop'\n  \
    migrate --store 'postgres://owner@localhost/shop?schema=shop' --grant shop_app\n\nRun it as the owner of the schema: \
    an application may connect as another role. The rights that --grant gives are printed.\n\nWhere the schema holds the \
    events of postgres-es, they get positions, ids, times and digests. Stop every program that writes there first. The \
    old rows stay in the table postgres_es_events. An event type `NameAdded` of a `customer` is called \
    `customer.NameAdded` from then on: its variant declares `was(\"NameAdded\")`.")]
pub(super) struct Migrate {
    /// Give this role the rights that an application needs, and the tables of its projections
    #[arg(long, value_name = "ROLE")]
    grant: Option<String>,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

/// What was done.
#[derive(serde::Serialize)]
struct Report {
    #[serde(flatten)]
    upgraded: Option<Upgraded>,
    #[serde(flatten)]
    migrated: Option<Migrated>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    granted: Vec<String>,
}

impl Migrate {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let url = app.url(&self.store);
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            let url = redact_url(&url);
            return Err(format!("`{url}` is not on PostgreSQL: give --store postgres://HOST/DATABASE").into());
        }
        let upgraded = app.upgrade(&url).await?;
        let migrated = if upgraded.is_none() { Some(app.migrate(&url).await?) } else { None };
        let granted = match &self.grant {
            Some(role) => grant(&url, role).await?,
            None => Vec::new(),
        };
        let report = Report { upgraded, migrated, granted };
        if let Format::Json = self.format { output::json(&report) } else { report.print() }
    }
}

impl Report {
    fn print(&self) -> Result<(), BoxError> {
        match &self.upgraded {
            Some(Upgraded { from: None, to }) => output::line(&format!("made a store with schema version {to}"))?,
            Some(Upgraded { from: Some(from), to }) if from == to => {
                output::line(&format!("the schema has this program's version {to} already"))?;
            }
            Some(Upgraded { from: Some(from), to }) => {
                output::line(&format!("brought the schema from version {from} to {to}"))?;
            }
            None => {}
        }
        if let Some(migrated) = &self.migrated {
            output::line(&format!(
                "{} events of {} aggregates got positions: {}",
                migrated.events, migrated.aggregates, migrated.order
            ))?;
            for (old, new) in migrated.event_types.iter().filter(|(old, new)| old != new) {
                output::line(&plain(&format!("{old} is called {new} now")))?;
            }
            output::line(&format!("the old rows are in the table {}", migrated.kept))?;
        }
        for statement in &self.granted {
            output::line(&plain(statement))?;
        }
        Ok(())
    }
}
